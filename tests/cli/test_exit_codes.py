"""`xpipe run` ends with the code of the table in README, and says why in one sentence on stderr.

130 and 143 are provoked in test_signals.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import foreign
import pytest

from cli.bench import Bench
from xpipe.cli.errors import exit_code, exit_code_of_signal, explain
from xpipe.core import errors
from xpipe.core.errors import BackendError, ConfigError, PayloadError, PoolError, UsageError
from xpipe.core.findings import Finding


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The real executable, from the start of Python on."""
    made = Bench(tmp_path)
    yield made
    made.close()


def test_every_error_has_the_code_of_the_table() -> None:
    table = {
        1: [PayloadError("p"), PoolError("p")],
        2: [UsageError("u")],
        3: [ConfigError([])],
        4: [BackendError("b")],
        70: [ValueError("v"), AssertionError()],
        130: [KeyboardInterrupt()],
    }
    assert {code: {exit_code(error) for error in errors} for code, errors in table.items()} == {
        code: {code} for code in table
    }
    assert [exit_code_of_signal(number) for number in (2, 15, 1)] == [130, 143, 143]


def test_a_bug_shows_its_traceback_and_asks_to_be_reported() -> None:
    text = explain(ZeroDivisionError("by zero"))
    assert "ZeroDivisionError: by zero" in text
    assert text.splitlines()[-1].startswith("xpipe: this is a bug in xpipe")


def test_findings_are_counted() -> None:
    findings = [Finding("o.yaml", 3, 1, "key-unknown", "There is no peer.", "Did you mean peers?")]
    assert explain(ConfigError(findings)).splitlines() == [
        "o.yaml:3:1: error[key-unknown]: There is no peer.",
        "    hint: Did you mean peers?",
        "",
        "xpipe: 1 error in o.yaml; nothing was done",
    ]


def test_0_when_everything_was_answered(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "hi"}')
    assert (run.returncode, run.stderr) == (0, b"")


def test_0_and_a_hint_when_there_is_nothing_to_do(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"))
    assert (run.returncode, run.stdout) == (0, b"")
    assert b"nothing to do" in run.stderr
    assert b"--send 'echo={...}'" in run.stderr


def test_1_when_a_handler_failed(bench: Bench) -> None:
    run = bench.run("run", bench.organism("broken"), "--send", 'broken={"text": "that"}')
    assert run.returncode == 1
    assert b"cannot do that" in run.stdout
    assert b"in broken" in run.stdout


def test_1_when_nobody_was_told_of_a_fault(bench: Bench) -> None:
    run = bench.run("run", bench.organism("forget", "broken"), "--send", "forget={}")
    assert run.returncode == 1
    assert b"a fault reached nobody" in run.stderr
    assert b"cannot do this" in run.stderr


def test_1_when_a_message_fits_no_listener_and_the_others_still_run(bench: Bench) -> None:
    organism = bench.organism("echo", extra="messages:\n  - {to: echo, payload: {text: from yaml}}\n")
    sends = ["--send", "ehco={}", "--send", 'echo={"txet": ""}', "--send", "echo={", "--send", 'echo={"text": "good"}']
    run = bench.run("run", organism, *sends)
    assert run.returncode == 1
    assert run.stdout.count(b"  fault  ") == 3
    assert b"from yaml" in run.stdout
    assert b"text: good" in run.stdout
    assert b"--send echo" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--send", "echo"], "--send 'echo' is not LISTENER=PAYLOAD"),
        (["--send", "={}"], "--send '={}' is not LISTENER=PAYLOAD"),
        (["--send", "echo=@nowhere.json"], f"--send echo=@nowhere.json cannot be read: {foreign.NO_FILE}"),
        (["--input", "nowhere.xml"], f"--input nowhere.xml cannot be read: {foreign.NO_FILE}"),
        (["--input", "."], f"--input . cannot be read: {foreign.IS_FOLDER}"),
        (["--input", "-", "--send", "echo=-"], "both read stdin"),
        (["--workers", "0"], "--workers '0' is not a number of processes"),
        (["--workers", "two"], "--workers 'two' is not a number of processes"),
        (["--timeout", "0"], "--timeout 0 leaves no time to run"),
        (["--out", ""], "--out names no file"),
        (["--timeout", "soon"], "--timeout: 'soon' is not a duration"),
        (["--grace", "-1"], "--grace: '-1' is not a duration"),
        (["--format", "csv"], "--format 'csv' is not one of"),
        (["--out", "nowhere/out.xml"], "does not exist; create it first"),
        (["--out", "."], "is a folder"),
        (["--json", "--format", "xml"], "both go to stdout"),
        (["--json", "--out", "-"], "both go to stdout"),
        (["--jsno"], "no such option: --jsno"),
    ],
)
def test_2_for_wrong_options_before_anything_runs(bench: Bench, arguments: list[str], sentence: str) -> None:
    organism = bench.organism("echo", extra="messages:\n  - {to: echo, payload: {}}\n")
    run = bench.run("run", organism, *arguments)
    assert (run.returncode, run.stdout) == (2, b"")
    assert sentence in run.stderr.decode()
    assert run.stderr.count(b"\n") == 1


def test_2_when_the_output_would_overwrite_the_input(bench: Bench) -> None:
    (bench.folder / "in.jsonl").write_text('{"text": "kept"}\n')
    run = bench.run("run", bench.organism("echo"), "--input", "in.jsonl", "--out", "./in.jsonl")
    assert run.returncode == 2
    assert (bench.folder / "in.jsonl").read_text() == '{"text": "kept"}\n'


