"""Files beside organism.yaml that have the name of another module."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from xpipe.config.loading import examine

ORGANISM = """\
organism: o
listeners:
  - {name: greet, handler: handlers.py:greet}
  - {name: late, handler: queue.py:greet}
"""
PYTHON = '"queue.py" has the name of a standard module, so `import queue` finds that one. Rename it.'


def check(folder: Path, imports: bool = True, text: str = ORGANISM) -> tuple[bool, list[str]]:
    (folder / "organism.yaml").write_text(text)
    found = examine("organism.yaml", {}, imports, messages=True)
    return found.definition is not None, [str(one).removeprefix("organism.yaml:") for one in found.findings]


@pytest.mark.parametrize("imports", [True, False])
def test_a_file_with_the_name_of_another_module_is_a_warning_where_it_is_named_first(folder, imports):
    (folder / "queue.py").write_text("from handlers import greet\n")
    (folder / "yaml").mkdir()
    (folder / "yaml" / "__init__.py").write_text("1/0\n")
    (folder / "msgspec").mkdir()  # A folder of data hides nothing and is not hidden.

    other = f'"yaml" has the name of {yaml.__file__}, so `import yaml` finds that one in other folders. Rename it.'
    assert check(folder, imports) == (
        True,
        [f"1:11: warning[hidden-module]: {other}", f"4:27: warning[hidden-module]: {PYTHON}"],
    )


def test_files_with_names_of_their_own_are_no_finding(folder):
    (folder / "quite_another.py").write_text("")
    assert check(folder, text=ORGANISM.replace("queue.py", "handlers.py")) == (True, [])
    assert check(folder, text=ORGANISM.replace("queue.py", "handlers.py")) == (True, [])
