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


def test_the_organism_loaded_last_finds_its_siblings_through_importlib(two, tmp_path):
    text = "import importlib\ndef late(name): return importlib.import_module(name)\n"
    plugins = {"plugins/csv_plugin": "from . import base\nVALUE = base.VALUE\n", "plugins/base": "VALUE = 3\n"}
    third = str(write(tmp_path / "third", dynamic=text, helper="VALUE = 3\n", **plugins))
    load_object(CodeRef(two[0], "handlers", "VALUE"))
    late = load_object(CodeRef(third, "dynamic", "late"))
    assert late("helper").VALUE == 3
    assert late("plugins.csv_plugin").VALUE == 3
    assert late("plugins.csv_plugin") is load_object(CodeRef(third, "plugins", "csv_plugin"))
    load_object(CodeRef(two[0], "handlers", "VALUE"))
    assert "helper" not in sys.modules


def test_nothing_stays_behind_under_plain_names(two):
    load_object(CodeRef(two[0], "handlers", "VALUE"))
    assert "handlers" not in sys.modules
    assert "helper" not in sys.modules
    assert two[0] not in sys.path


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


def test_the_running_program_is_never_run_again(tmp_path):
    write(
        tmp_path,
        program="import sys\nprint(__name__)\nfrom xpipe.config.code import CodeError, load_object\n"
        "from xpipe.core.organism import CodeRef\n"
        "try: load_object(CodeRef(sys.argv[1], 'program', 'f'))\nexcept CodeError as error: print(error)\n",
    )
    assert run(str(tmp_path / "program.py"), str(tmp_path)).splitlines() == [
        "__main__",
        "program cannot be imported: ImportError: program.py is the program that is running; "
        "move what others import to a module of its own.",
    ]


def test_a_worker_process_finds_the_same_code_under_the_same_names(tmp_path):
    text = "from dataclasses import dataclass\nimport helper\n@dataclass\nclass Payload: pass\n"
    write(tmp_path, handlers=text, helper="")
    folder = str(tmp_path)
    here = [load_object(CodeRef(folder, module, "Payload")) for module in ("handlers", "handlers.py")]
    script = (
        "import sys\nfrom xpipe.config.code import load_object\nfrom xpipe.core.organism import CodeRef\n"
        "for module in ('handlers.py', 'handlers'):\n"
        "    print(load_object(CodeRef(sys.argv[1], module, 'Payload')).__module__)\n"
        "print([name for name in ('yaml', 'msgspec', 'asyncio', 'difflib') if name in sys.modules])\n"
    )
    assert run("-c", script, folder).splitlines() == [*(cls.__module__ for cls in here), "[]"]


def test_errors_carry_the_exit_code_and_the_hint(tmp_path):
    write(tmp_path, handlers="def greet(): ...\n")
    with pytest.raises(CodeError) as raised:
        load_object(CodeRef(str(tmp_path), "handlers", "gret"))
    assert raised.value.exit_code == 3
    assert str(raised.value) == 'handlers has no gret. Did you mean "greet"?'


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env={"PYTHONPATH": ROOT}
    )
    return done.stdout


ROOT = str(Path(__file__).resolve().parents[3])
