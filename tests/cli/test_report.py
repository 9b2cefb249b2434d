"""What `xpipe run` ends with: outputs, failures in groups, threads by listener, totals, and where to look next."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from cli.bench import Bench
from cli.stored import SQLITE, rows
from cli.terminal import shown
from xpipe.runtime.stats import MAX_FAULTS, MAX_GROUPS, FaultRecord, Stats

ORGANISMS = Path(__file__).parents[2] / "organisms"
HANDLERS = """
import json


@dataclass
class Page:
    lines: list[str]


async def lengthy(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Page([f"line {n} of a page that is longer than a terminal" for n in range(40)]))


def parse(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    if ask.text == "timeout":
        raise TimeoutError("the service does not answer")
    json.loads(ask.text)
    return HandlerResponse.respond(Told("parsed"))


async def parse_all(ask: Ask | BufferComplete, metadata: HandlerMetadata) -> HandlerResponse:
    if isinstance(ask, BufferComplete):
        return HandlerResponse.respond(Told(f"{ask.successful} of {ask.total}"))
    return HandlerResponse(BufferStart("parse", [Ask(text) for text in ask.text.split()]), to="system.buffer")


async def strand(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    os.mkdir(ask.text)
    os.chdir(ask.text)
    os.rmdir(os.getcwd())
    raise ValueError("stranded")
"""


@pytest.fixture
def reporting(bench: Bench) -> Bench:
    with (bench.folder / "handlers.py").open("a") as handlers:
        handlers.write(HANDLERS)
    return bench


def number(bench: Bench, count: int) -> Path:
    """A file of `count` messages for echo."""
    file = bench.folder / "in.jsonl"
    file.write_text("".join(f'{{"to": "echo", "payload": {{"text": "number {n}"}}}}\n' for n in range(count)))
    return file


def command_after(label: str, text: str) -> list[str]:
    """The arguments of the command that stands in `text` after `label`, to be run."""
    [command] = re.findall(rf"{label}: xpipe (.+)", text)
    return shlex.split(command)


def undelivered(bench: Bench) -> list[str]:
    found = rows(bench.run("outputs", "organism.yaml", "--undelivered", "--jsonl").stdout)
    return [row["payload"].get("text", "page") for row in found]


def test_a_terminal_shows_the_first_20_outputs_and_the_command_for_the_others(bench: Bench) -> None:
    # Given a run with 25 outputs
    bench.organism("echo", extra=SQLITE)

    # When it ends on a terminal
    text = shown(bench, "run", "organism.yaml", "--input", number(bench, 25))

    # Then it shows 20 of them, and the others are not taken for printed
    assert len(re.findall(r"^  text: number", text, re.MULTILINE)) == 20
    assert len(undelivered(bench)) == 5
    others = bench.run(*command_after("and 5 more outputs", text))
    assert others.stdout.count(b"text: number") == 5


def test_a_pipe_gets_every_output_whole(reporting: Bench) -> None:
    reporting.organism("echo", "lengthy", extra=SQLITE)
    run = reporting.run("run", "organism.yaml", "--input", number(reporting, 25), "--send", "lengthy={}")
    assert run.stdout.count(b"  text: number") == 25
    assert run.stdout.count(b"of a page that is longer") == 40
    assert undelivered(reporting) == []


def test_an_output_that_was_cut_stays_undelivered(reporting: Bench) -> None:
    # Given an answer that fills more than a screen
    reporting.organism("echo", "lengthy", extra=SQLITE)

    # When a run prints it on a terminal
    text = shown(reporting, "run", "organism.yaml", "--send", "lengthy={}", "--send", 'echo={"text": "short"}')

    # Then its beginning is shown, and the command for the whole, which a resume prints too
    assert "... 37 more lines\n" in text
    assert "text: short" in text
    assert undelivered(reporting) == ["page"]
    assert reporting.run(*command_after("in full", text)).stdout.count(b"of a page that is longer") == 40
    assert reporting.run("run", "organism.yaml", "--resume").stdout.count(b"of a page that is longer") == 40
    assert undelivered(reporting) == []


@pytest.mark.parametrize("backend", ["memory", pytest.param("manager", marks=pytest.mark.slow)])
def test_outputs_that_cannot_be_looked_up_later_are_printed_in_full(reporting: Bench, backend: str) -> None:
    reporting.organism("echo", "lengthy", extra=f"backend: {backend}\n")
    text = shown(reporting, "run", "organism.yaml", "--input", number(reporting, 25), "--send", "lengthy={}")
    assert text.count("  text: number") == 25
    assert text.count("of a page that is longer") == 40
    assert "more line" not in text


def test_failures_are_grouped_with_an_example_that_shows_the_frames_of_the_user(reporting: Bench) -> None:
    # Given items of which four are no JSON, and one times out
    reporting.organism("parse", "parse_all", extra=SQLITE)
    text = 'parse_all={"text": "1 x y z 2 w timeout"}'

    # When they have been handled
    ended = shown(reporting, "run", "organism.yaml", "--send", text)

    # Then there is a group for each kind, the largest first, with the line of the handler and none of the library
    groups = re.findall(r"^(\d+) x (\w+) in (\w+)\n  handlers\.py:(\d+) in parse\n  (.+)", ended, re.MULTILINE)
    assert [group[:3] for group in groups] == [("4", "JSONDecodeError", "parse"), ("1", "TimeoutError", "parse")]
    lines = (reporting.folder / "handlers.py").read_text().splitlines()
    assert [lines[int(group[3]) - 1].split("(")[0].strip() for group in groups] == ["json.loads", "raise TimeoutError"]
    assert groups[1][4] == "TimeoutError: the service does not answer"
    assert ended.count("Expecting value") == 1
    assert "decoder.py" not in ended
    assert reporting.run(*command_after("all of them", ended)).stdout.count(b"parse") == 5


def test_a_handler_that_leaves_the_run_in_a_folder_that_is_gone_hides_no_result(reporting: Bench) -> None:
    organism = reporting.organism("strand")
    done = reporting.run("run", str(organism), "--send", 'strand={"text": "gone"}')
    assert done.returncode == 1
    assert b"1 x ValueError in strand\n" in done.stdout
    assert os.fsencode(reporting.folder / "handlers.py") in done.stdout


def test_a_hundred_thousand_failures_take_the_memory_of_a_few() -> None:
    stats = Stats()
    for n in range(100_000):
        stats.note(FaultRecord("c", "t", "exception", "text", "parse", 1, 1, False, "", (f"Error{n % 1_000}",)))
    assert (stats.fault_count, len(stats.faults), len(stats.groups)) == (100_000, MAX_FAULTS, MAX_GROUPS)
    assert all(group.count == 100 for group in stats.groups.values())


def test_threads_are_counted_by_listener_and_fan_outs_by_item(reporting: Bench) -> None:
    reporting.organism("parse", "parse_all", extra=SQLITE)
    text = shown(reporting, "run", "organism.yaml", "--send", 'parse_all={"text": "1 x 2"}')
    table = text[text.index("listener") : text.index("\n\n1 conversation")].splitlines()
    assert [re.split(r"  +", line)[:3] for line in table] == [
        ["listener", "threads", "states"],
        ["parse", "3", "2 done, 1 failed"],
        ["parse_all", "1", "done"],
        ["fan-out to", "done", "failed"],
        ["parse", "2 of 3", "1"],
    ]
    assert UUID.findall("\n".join(table)) == []


UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_has_eight_listeners_at_most_and_a_pipe_has_all(bench: Bench, columns: int) -> None:
    names = [f"listener_with_a_long_name_{n}" for n in range(10)]
    listeners = "".join(f"  - {{name: {name}, handler: 'handlers.py:echo'}}\n" for name in names)
    bench.organism(extra=listeners)
    sends = [word for name in names for word in ("--send", f"{name}={{}}")]

    text = shown(bench, "run", "organism.yaml", *sends, columns=columns)
    piped = bench.run("run", "organism.yaml", *sends).stdout.decode()

    assert len(re.findall(r"^listener_with", text, re.MULTILINE)) == 8
    assert "\nand 2 more\n" in text
    assert max(map(len, text.splitlines())) <= columns
    assert len(re.findall(r"^listener_with", piped, re.MULTILINE)) == 10


def test_details_list_thread_by_thread_with_call_chains(bench: Bench) -> None:
    bench.organism("echo", extra=SQLITE)
    send = ["--send", 'echo={"text": "hi"}', "--details"]
    texts = [bench.run("run", "organism.yaml", *send).stdout.decode(), shown(bench, "run", "organism.yaml", *send)]
    for text in texts:
        assert "Thread registry (3)\n" in text
        assert "Context buffers (2)\n" in text
        assert re.search(r"system\.bench\.cli-\d\.echo\n", text)
        assert "listener  threads" not in text
        assert "\n\n\n" not in text


@pytest.mark.parametrize("options", [["--json"], ["--jsonl"], ["--format", "xml"], ["--serve"]])
def test_2_for_details_where_stdout_has_data(bench: Bench, options: list[str]) -> None:
    bench.organism("echo", extra=SQLITE)
    run = bench.run("run", "organism.yaml", "--details", *options)
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"--details" in run.stderr


@pytest.mark.parametrize(("sends", "next"), [(1, "trace"), (2, "threads")])
def test_a_run_ends_with_a_command_to_look_further(bench: Bench, sends: int, next: str) -> None:
    bench.organism("echo", extra="backend: {type: sqlite, path: '${FILE:-state.db}'}\n")
    given = ["--set", "backend.path=other state.db", *["--send", "echo={}"] * sends]
    text = shown(bench, "run", "organism.yaml", *given)
    totals, command = text.splitlines()[-2:]
    assert totals.startswith(f"{sends} conversation")
    words = command_after("next", command)
    assert words[0] == next
    looked = bench.run(*words)
    assert (looked.returncode, looked.stderr) == (0, b"")
    assert looked.stdout.count(b"echo") >= sends


def test_a_memory_run_points_to_details(bench: Bench) -> None:
    bench.organism("echo", extra="messages:\n  - {to: echo, payload: {text: hi}}\n")
    again = command_after("next", bench.run("run", "organism.yaml").stdout.decode())
    assert again == ["run", "organism.yaml", "--details"]
    sent = bench.run("run", "organism.yaml", "--send", "echo={}").stdout.decode()
    assert sent.endswith("\nnext: add --details to list the threads\n")


def test_codestats_fits_a_screen_of_24_lines(bench: Bench) -> None:
    # Given modules of which nine are broken on purpose
    shutil.copytree(ORGANISMS / "codestats", bench.folder, dirs_exist_ok=True)
    modules = bench.folder / "modules"
    modules.mkdir()
    for n in range(30):
        wrong = "print 'no call, and more than one line of a message of eighty columns, at least in this one'\n"
        (modules / f"module_{n}.py").write_text(wrong if n < 9 else "def f(a):\n    return a if a else None\n")

    # When the organism is run on a terminal of 80 columns
    text = shown(bench, "run", "organism.yaml", NO_COLOR="1", CODE_FOLDER=str(modules))

    # Then outputs, failures, threads and totals are on it together, with its next prompt
    assert len(text.splitlines()) <= 23
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "9 x ValueError in analyse\n" in text
    assert re.search(r"\nanalyse +30 +21 done, 9 failed +30 ", text)
    assert re.search(r"\nanalyse +21 of 30 +9\n", text)


def test_colours_are_those_of_a_terminal_that_wants_them(bench: Bench) -> None:
    bench.organism("broken")
    plain = shown(bench, "run", "organism.yaml", "--send", "broken={}")
    coloured = shown(bench, "run", "organism.yaml", "--send", "broken={}", FORCE_COLOR="1")
    assert "\x1b" not in plain
    assert "\x1b[31m1 x ValueError in broken\x1b[0m\n" in coloured


def test_json_keeps_all_threads_and_the_registry(reporting: Bench) -> None:
    reporting.organism("parse", "parse_all", extra=SQLITE)
    items = " ".join(["1"] * 60)
    run = reporting.run("run", "organism.yaml", "--send", f'parse_all={{"text": "{items}"}}', "--json")
    document = json.loads(run.stdout)
    assert (len(document["threads"]), len(document["registry"])) == (63, 64)
