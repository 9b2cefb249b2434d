"""codestats: its numbers agree with numbers counted by hand, and with a census made another way."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

XpipeRun = Callable[..., subprocess.CompletedProcess[str]]
ORGANISM = "organisms/codestats/organism.yaml"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

BRANCHY = b"""\
def branchy(items, flag):
    for item in items:  # 1
        if item and flag or None:  # 2: if; 3: and; 4: or
            return [x for x in item if x if not flag]  # 5: for; 6, 7: if
        elif item:  # 8
            continue
    while flag:  # 9
        try:
            flag = 1 if flag else 0  # 10
        except (ValueError, KeyError):  # 11
            pass
        except TypeError:  # 12
            pass
    match items:
        case []:  # 13
            return lambda: 0 if items else 1  # 14
        case _:  # 15
            pass
"""
NESTED = b"""\
class Outer:
    def method(self):
        def inner():
            if self:
                pass
        class Local:
            async def deepest(self):
                async for x in self:
                    pass
        if inner:
            pass
if Outer:
    pass
"""
STAIRS = "".join(f"{' ' * depth}def step{depth}():\n" for depth in range(90)).encode() + b" " * 90 + b"pass\n"

# name: source; lines, functions, classes, branches
GOOD: dict[str, tuple[bytes, tuple[int, int, int, int]]] = {
    "bom.py": (b"\xef\xbb\xbfdef marked():\n    pass\n", (2, 1, 0, 0)),
    "branchy.py": (BRANCHY, (18, 1, 0, 15)),
    "crlf.py": (b"def windows():\r\n    if 1:\r\n        pass", (3, 1, 0, 1)),
    "empty.py": (b"", (0, 0, 0, 0)),
    "escape.py": (b"pattern = '\\d'\n", (1, 0, 0, 0)),
    "folder.py/inside.py": (b"class A: pass\nclass B: pass\n", (2, 0, 2, 0)),
    "latin.py": (b"# -*- coding: latin-1 -*-\ndef caf\xe9(): return '\xe9'\n", (2, 1, 0, 0)),
    "nested.py": (NESTED, (13, 3, 2, 4)),
    "stairs.py": (STAIRS, (91, 90, 0, 0)),
}
BAD: dict[str, bytes] = {
    "cookie.py": b"# coding: klingon\n",
    "minus.py": b"-" * 100_000 + b"1\n",
    "nul.py": b"x = 1\0\n",
    "parentheses.py": b"(" * 500 + b"\n",
    "syntax.py": b"def broken(:\n",
    "undeclared.py": b"name = '\xe9'\n",
}
BAD_LINKS = {"dangling.py": "nowhere.py", "itself.py": "itself.py"}
IGNORED = {"notes.txt": b"def no(): pass\n", "site-packages/a.py": b"x = 1\n", "lib/dist-packages/b.py": b"x = 1\n"}


@dataclass
class Census:
    """What is below a folder, found out here and not by the organism."""

    files: int = 0
    lines: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    branches: int = 0
    failed: set[str] = field(default_factory=set)
    functions: list[dict[str, Any]] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        return {
            "files": self.files,
            "parsed": self.files - len(self.failed),
            "failed": len(self.failed),
            "lines": self.lines,
            "functions": self.nodes["FunctionDef"] + self.nodes["AsyncFunctionDef"],
            "classes": self.nodes["ClassDef"],
            "branches": self.branches,
        }

    def most_complex(self) -> list[dict[str, Any]]:
        return sorted(self.functions, key=lambda one: (-one["complexity"], one["path"], one["line"]))[:10]


def census(root: Path) -> Census:
    found = Census()
    for file in root.rglob("*.py"):
        path = file.relative_to(root)
        if file.is_dir() or {"site-packages", "dist-packages"} & set(path.parts):
            continue
        found.files += 1
        try:
            source = file.read_bytes()
            tree = syntax_tree(source)
        except Exception:
            found.failed.add(path.as_posix())
        else:
            found.lines += sum(1 for _ in io.TextIOWrapper(io.BytesIO(source), "latin-1"))
            count(tree, path.as_posix(), found)
    return found


def syntax_tree(source: bytes) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(source, "", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)


def count(tree: ast.AST, path: str, found: Census) -> None:
    """Where the organism goes down the tree and carries the function along, this climbs up from each branch."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    complexity: Counter[ast.AST] = Counter({node: 1 for node in [tree, *parents] if isinstance(node, FUNCTIONS)})
    for node in [tree, *parents]:
        found.nodes[type(node).__name__] += not isinstance(node, ast.expr_context)
        if weight := branches_of(node):
            found.branches += weight
            owner = next((above for above in ancestors(node, parents) if isinstance(above, FUNCTIONS)), None)
            if owner is not None:
                complexity[owner] += weight
    for function, total in complexity.items():
        assert isinstance(function, FUNCTIONS)
        described = {"path": path, "line": function.lineno, "name": function.name, "complexity": total}
        found.functions.append(described)


def branches_of(node: ast.AST) -> int:
    kind = type(node).__name__
    if kind == "BoolOp":
        return sum(1 for _ in ast.iter_child_nodes(node)) - 2  # one child is the operator, one the first operand
    if kind == "comprehension":
        return 1 + len(getattr(node, "ifs", ()))
    return int(kind in {"If", "IfExp", "For", "AsyncFor", "While", "ExceptHandler", "match_case"})


def ancestors(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    while node in parents:
        node = parents[node]
        yield node


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, source in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source)


