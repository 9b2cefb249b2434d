"""What is told on stderr: --quiet, --verbose, --log-format, what handlers log, and what they print."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.bench import Bench
from cli.stored import SQLITE
from xpipe.cli.app import run_command_line

TALKERS = """

import logging
import subprocess
import sys

log = logging.getLogger(__name__)
print("loaded", file=sys.stderr)


def say(name: str) -> None:
    print(f"{name} prints")
    print(f"{name} tells", file=sys.stderr)
    print("two", "words", sep="\\t")
    log.warning("%s warns\\nat length", name)
    log.info("%s chats", name)
    print(f"{name} stops amid", end="")


async def on_loop(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    say("loop")
    await asyncio.sleep(0.01)
    print(" a line")
    await asyncio.to_thread(print, "helper thread")
    return HandlerResponse.respond(Told(""))


def in_thread(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    say("thread")
    return HandlerResponse.respond(Told(""))


def in_worker(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    say("worker")
    return HandlerResponse.respond(Told(""))


def outside(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    subprocess.run(["echo", "from a program"], check=True)
    os.write(1, b"from C\\n")
    print(ask.text)
    return HandlerResponse.respond(Told(""))


class Once(Exception):
    pass


async def again(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    if metadata.attempt == 1:
        raise Once
    log.error("at last")
    return HandlerResponse.respond(Told(""))
"""
NAMES = {"on_loop": "loop", "in_thread": "thread", "in_worker": "worker"}
FIELDS = ["conversation", "thread", "listener", "hop", "attempt"]


@pytest.fixture
def talkers(bench: Bench) -> Bench:
    handlers = bench.folder / "handlers.py"
    handlers.write_text(handlers.read_text() + TALKERS)
    rows = [f"  - {{name: {name}, handler: 'handlers.py:{name}'}}\n" for name in ("on_loop", "in_thread", "outside")]
    rows.append("  - {name: in_worker, handler: 'handlers.py:in_worker', cpu_bound: true}\n")
    rows.append("  - {name: again, handler: 'handlers.py:again', retry: {max_attempts: 2, backoff: 10ms}}\n")
    bench.organism(extra="".join(rows) + "process_pool: {workers: 1}\n" + SQLITE)
    return bench


def tell(bench: Bench, *arguments: str, names: tuple[str, ...] = tuple(NAMES), code: int = 0) -> list[str]:
    """What a run with `arguments`, which sends something to `names`, has told."""
    sends = [word for name in names for word in ("--send", f"{name}={{}}")]
    run = bench.run("run", "organism.yaml", "--format", "jsonl", *arguments, *sends)
    assert run.returncode == code, run
    assert len([json.loads(line) for line in run.stdout.splitlines()]) == len(names)
    return run.stderr.decode().splitlines()


def records(lines: list[str], listener: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines]
    return [one for one in found if not listener or one.get("listener") == listener]


def test_what_handlers_print_is_told_line_by_line_with_the_listener_before_it(talkers: Bench) -> None:
    told = tell(talkers)
    for listener, name in NAMES.items():
        own = [line for line in told if line.startswith(f"{listener}| ")]
        words = [line.removeprefix(f"{listener}| ") for line in own]
        assert words[:3] == [f"{name} prints", f"{name} tells", "two     words"]
        assert f"{name} stops amid a line" in words if listener == "on_loop" else words[-1] == f"{name} stops amid"
    assert "on_loop| helper thread" in told
    assert told.count("loaded") == 2  # The worker loads the code, too.


def test_what_handlers_log_is_told_with_all_that_says_where_it_comes_from(talkers: Bench) -> None:
    told = tell(talkers)
    for listener, name in NAMES.items():
        (at,) = [index for index, line in enumerate(told) if f"{name} warns" in line]
        assert told[at].startswith(f"{listener}| warning: {name} warns  [conversation=")
        assert told[at].endswith(" hop=1 attempt=1]")
        assert f"{listener}| at length" in told
    assert not any("chats" in line for line in told)


def test_what_other_code_writes_to_stdout_reaches_stderr_as_it_is(talkers: Bench) -> None:
    run = talkers.run("run", "organism.yaml", "--send", 'outside={"text": "\\u001b[31mred"}', "--json")
    assert json.loads(run.stdout)["totals"]["done"] == 1
    assert {"from a program", "from C", "outside| \\x1b[31mred"} <= set(run.stderr.decode().splitlines())


def test_as_json_every_line_is_a_record_that_says_where_it_comes_from(talkers: Bench) -> None:
    told = tell(talkers, "--log-format", "json")
    for listener, name in NAMES.items():
        own = records(told, listener)
        assert {one["message"] for one in own} >= {f"{name} prints", f"{name} warns\nat length"}
        assert all(list(one) == ["time", "level", "logger", "message", *FIELDS] for one in own)
        assert {(one["hop"], one["attempt"]) for one in own} == {(1, 1)}
        assert len({one["conversation"] for one in own}) == 1
    levels = {one["message"]: (one["level"], one["logger"]) for one in records(told)}
    assert levels["loop prints"] == ("info", "print")
    assert levels["loop tells"] == ("warning", "print")
    assert levels["loop warns\nat length"] == ("warning", "handlers")
    assert any(message.startswith("3 conversations, 3 hops") for message in levels)


def test_verbose_tells_of_claims_hops_retries_and_leases(talkers: Bench) -> None:
    told = records(tell(talkers, "--verbose", "--log-format", "json", names=("again", "on_loop")))
    pump = [
        (one["attempt"], one["message"]) for one in told if one["logger"] == "xpipe.pump" and one["listener"] == "again"
    ]
    assert pump == [
        (1, "claimed a request Ask from cli-1"),
        (1, "failed with exception; attempt 2 follows"),
        (2, "claimed a request Ask from cli-1"),
        (2, "done: answered, messages sent: 0"),
    ]
    assert [one["attempt"] for one in told if one["message"] == "at last"] == [2]
    assert {"loop chats"} <= {one["message"] for one in told}
    assert sum(one["logger"] == "xpipe.lease" for one in told) >= 2


def test_quiet_tells_only_of_errors(talkers: Bench) -> None:
    assert tell(talkers, "--quiet", names=("on_loop",)) == []
    (error,) = tell(talkers, "-q", names=("again",))
    assert error.startswith("again| error: at last  [")
    assert error.endswith("attempt=2]")


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_options_may_stand_before_the_command_and_after_it(bench: Bench, place: str) -> None:
    bench.organism("echo")
    words = ["run", "organism.yaml"]
    run = bench.run(*(["-q", *words] if place == "before" else [*words, "-q"]))
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-q", "-v"], "--quiet and --verbose exclude each other"),
        (["--log-format", "xml"], "--log-format 'xml' is not one of text, json"),
    ],
)
def test_2_for_options_that_do_not_go_together(bench: Bench, options: list[str], sentence: str) -> None:
    for arguments in ([*options, "threads"], ["threads", *options]):
        run = bench.run(*arguments)
        assert (run.returncode, run.stdout) == (2, b"")
        assert sentence in run.stderr.decode()


@pytest.mark.parametrize("arguments", [["threads", "organism.yaml"], ["run", "organism.yaml", "--jsno"]])
def test_errors_are_records_too(bench: Bench, arguments: list[str]) -> None:
    bench.organism("echo")
    run = bench.run(*arguments, "--log-format", "json")
    (record,) = records(run.stderr.decode().splitlines())
    assert (record["level"], record["logger"]) == ("error", "xpipe")
    assert not record["message"].startswith("xpipe:")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["thread"], "'thread'; did you mean 'threads' or 'dead'? See xpipe --help\n"),
        (
            ["threads", "--jsno"],
            "xpipe: no such option: --jsno; did you mean --json or --jsonl? See xpipe threads --help\n",
        ),
        (["gc", "--\x1b[31m"], "xpipe: no such option: --\\x1b[31m; see xpipe gc --help\n"),
        (["gc", "--xyz"], "xpipe: no such option: --xyz; see xpipe gc --help\n"),
    ],
)
def test_a_name_that_nothing_has_is_told_with_those_like_it(
    words: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words) == 2
    shown = capfd.readouterr().err
    assert shown.startswith("xpipe: ")
    assert shown.endswith(told)
