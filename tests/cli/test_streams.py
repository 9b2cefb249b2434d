"""stdout is data and stderr is talk, in every command; and what terminals, pipes and full disks do to them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator

import foreign
import pytest

from cli.bench import Bench
from cli.stored import SQLITE
from xpipe.cli.console import Medium

ECHO = 'echo={"text": "hello"}'
DATA = {
    "run": ["run", "organism.yaml", "--send", ECHO],
    "send": ["send", "organism.yaml", ECHO],
    "check": ["check", "organism.yaml"],
    "config": ["config", "organism.yaml"],
    "graph": ["graph", "organism.yaml"],
    "schema": ["schema", "organism.yaml"],
    "threads": ["threads", "organism.yaml"],
    "registry": ["registry", "organism.yaml"],
    "outputs": ["outputs", "organism.yaml"],
    "trace": ["trace", "organism.yaml"],
    "dead list": ["dead", "list", "organism.yaml"],
    "dead show": ["dead", "show", "organism.yaml", "1"],
    "dead drop": ["dead", "drop", "organism.yaml", "1"],
    "gc": ["gc", "organism.yaml", "--dry-run"],
}
TALKS = {"check": b"is fine", "send": b"no run of bench is active", "dead drop": b"nothing was changed"}
"""What is told besides the data."""
LIGHT = ["threads", "graph"]
"""These stand for the others where each costs a process and the slow tests have them all."""
ALL = [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in DATA]
PRINTING = [one for name, one in zip(DATA, ALL, strict=True) if name != "check"]
"""Not `check`, which says that all is fine on stderr."""
OTHER_FORMS = [["run", "--jsonl"], ["run", "--json"]]
CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture
def used(bench: Bench) -> Bench:
    """An organism that has run: two answers, one dead letter."""
    bench.organism("echo", "broken", extra=SQLITE)
    run = bench.run("run", "organism.yaml", "--send", ECHO, "--send", 'broken={"text": "\\u001b[31mthis"}')
    assert run.returncode == 1
    return bench


@pytest.mark.parametrize("name", DATA)
def test_data_is_alone_on_stdout_and_parses(used: Bench, name: str) -> None:
    options = [] if name == "schema" else ["--json"]
    run = used.run(*DATA[name], *options)
    assert run.returncode == 0, run
    assert isinstance(json.loads(run.stdout), dict)
    assert TALKS[name] in run.stderr if name in TALKS else run.stderr == b""
    assert not CONTROL.search(run.stdout + run.stderr)


@pytest.mark.parametrize("name", ALL)
def test_an_error_leaves_stdout_empty_and_is_told_without_a_traceback(used: Bench, name: str) -> None:
    (used.folder / "organism.yaml").write_text("organism: {name: bench}\n")
    run = used.run(*DATA[name])
    assert run.returncode == 3
    assert b"listeners" in run.stderr + run.stdout
    assert run.stdout == b"" or name == "check"  # Its data are the findings.
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize("name", PRINTING)
def test_a_full_disk_is_one_sentence_and_no_success(used: Bench, name: str) -> None:
    with open("/dev/full", "wb") as full:
        process = used.start(*DATA[name], stdout=full)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.decode().splitlines()[-1] == f"xpipe: cannot write stdout: {foreign.DISK_FULL}; later output is lost"
    assert b"Traceback" not in stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["threads", "--help"]])
def test_a_full_disk_is_told_of_by_what_only_helps_too(bench: Bench, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        process = bench.start(*words, stdout=full)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.count(b"\n")) == (1, 1)
    assert foreign.DISK_FULL.encode() in stderr


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
@pytest.mark.parametrize("name", PRINTING)
def test_closed_streams_are_nobodys_problem(used: Bench, name: str, closing: str) -> None:
    command = used.command(*DATA[name])
    run = subprocess.run(
        ["sh", "-c", f'exec "$@" {closing}', "sh", *command],
        cwd=used.folder, env=used.environment(), capture_output=True, timeout=30,
    )  # fmt: skip
    delivers = name in ("run", "outputs")
    assert run.returncode == (1 if delivers and closing == ">&-" else 0), run
    assert b"Traceback" not in run.stderr
    assert bool(run.stdout) == (closing != ">&-")


@pytest.mark.parametrize("closing", [">&-", "1<organism.yaml"])
@pytest.mark.parametrize(
    "words", [["run"], ["send", "--wait"], *(pytest.param(one, marks=pytest.mark.slow) for one in OTHER_FORMS)]
)
def test_nothing_is_begun_whose_answer_cannot_be_printed(bench: Bench, words: list[str], closing: str) -> None:
    bench.organism("echo", extra=SQLITE)
    command = bench.command(words[0], "organism.yaml", *words[1:], "--send" if words[0] == "run" else ECHO, ECHO)
    run = subprocess.run(
        ["sh", "-c", f'exec "$@" {closing}', "sh", *command],
        cwd=bench.folder, env=bench.environment(), capture_output=True, timeout=30,
    )  # fmt: skip

    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr.startswith(b"xpipe: stdout is closed; redirect it to a file"), run.stderr
    assert bench.run("threads", "organism.yaml").returncode == 4, "a conversation was begun"


def test_a_run_that_writes_to_a_file_needs_no_stdout(bench: Bench) -> None:
    command = bench.command("run", bench.organism("echo"), "--send", ECHO, "--out", "out.jsonl")
    run = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command],
        cwd=bench.folder, env=bench.environment(), capture_output=True, timeout=30,
    )  # fmt: skip

    assert run.returncode == 0, run
    assert (bench.folder / "out.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("words", [pytest.param(["--help"], marks=pytest.mark.slow), DATA["threads"], DATA["graph"]])
def test_head_gets_its_line_and_no_complaint(used: Bench, words: list[str]) -> None:
    command = " ".join(used.command(*words))
    shell = f"set -o pipefail; {command} | head -1"
    run = subprocess.run(
        ["bash", "-c", shell], cwd=used.folder, env=used.environment(), capture_output=True, timeout=30
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.count(b"\n") == 1


@pytest.fixture
def terminal() -> Iterator[int]:
    ours, theirs = pty.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("variables", "color", "live"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "CI": "true"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
    ],
)
def test_a_terminal_shows_what_the_variables_ask_for(
    terminal: int, variables: dict[str, str], color: bool, live: bool
) -> None:
    medium = Medium.of(terminal, variables | {"COLUMNS": "123"})
    assert (medium.width, medium.color, medium.live) == (123, color, live)


@pytest.mark.parametrize(("variables", "color"), [({"COLUMNS": "40"}, False), ({"FORCE_COLOR": "1"}, True)])
def test_a_pipe_has_no_width_whatever_the_variables_say(variables: dict[str, str], color: bool) -> None:
    ours, theirs = os.pipe()
    medium = Medium.of(theirs, variables)
    os.close(ours)
    os.close(theirs)
    assert (medium.width, medium.color, medium.live) == (None, color, False)