def report(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    [output] = json.loads(run.stdout)["outputs"]
    assert (output["kind"], output["from"], output["type"]) == ("response", "survey", "CodeReport")
    payload: dict[str, Any] = output["payload"]
    return payload


def totals(payload: dict[str, Any]) -> dict[str, int]:
    return {name: payload[name] for name in Census().totals()}


def assert_failures_name(failures: list[dict[str, Any]], paths: set[str]) -> None:
    assert len(failures) == len(paths)
    for path in paths:
        assert sum(f"{path}: " in failure["reason"] for failure in failures) == 1, path


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasty")
    write(folder, {name: source for name, (source, _) in GOOD.items()} | BAD | IGNORED)
    for name, target in BAD_LINKS.items():
        (folder / name).symlink_to(target)
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def nasty_run(nasty: Path, xpipe_run: XpipeRun) -> subprocess.CompletedProcess[str]:
    return xpipe_run(ORGANISM, "--json", CODE_FOLDER=str(nasty))


def test_a_folder_of_nasty_files_has_the_numbers_counted_by_hand(
    nasty: Path, nasty_run: subprocess.CompletedProcess[str]
) -> None:
    by_hand = [sum(column) for column in zip(*(numbers for _, numbers in GOOD.values()), strict=True)]
    payload = report(nasty_run)
    assert payload["folder"] == str(nasty)
    assert (payload["parsed"], payload["failed"]) == (len(GOOD), len(BAD) + len(BAD_LINKS))
    assert [payload[name] for name in ("lines", "functions", "classes", "branches")] == by_hand


def test_a_folder_of_nasty_files_agrees_with_the_census(
    nasty: Path, nasty_run: subprocess.CompletedProcess[str]
) -> None:
    assert totals(report(nasty_run)) == census(nasty).totals()


def test_what_cannot_be_parsed_or_read_is_a_failed_item_that_names_its_file(
    nasty_run: subprocess.CompletedProcess[str],
) -> None:
    assert_failures_name(report(nasty_run)["failures"], BAD.keys() | BAD_LINKS.keys())


def test_a_fault_shows_the_handler_and_not_how_python_parses(
    nasty_run: subprocess.CompletedProcess[str],
) -> None:
    tracebacks = [fault["traceback"] for fault in json.loads(nasty_run.stdout)["faults"]]
    assert len(tracebacks) == len(BAD) + len(BAD_LINKS)
    assert all(", in analyse\n" in one and "ast.py" not in one for one in tracebacks)


def test_the_most_complex_functions_come_first_and_equal_ones_by_place(
    nasty_run: subprocess.CompletedProcess[str],
) -> None:
    worst = [(one["complexity"], one["path"], one["line"], one["name"]) for one in report(nasty_run)["most_complex"]]
    assert worst == [
        (16, "branchy.py", 1, "branchy"),
        (2, "crlf.py", 1, "windows"),
        (2, "nested.py", 2, "method"),
        (2, "nested.py", 3, "inner"),
        (2, "nested.py", 7, "deepest"),
        (1, "bom.py", 1, "marked"),
        (1, "latin.py", 2, "café"),
        (1, "stairs.py", 1, "step0"),
        (1, "stairs.py", 2, "step1"),
        (1, "stairs.py", 3, "step2"),
    ]


def test_warnings_about_the_analysed_code_are_not_shown(nasty_run: subprocess.CompletedProcess[str]) -> None:
    assert "Warning" not in nasty_run.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_nobody_writes_to_is_a_failed_item(xpipe_run: XpipeRun, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    payload = report(xpipe_run(ORGANISM, "--json", CODE_FOLDER=str(tmp_path)))
    assert (payload["files"], payload["failed"]) == (1, 1)
    assert_failures_name(payload["failures"], {"pipe.py"})


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are any bytes")
def test_a_module_whose_name_is_no_text_is_read_like_any_other(xpipe_run: XpipeRun, tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.py", "wb") as file:
        file.write(b"def f(): pass\n")
    payload = report(xpipe_run(ORGANISM, "--json", CODE_FOLDER=str(tmp_path)))
    assert (payload["parsed"], payload["failed"]) == (1, 0)
    assert payload["most_complex"][0]["path"] == "caf\\xe9.py"


def test_a_further_folder_can_be_sent(xpipe_run: XpipeRun, tmp_path: Path) -> None:
    write(tmp_path, {"one/a.py": b"def f(): pass\n", "two/a.py": b"class A: pass\n"})
    question = json.dumps({"folder": str(tmp_path / "two")})
    run = xpipe_run(ORGANISM, "--send", f"survey={question}", "--json", CODE_FOLDER=str(tmp_path / "one"))
    assert run.returncode == 0, run.stderr
    answers = [output["payload"] for output in json.loads(run.stdout)["outputs"]]
    found = {answer["folder"]: (answer["functions"], answer["classes"]) for answer in answers}
    assert found == {str(tmp_path / "one"): (1, 0), str(tmp_path / "two"): (0, 1)}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing", "is not a folder"), ("empty", "holds no Python files"), ("file", "is not a folder")],
)
def test_a_folder_without_code_is_a_fault_that_says_so(
    xpipe_run: XpipeRun, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    run = xpipe_run(ORGANISM, "--json", CODE_FOLDER=str(tmp_path / name))
    assert run.returncode == 1, run.stderr
    [output] = json.loads(run.stdout)["outputs"]
    assert (output["kind"], output["payload"]["origin"]) == ("fault", "survey")
    assert f"{tmp_path / name} {sentence}" in output["payload"]["text"]


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_standard_library_agrees_with_the_census(xpipe_run: XpipeRun) -> None:
    expected = census(Path(sysconfig.get_path("stdlib")))
    payload = report(xpipe_run(ORGANISM, "--json", timeout=100))
    assert totals(payload) == expected.totals()
    assert payload["most_complex"] == expected.most_complex()
    assert_failures_name(payload["failures"], expected.failed)
