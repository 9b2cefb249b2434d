"""A command imports what it needs and nothing else; `python -m benchmarks startup` measures what that is worth."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.bench import Bench
from cli.stored import SQLITE

LIST = """
import sys
before = set(sys.modules)
from xpipe.cli.app import run_command_line
run_command_line(sys.argv[1:])
print(*set(sys.modules) - before, file=sys.stderr)
"""
TYPER = {"typer", "shellingham", "annotated_doc"}
READING = {"yaml", "_yaml", "cython_runtime", "_cython", "msgspec", "typing_extensions"}
SLOW = {"asyncio", "logging", "hashlib", "multiprocessing", "importlib.resources", "tempfile", "concurrent"}
"""Parts of the standard library that take long to import."""
LEAVING = {"xpipe.cli.leaving", "xpipe.core", "xpipe.core.errors"}
INSIDE = {"xpipe.assembly", "xpipe.runtime"}


def modules(bench: Bench, *arguments: str) -> set[str]:
    """The modules that the command line has imported in a pipe, with the packages that they are in."""
    command = [sys.executable, "-c", LIST, *arguments]
    run = subprocess.run(
        command, cwd=bench.folder, env=bench.environment(), capture_output=True, text=True, timeout=30, check=True
    )
    names = run.stderr.splitlines()[-1].split()
    return {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}


def installed(names: set[str]) -> set[str]:
    """The packages among `names` that are not Python's own."""
    own = {*sys.stdlib_module_names, "xpipe"}
    return {name.partition("_3_")[0] for name in names if "." not in name and name not in own and name.isidentifier()}


def test_version_imports_nothing(bench: Bench) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "xpipe", "--version"]
    run = subprocess.run(command, env=bench.environment(), capture_output=True, text=True, timeout=30, check=True)
    names = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert run.stdout == "xpipe 0.1.0\n"
    assert {name for name in names if name.startswith("xpipe")} <= {"xpipe", "xpipe.version", "xpipe.cli", *LEAVING}
    assert not names & {"typer", "rich", "dataclasses", "threading", *SLOW}


@pytest.mark.parametrize(
    "arguments",
    [
        ["threads", "organism.yaml"],
        ["threads", "organism.yaml", "--jsonl"],
        ["threads", "--backend", "sqlite", "--path", "state/bench.db"],
        ["check", "organism.yaml", "--no-imports"],
        ["config", "organism.yaml"],
    ],
    ids=" ".join,
)
def test_what_does_not_run_an_organism_imports_little(bench: Bench, arguments: list[str]) -> None:
    bench.organism("echo", extra=SQLITE)
    assert bench.run("run", "organism.yaml", "--send", "echo={}").returncode == 0
    names = modules(bench, *arguments)
    assert installed(names) <= TYPER | READING
    assert not names & (SLOW | INSIDE)


def test_help_imports_no_more_than_the_commands_and_what_draws_it(bench: Bench) -> None:
    names = modules(bench, "--help")
    assert installed(names) <= TYPER | {"rich", "markdown_it", "mdurl", "pygments", "attr", "typing_extensions"}
    assert not names & (INSIDE | {"asyncio", "xpipe.config", "xpipe.backends"})


def test_a_wrong_option_is_told_of_before_anything_is_imported(bench: Bench) -> None:
    names = modules(bench, "threads", "--jsno")
    assert installed(names) <= TYPER
    assert not names & (SLOW | INSIDE | {"xpipe.config", "xpipe.backends", "xpipe.wire"})


def test_a_command_imports_no_other_command(bench: Bench) -> None:
    names = modules(bench, "threads", "--jsno")
    assert {
        name for name in names if name in {f"xpipe.cli.{one}" for one in ("run", "send", "gc", "dead", "trace")}
    } == set()


def test_a_run_on_sqlite_imports_no_redis_and_no_xml(bench: Bench) -> None:
    bench.organism("echo", extra=SQLITE)
    names = modules(bench, "run", "organism.yaml", "--send", 'echo={"text": "hi"}', "--json")
    assert not installed(names) & {"redis", "hiredis", "lxml", "rich", "pydantic"}
