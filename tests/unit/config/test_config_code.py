"""The loader of user code: siblings, packages, the standard library, several organisms, worker processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import typing
from pathlib import Path

import pytest

from xpipe.config.code import CodeError, find_object, load_object
from xpipe.config.imports import forget
from xpipe.core.organism import CodeRef


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture
def two(tmp_path):
    """Two organisms whose modules and siblings have the same names."""
    text = "import helper\nVALUE = helper.VALUE\ndef late():\n    import helper\n    return helper.VALUE\n"
    first = write(tmp_path / "first", handlers=text, helper="VALUE = 1\n")
    second = write(tmp_path / "second", handlers=text, helper="VALUE = 2\n")
    return str(first), str(second)


def test_two_organisms_with_modules_of_the_same_names_get_their_own(two):
    values = [load_object(CodeRef(folder, "handlers", "VALUE")) for folder in two]
    assert values == [1, 2]


def test_an_import_inside_a_function_finds_the_sibling_of_its_own_organism(two):
    late = [load_object(CodeRef(folder, "handlers", "late")) for folder in two]
    assert [function() for function in late] == [1, 2]  # after both are loaded, and from any thread
    found = []
    thread = threading.Thread(target=lambda: found.append(late[0]()))
    thread.start()
    thread.join()
    assert found == [1]


def test_an_organism_finds_its_siblings_through_importlib(tmp_path):
    text = "import importlib\ndef late(name): return importlib.import_module(name)\n"
    plugins = {"plugins/csv_plugin": "from . import base\nVALUE = base.VALUE\n", "plugins/base": "VALUE = 3\n"}
    folder = str(write(tmp_path, dynamic=text, seldom_helper="VALUE = 3\n", **plugins))
    late = load_object(CodeRef(folder, "dynamic", "late"))
    assert late("seldom_helper").VALUE == 3
    assert late("plugins.csv_plugin").VALUE == 3
    assert late("plugins.csv_plugin") is load_object(CodeRef(folder, "plugins", "csv_plugin"))


def test_a_second_organism_takes_no_names_from_the_first(two):
    load_object(CodeRef(two[0], "handlers", "VALUE"))
    before = {name: sys.modules.get(name) for name in ("handlers", "helper")}
    load_object(CodeRef(two[1], "handlers", "VALUE"))
    assert {name: sys.modules.get(name) for name in ("handlers", "helper")} == before
    assert two[1] not in sys.path


def test_forgetting_an_organism_takes_nothing_from_the_others(tmp_path):
    first = write(tmp_path / "first", **{"parts/__init__": "", "parts/own": "VALUE = 1\n"})
    second = write(tmp_path / "second", handlers="VALUE = 2\n")
    third = write(tmp_path / "third", **{"parts/own": "VALUE = 3\n"})  # A package without __init__.py.
    assert load_object(CodeRef(str(first), "parts.own", "VALUE")) == 1
    assert load_object(CodeRef(str(second), "handlers", "VALUE")) == 2

    forget(str(second))

    assert str(first) in sys.path
    assert str(second) not in sys.path
    assert find_object(str(third), "parts.own.VALUE")[1] == 3


def test_the_standard_library_is_never_shadowed(tmp_path):
    folder = write(
        tmp_path,
        json="raise RuntimeError('the wrong json')\n",
        string="raise RuntimeError('the wrong string')\n",
        handlers="import json\nimport string\nimport logging.config\nfrom json import dumps\nVALUE = dumps([1])\n",
    )
    assert load_object(CodeRef(str(folder), "handlers", "VALUE")) == "[1]"
    assert load_object(CodeRef(str(folder), "json", "dumps")) is json.dumps


def test_a_file_with_a_name_of_the_standard_library_can_be_named(tmp_path):
    write(tmp_path, queue="import queue\nVALUE = queue.Queue\nimport json\n")
    import queue

    assert load_object(CodeRef(str(tmp_path), "queue.py", "VALUE")) is queue.Queue
    assert sys.modules["queue"] is queue


def test_a_sibling_is_not_shadowed_by_an_installed_package_nor_the_other_way_round(tmp_path):
    import msgspec

    write(tmp_path, msgspec="VALUE = 'sibling'\n", handlers="import msgspec\nVALUE = msgspec.VALUE\n")
    assert load_object(CodeRef(str(tmp_path), "handlers", "VALUE")) == "sibling"
    assert sys.modules["msgspec"] is msgspec


def test_a_data_folder_does_not_hide_an_installed_package_and_nothing_hides_xpipe(tmp_path):
    import msgspec

    import xpipe

    (tmp_path / "msgspec").mkdir()
    write(tmp_path, handlers="import msgspec, xpipe.core\nM = msgspec\nX = xpipe\n", **{"xpipe/__init__": ""})
    assert load_object(CodeRef(str(tmp_path), "handlers", "M")) is msgspec
    assert load_object(CodeRef(str(tmp_path), "handlers", "X")) is xpipe


def test_packages_and_relative_imports_work(tmp_path):
    files = {
        "pkg/__init__": "from .base import BASE\n",
        "pkg/base": "BASE = 1\n",
        "pkg/sub/__init__": "",
        "pkg/sub/deep": "from ..base import BASE\nfrom .. import base\nimport pkg.sub as s\n"
        "import flat\nVALUE = base.BASE + flat.VALUE\n",
        "space/part": "import pkg.base\nimport pkg.base as b\nVALUE = pkg.base is b\n",
        "flat": "from pkg import *\nfrom pkg.base import *\nVALUE = BASE\n",
    }
    write(tmp_path, **files)
    folder = str(tmp_path)
    assert load_object(CodeRef(folder, "pkg.sub.deep", "VALUE")) == 2
    assert load_object(CodeRef(folder, "pkg/sub/deep.py", "VALUE")) == 2
    assert load_object(CodeRef(folder, "space.part", "VALUE")) is True
    assert load_object(CodeRef(folder, "pkg/__init__.py", "base")) is load_object(CodeRef(folder, "pkg", "base"))


def test_a_file_and_a_dotted_name_are_one_module(tmp_path):
    write(tmp_path, handlers="class Payload: pass\n")
    folder = str(tmp_path)
    assert load_object(CodeRef(folder, "handlers.py", "Payload")) is load_object(CodeRef(folder, "handlers", "Payload"))


@pytest.mark.parametrize("name", ["my-handlers", "a.b", "ünï cödé", "../outside", "__init__", "50%"])
def test_any_file_name_will_do(tmp_path, name):
    folder = tmp_path / "organism"
    folder.mkdir()
    write(folder, sibling="VALUE = 5\n")
    (folder / f"{name}.py").write_text("from sibling import VALUE\n")
    ref = CodeRef(str(folder), f"{name}.py", "VALUE")
    assert load_object(ref) == 5
    assert find_object(str(folder), f"{name}.py:VALUE") == (ref, 5)


def test_a_file_beside_a_package_of_its_name_is_the_file(tmp_path):
    write(tmp_path, both="VALUE = 'file'\n", **{"both/__init__": "VALUE = 'package'\n"})
    assert load_object(CodeRef(str(tmp_path), "both.py", "VALUE")) == "file"
    assert load_object(CodeRef(str(tmp_path), "both", "VALUE")) == "package"


def test_annotations_as_text_resolve_in_the_module(tmp_path):
    write(
        tmp_path,
        typed="from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Tree:\n    kids: list[Tree]\n",
    )
    tree = load_object(CodeRef(str(tmp_path), "typed", "Tree"))
    assert typing.get_type_hints(tree) == {"kids": list[tree]}


def test_a_module_runs_once(tmp_path):
    write(
        tmp_path,
        once="import pathlib\nwith open(pathlib.Path(__file__).parent / 'ran', 'a') as f: f.write('x')\nA = B = 1\n",
    )
    for module, name in [("once", "A"), ("once.py", "B"), ("once", "A")]:
        load_object(CodeRef(str(tmp_path), module, name))
    assert (tmp_path / "ran").read_text() == "x"


def test_the_running_program_is_the_module_and_never_run_again(tmp_path):
    program = (
        "import sys\nprint(__name__)\nf = object()\n"
        + LOADER
        + ("print(load('program', 'f') is f, load('program.py', 'f') is f, load('sibling', 'f') is f)\n")
    )
    write(tmp_path, program=program, sibling="from program import f\n")
    assert run(str(tmp_path / "program.py"), str(tmp_path)).splitlines() == ["__main__", "True True True"]


def test_a_worker_process_finds_the_same_code_under_the_same_names(tmp_path):
    text = "from dataclasses import dataclass\nimport helper\n@dataclass\nclass Payload: pass\n"
    folder = str(write(tmp_path, handlers=text, helper=""))
    script = LOADER + (
        "for module in ('handlers.py', 'handlers'): print(load(module, 'Payload').__module__)\n"
        "print([name for name in ('yaml', 'msgspec', 'asyncio', 'difflib') if name in sys.modules])\n"
    )
    assert run("-c", script, folder).splitlines() == ["handlers", "handlers", "[]"]


SCENARIOS = {
    "what the program imports afterwards is what was loaded": (
        {"handlers": "import models\nclass Note: pass\n", "models": "class Text: pass\n",
         "lib/steps": "class Step: pass\n"},
        "loaded = load('handlers.py', 'Note'), load('lib/steps.py', 'Step'), load('handlers', 'models.Text')\n"
        "from handlers import Note\nfrom lib.steps import Step\nfrom models import Text\n"
        "assert loaded == (Note, Step, Text)\n"
        "assert [one.__module__ for one in loaded] == ['handlers', 'lib.steps', 'models']\n"
        "import pickle\nassert pickle.loads(pickle.dumps(Note)) is Note\n",
    ),
    "what the program has imported already is not loaded again": (
        {"handlers": "import models\nclass Note: pass\n", "models": "class Text: pass\n"},
        "sys.path.insert(0, sys.argv[-1])\nfrom handlers import Note\nimport models\n"
        "assert load('handlers.py', 'Note') is Note\nassert load('models.py', 'Text') is models.Text\n",
    ),
    "also under another name": (
        {"handlers": "from models import Text\nclass Note: pass\n", "models": "class Text: pass\n"},
        "import os\nsys.path.insert(0, os.path.dirname(sys.argv[-1]))\nfrom folder.models import Text\n"
        "assert load('handlers.py', 'Text') is Text\n"
        "import folder.handlers\n",
    ),
    "also through a link to the folder": (
        {"handlers": "class Note: pass\n"},
        "import os\nlink = sys.argv[-1] + '-link'\nos.symlink(sys.argv[-1], link)\nsys.path.insert(0, link)\n"
        "from handlers import Note\nassert load('handlers.py', 'Note') is Note\n",
    ),
    "nothing is hidden by what stands in the folder": (
        {"handlers": "import queue, json\nQ = queue.Queue\n", "queue": "def own(): pass\n",
         "json": "1/0\n", "yaml": "OWN = 1\n"},
        "import queue\nassert load('handlers.py', 'Q') is queue.Queue\nassert load('queue.py', 'own')\n"
        "import yaml\nassert yaml.safe_load\nassert 'queue' in sys.modules and not hasattr(queue, 'own')\n",
    ),
    "a sibling is meant even if an installed module has its name": (
        {"handlers": "import yaml\nOWN = yaml.OWN\n", "yaml": "OWN = 1\n"},
        "assert load('handlers.py', 'OWN') == 1\nimport yaml\nassert yaml.safe_load\n"
        "assert sys.argv[-1] not in sys.path\n",
    ),
    "relative imports out of a plain folder": (
        {"handlers": "from .models import Text\nfrom . import models\n", "models": "class Text: pass\n"},
        "assert load('handlers.py', 'Text') is load('models.py', 'Text') is load('handlers', 'models.Text')\n",
    ),
    "relative imports of a package": (
        {"__init__": "", "handlers": "from .models import Text\n", "models": "from .lib.deep import Text\n",
         "lib/__init__": "", "lib/deep": "from ..base import Text\n", "base": "class Text: pass\n"},
        "Text = load('handlers.py', 'Text')\nassert load('base.py', 'Text') is load('lib.deep', 'Text') is Text\n"
        "assert Text.__module__ == 'folder.base', Text\nimport folder.base\nassert folder.base.Text is Text\n",
    ),
    "absolute and relative imports of one file": (
        {"handlers": "from models import T\n", "other": "from .models import T\n", "models": "class T: pass\n"},
        "assert load('handlers.py', 'T') is load('other.py', 'T')\n",
    ),
    "absolute and relative imports of one file, the other way round": (
        {"handlers": "from models import T\n", "other": "from .models import T\n", "models": "class T: pass\n"},
        "assert load('other.py', 'T') is load('handlers.py', 'T')\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_file_is_one_module(tmp_path, name):
    files, program = SCENARIOS[name]
    folder = write(tmp_path / "folder", **files)
    run("-c", LOADER + program, str(folder), cwd=tmp_path, PYTHONSAFEPATH="1")


@pytest.mark.parametrize("name", ["a b", "my.organism", "ünï"])
def test_any_folder_name_will_do(tmp_path, name):
    folder = write(
        tmp_path / name, handlers="from lib import steps\nVALUE = steps.VALUE\n", **{"lib/steps": "VALUE = 4\n"}
    )
    program = "assert load('handlers.py', 'VALUE') == 4\nassert load('handlers.py', 'steps').__name__ == 'lib.steps'\n"
    run("-c", LOADER + program, str(folder))


def test_a_link_to_a_file_is_a_module_of_the_folder_that_it_stands_in(tmp_path):
    shared = write(tmp_path / "shared", linked="import settings\nVALUE = settings.VALUE\n")
    folders = [write(tmp_path / name, settings=f"VALUE = {name!r}\n") for name in ("one", "two")]
    for folder in folders:
        (folder / "linked.py").symlink_to(shared / "linked.py")
    assert [load_object(CodeRef(str(folder), "linked.py", "VALUE")) for folder in folders] == ["one", "two"]


def test_errors_carry_the_exit_code_and_the_hint(tmp_path):
    write(tmp_path, handlers="def greet(): ...\n")
    with pytest.raises(CodeError) as raised:
        load_object(CodeRef(str(tmp_path), "handlers", "gret"))
    assert raised.value.exit_code == 3
    assert str(raised.value) == 'handlers has no gret. Did you mean "greet"?'


def run(*arguments: str, cwd: Path | None = None, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PYTHONPATH": ROOT, **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADER = """
import sys
from xpipe.config.code import CodeError, load_object
from xpipe.core.organism import CodeRef
def load(module, name, folder=sys.argv[-1]):
    return load_object(CodeRef(folder, module, name))
"""
"""The beginning of a program whose last argument is the folder of an organism."""
ROOT = str(Path(__file__).resolve().parents[3])
