"""On a real terminal: live progress on stderr, tables on stdout, nothing left behind."""

from __future__ import annotations

import re

import pytest

from cli.bench import Bench
from cli.terminal import Terminal

SPREAD = ["--send", 'spread={"items": 30, "seconds": 0.03}', "--workers", "1"]


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.slow)])
def test_progress_is_live_on_stderr_and_the_tables_are_on_stdout(bench: Bench, columns: int) -> None:
    terminal = Terminal(columns)
    environ = bench.environment(TERM="xterm-256color")
    process = bench.start("run", bench.organism("spread", "busy"), *SPREAD, env=environ, stderr=terminal.theirs)
    talk = terminal.read(process).decode()
    assert process.stdout is not None
    data = process.stdout.read()
    assert process.returncode == 0
    assert re.search(r"\d+ hops? done   \d+ in flight   0 faults", talk)
    assert re.search(r"busy.*running", talk)
    assert re.search(r"fan-out.*of 30", talk)
    assert talk.count("\x1b[?25l") == talk.count("\x1b[?25h") == 1
    assert b"\x1b" not in data
    assert b'text: "30 of 30"' in data
    assert re.search(rb"\nspread +1  done ", data)
    assert re.search(rb"\nbusy +30 of 30 +0\n", data)


def test_what_handlers_and_workers_print_stays_readable_above_the_progress(bench: Bench) -> None:
    terminal = Terminal(80)
    sends = ["--send", "chatty={}", "--send", "chatty_worker={}"]
    environ = bench.environment(TERM="xterm-256color")
    organism = bench.organism("chatty", "chatty_worker")
    process = bench.start("run", organism, *sends, env=environ, stderr=terminal.theirs)
    talk = terminal.read(process).decode()
    printed = (r"chatty\| printed by chatty", r"chatty_worker\| printed by a worker")
    for line in (*printed, "written by chatty", "written by a worker"):
        assert re.search(rf"(\n|\r|\x1b\[[0-9;?]*[A-Za-z]){line}\r\n", talk), talk


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TERM": "xterm", "CI": "true"}])
def test_a_dumb_terminal_and_ci_get_no_live_progress(bench: Bench, variables: dict[str, str]) -> None:
    terminal = Terminal(80)
    environ = bench.environment(**variables)
    process = bench.start("run", bench.organism("echo"), "--send", "echo={}", env=environ, stderr=terminal.theirs)
    assert terminal.read(process) == b""
    assert process.returncode == 0


def test_lines_fit_the_terminal_and_fold_instead_of_being_cut(bench: Bench) -> None:
    terminal = Terminal(60)
    text = "word " * 40 + "x" * 100
    environ = bench.environment(TERM="xterm")
    send = ["--send", f'echo={{"text": "{text}"}}']
    process = bench.start("run", bench.organism("echo"), *send, "--details", env=environ, stdout=terminal.theirs)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.read(process).decode())
    table = shown[shown.index("Thread registry") : shown.index("1 conversation")].splitlines()
    assert all(len(line) <= 60 for line in table)
    assert shown.count("word") == 40
    assert shown.count("x" * 40) >= 1
    assert "…" not in shown


@pytest.mark.parametrize("columns", [25, *(pytest.param(one, marks=pytest.mark.slow) for one in (40, 48))])
def test_a_narrow_terminal_loses_no_column(bench: Bench, columns: int) -> None:
    terminal = Terminal(columns)
    environ = bench.environment(TERM="xterm", NO_COLOR="1")
    arguments = ["run", bench.organism("echo"), "--send", "echo={}", "--details"]
    process = bench.start(*arguments, env=environ, stdout=terminal.theirs)
    shown = terminal.read(process).decode()
    registry = shown[shown.index("Thread registry") : shown.index("Context buffers")].splitlines()
    assert all(len(line) <= columns for line in registry)
    assert sum(line.count(".") for line in registry) == 1 + 2 + 3, registry


def test_no_color_on_a_terminal_means_no_escape_codes_in_the_tables(bench: Bench) -> None:
    terminal = Terminal(80)
    environ = bench.environment(TERM="xterm", NO_COLOR="1")
    process = bench.start("run", bench.organism("echo"), "--send", "echo={}", env=environ, stdout=terminal.theirs)
    assert b"\x1b" not in terminal.read(process)


def test_a_resume_shows_on_a_terminal_what_it_has_finished(bench: Bench) -> None:
    organism = bench.organism("echo", extra="backend: {type: sqlite, path: state/bench.db}\n")
    bench.run("send", organism, 'echo={"text": "sent"}')
    terminal = Terminal(80)
    environ = bench.environment(TERM="xterm", NO_COLOR="1")
    process = bench.start("run", organism, "--resume", env=environ, stdout=terminal.theirs)
    shown = terminal.read(process).decode()
    assert "text: sent" in shown
    assert "1 conversation, 1 hop in" in shown
    assert bench.run("outputs", organism, "--undelivered", "--jsonl").stdout == b""


def test_help_imports_no_runtime_and_ends_with_examples(bench: Bench) -> None:
    for option in ("--help", "-h"):
        run = bench.run("run", option, COLUMNS="100")
        assert run.returncode == 0
        text = run.stdout.decode()
        assert text.index("Messages") < text.index("Running") < text.index("Results") < text.index("Examples")
        assert "xpipe run --input orders.xml --out invoices.xml" in text


def test_help_folds_its_sentences_and_flags_take_no_value(bench: Bench) -> None:
    lines = [line.strip() for line in bench.run("run", "--help", COLUMNS="80").stdout.decode().splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("Exit codes"))
    assert len(lines[first]) > 60
    assert lines[first + 2] == ""
    assert not any("--json" in line and "<bool>" in line for line in lines)
