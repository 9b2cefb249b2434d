"""Counts what is in a folder of Python code: every module is parsed by a worker process, then all is added up."""

from __future__ import annotations

import ast
import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xpipe import BufferComplete, BufferStart, HandlerMetadata

FORKS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
NOT_OURS = {"site-packages", "dist-packages"}
MOST_COMPLEX = 10
MOST_FAILURES = 50
LONGEST_REASON = 300


@dataclass
class CodeFolder:
    """The question: what is in this folder? Empty stands for the standard library of the running Python."""

    folder: str = ""


@dataclass
class SourceFile:
    """A module to analyse: `path` is how we call it, `location` where it is."""

    path: str
    location: bytes  # a file name on disk need not be text


@dataclass
class FunctionStats:
    """One function; `complexity` is 1 for the straight way through it and 1 for each branch off that way."""

    path: str
    line: int
    name: str
    complexity: int


@dataclass
class FileStats:
    """What is in one module; `most_complex` holds only those functions that can matter in the end."""

    path: str
    lines: int
    functions: int
    classes: int
    branches: int
    most_complex: list[FunctionStats]


@dataclass
class Failure:
    """A module that could not be analysed; `item` is its place, from 0, in the sorted list of modules."""

    item: int
    code: str
    reason: str


@dataclass
class CodeReport:
    """The answer. `failures` is cut after the first few; `failed` counts all of them."""

    folder: str
    files: int
    parsed: int
    failed: int
    lines: int
    functions: int
    classes: int
    branches: int
    most_complex: list[FunctionStats]
    failures: list[Failure]


def survey(payload: CodeFolder | BufferComplete, metadata: HandlerMetadata) -> BufferStart | CodeReport:
    """Called twice: with the question, which it fans out, and with the collected answers, which it adds up."""
    if isinstance(payload, CodeFolder):
        return BufferStart(target="analyse", items=find_modules(root_of(payload)))
    return add_up(root_of(question_in(metadata)), payload)


def analyse(source: SourceFile) -> FileStats:
    """Count what is in one module. An exception makes it a failed item; it does not stop the others."""
    try:
        code = read(Path(os.fsdecode(source.location)))
        tree = parse(code, source.path)
    except Exception as error:
        # The survey sees only this text of a failed item, so it has to name the file.
        raise ValueError(f"{source.path}: {type(error).__name__}: {error}") from None
    return measure(tree, source.path, lines=len(code.splitlines()))


def root_of(question: CodeFolder) -> Path:
    """The folder in question."""
    return Path(question.folder or sysconfig.get_path("stdlib")).expanduser().absolute()


def question_in(metadata: HandlerMetadata) -> CodeFolder:
    """The last question in this thread's history, which is the one that is being answered."""
    return next(slot.payload for slot in reversed(metadata.history) if isinstance(slot.payload, CodeFolder))


def find_modules(root: Path) -> list[SourceFile]:
    """Every `*.py` below `root` that is not an installed package, sorted by path."""
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; name one that holds Python code")
    modules = [
        SourceFile(printable(path.relative_to(root).as_posix()), os.fsencode(path))
        for path in walk(root)
        if path.name.endswith(".py")
    ]
    if not modules:
        raise ValueError(f"{root} holds no Python files (*.py)")
    return sorted(modules, key=lambda module: module.path)


def walk(root: Path) -> Iterator[Path]:
    """Every file below `root`. Links to folders are not followed, so that a circle of them ends."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in NOT_OURS]
        yield from (Path(folder, name) for name in files)


def printable(path: str) -> str:
    """`path` with every byte that is not text as an escape, which can stand in a message and in a report."""
    return os.fsencode(path).decode(errors="backslashreplace")


def read(file: Path) -> bytes:
    """The bytes of `file`."""
    if file.exists() and not file.is_file():
        # A pipe or a device might never end.
        raise OSError("not a regular file")
    return file.read_bytes()


def parse(code: bytes, path: str) -> ast.Module:
    """The syntax tree of `code`. Bytes, because Python itself knows best how a source file declares its encoding."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code, path)


def measure(tree: ast.Module, path: str, lines: int) -> FileStats:
    """Count in one pass. No recursion, because real code nests deeper than Python's stack allows."""
    functions: list[FunctionStats] = []
    classes = branches = 0
    todo: list[tuple[ast.AST, FunctionStats | None]] = [(tree, None)]
    while todo:
        node, function = todo.pop()
        here = branches_at(node)
        branches += here
        if function:
            function.complexity += here
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = FunctionStats(path, node.lineno, node.name, complexity=1)
            functions.append(function)
        elif isinstance(node, ast.ClassDef):
            classes += 1
        todo.extend((child, function) for child in ast.iter_child_nodes(node))
    return FileStats(path, lines, len(functions), classes, branches, hardest(functions))


def branches_at(node: ast.AST) -> int:
    """How many ways lead off the straight one at `node` itself."""
    if isinstance(node, FORKS):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return 0


def hardest(functions: Iterable[FunctionStats]) -> list[FunctionStats]:
    """The most complex of `functions`, the worst first; equal ones by path and line."""
    return sorted(functions, key=lambda one: (-one.complexity, one.path, one.line))[:MOST_COMPLEX]


def add_up(root: Path, answers: BufferComplete) -> CodeReport:
    """The report on `root` from the answers for all its modules."""
    parsed: list[FileStats] = [answer.result for answer in answers.results if answer.success]
    failed = [
        Failure(answer.index, answer.code, answer.error[:LONGEST_REASON])
        for answer in answers.results
        if not answer.success
    ]
    return CodeReport(
        folder=printable(str(root)),
        files=answers.total,
        parsed=len(parsed),
        failed=len(failed),
        lines=sum(file.lines for file in parsed),
        functions=sum(file.functions for file in parsed),
        classes=sum(file.classes for file in parsed),
        branches=sum(file.branches for file in parsed),
        most_complex=hardest(function for file in parsed for function in file.most_complex),
        failures=failed[:MOST_FAILURES],
    )