def test_2_when_the_output_would_overwrite_the_organism(bench: Bench) -> None:
    organism = bench.organism("echo")
    before = organism.read_text()
    run = bench.run("run", organism, "--send", "echo={}", "--out", "./organism.yaml")
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"--out ./organism.yaml is the organism itself" in run.stderr
    assert organism.read_text() == before


@pytest.mark.parametrize("arguments", [["run"], ["walk"], ["--loud"]])
def test_2_for_a_wrong_command_line(bench: Bench, arguments: list[str]) -> None:
    run = bench.run(*arguments)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.startswith(b"xpipe: ")


def test_3_when_the_organism_is_not_there(bench: Bench) -> None:
    run = bench.run("run", "nowhere.yaml")
    assert (run.returncode, run.stdout) == (3, b"")
    assert b"nowhere.yaml:1:1: error[" in run.stderr


def test_3_with_every_finding_when_the_organism_is_invalid(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo", "nobody", extra="mesages: []\n"))
    assert (run.returncode, run.stdout) == (3, b"")
    *findings, count = run.stderr.decode().rstrip("\n").split("\n\n")
    assert len(findings) == 2
    assert all(": error[" in finding and " | " in finding for finding in findings)
    assert count == f"xpipe: 2 errors in {bench.folder}/organism.yaml; nothing was done"


def test_2_when_only_what_set_says_is_wrong(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--set", "limits.hops=many")
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.startswith(b"--set limits.hops=many: error[wrong-type]: ")


def test_4_when_the_backend_is_not_there(bench: Bench) -> None:
    settings = "backend: {type: redis, redis_url: 'redis://127.0.0.1:1/0'}\n"
    run = bench.run("run", bench.organism("echo", extra=settings), "--send", "echo={}")
    assert (run.returncode, run.stdout) == (4, b"")
    assert run.stderr.startswith(b"xpipe: ")
    assert run.stderr.count(b"\n") == 1


def test_5_when_time_is_up_and_the_tables_are_still_printed(bench: Bench) -> None:
    organism = bench.organism("sleeper", "echo")
    run = bench.run("run", organism, "--send", 'sleeper={"seconds": 60}', "--send", "echo={}", "--timeout", "500ms")
    assert run.returncode == 5
    assert b"listener  threads  states" in run.stdout
    assert b"1 done, 1 unfinished" in run.stdout
    assert b"not finished within 500 ms; 1 conversation unfinished: " in run.stderr


def test_5_when_input_has_not_ended(bench: Bench) -> None:
    process = bench.start("run", bench.organism("echo"), "--input", "-", "--timeout", "300ms")
    assert process.wait(20) == 5
    assert process.stderr is not None
    assert b"with messages left to send; all conversations started so far are finished" in process.stderr.read()


def test_5_even_when_a_handler_blocks_the_event_loop(bench: Bench) -> None:
    run = bench.run("run", bench.organism("blocker"), "--send", 'blocker={"seconds": 60}', "--timeout", "100ms")
    assert run.returncode == 5
    assert b"a handler of blocker blocks the event loop" in run.stderr


def test_1_when_workers_do_not_start(bench: Bench) -> None:
    with (bench.folder / "handlers.py").open("a") as handlers:
        handlers.write("\nimport sys\nif sys.argv[0] == '-c':\n    os._exit(5)\n")
    run = bench.run("run", bench.organism("busy"), "--send", "busy={}")
    assert run.returncode == 1
    left, sentence = run.stderr.decode().splitlines()
    assert left.startswith("xpipe: not finished; 1 conversation unfinished: ")
    assert sentence == "xpipe: worker processes do not start: the last one exited with status 5; see its output above"


def test_1_when_workers_cannot_load_the_handlers(bench: Bench) -> None:
    with (bench.folder / "handlers.py").open("a") as handlers:
        handlers.write("\nimport sys\nif sys.argv[0] == '-c':\n    raise RuntimeError('not in a worker')\n")
    run = bench.run("run", bench.organism("busy"), "--send", "busy={}")
    assert run.returncode == 1
    assert b"a worker process cannot load the handlers: " in run.stderr
    assert b"\n    raise RuntimeError('not in a worker')\n" in run.stderr
    assert b"1 unfinished" in run.stdout


BUG = """
import sys


class Bug:
    def find_spec(self, name, path=None, target=None):
        if name == "xpipe.cli.running":
            raise ZeroDivisionError("by zero")


sys.meta_path.insert(0, Bug())
"""


def test_70_for_a_bug_with_its_traceback_and_a_request_to_report_it(bench: Bench) -> None:
    (bench.folder / "sitecustomize.py").write_text(BUG)
    run = bench.run("run", bench.organism("echo"), "--send", "echo={}", PYTHONPATH=str(bench.folder))
    assert (run.returncode, run.stdout) == (70, b"")
    *trace, last = run.stderr.decode().splitlines()
    assert "ZeroDivisionError: by zero" in trace
    assert last.startswith("xpipe: this is a bug in xpipe (ZeroDivisionError); please report it")


def test_the_table_in_readme_has_every_code_there_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Exit codes")[2].partition("\n\nFaults")[0]
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(",")}
    assert told == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
