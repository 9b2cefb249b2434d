"""A run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.bench import Bench, wait_until

SQLITE = "backend: {type: sqlite, path: state/bench.db}\n"
ITEMS = 150


def killed_in_the_middle(bench: Bench) -> None:
    organism = bench.organism("sleeper", extra=SQLITE)
    lines = [json.dumps({"text": f"began-{number}", "seconds": 0.05}) for number in range(ITEMS)]
    (bench.folder / "in.jsonl").write_text("\n".join(lines))
    (bench.folder / "organism.yaml").write_text(
        organism.read_text().replace("timeout: 0", "timeout: 0, concurrency: 8")
    )
    process = bench.start("run", organism, "--input", "in.jsonl", "--out", "out.jsonl", "--format", "jsonl")
    wait_until(lambda: (bench.folder / "began-40").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def outputs_in(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that a killed run may have left half written."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def listed(bench: Bench, *options: str) -> list[dict[str, Any]]:
    """The outputs that `xpipe outputs` lists."""
    found: list[dict[str, Any]] = json.loads(bench.run("outputs", "organism.yaml", "--json", *options).stdout)[
        "outputs"
    ]
    return found


def test_resume_finishes_every_conversation_of_a_killed_run_exactly_once(bench: Bench) -> None:
    killed_in_the_middle(bench)
    assert not (bench.folder / f"began-{ITEMS - 1}").exists(), "it was to be killed in the middle"

    resumed = bench.run("run", "organism.yaml", "--resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(resumed.stdout)
    assert document["totals"]["in_flight"] == 0
    assert {thread["state"] for thread in document["threads"]} == {"done"}
    answers = Counter(output["conversation"] for output in listed(bench))
    assert len(answers) > 40
    assert set(answers.values()) == {1}


def test_every_answer_is_printed_and_what_was_confirmed_as_printed_is_not_printed_again(bench: Bench) -> None:
    killed_in_the_middle(bench)
    before = {one["conversation"] for one in outputs_in(bench.folder / "out.jsonl")}
    undelivered = {one["conversation"] for one in listed(bench, "--undelivered")}
    confirmed = {one["conversation"] for one in listed(bench)} - undelivered
    assert confirmed
    assert confirmed <= before

    resumed = bench.run("run", "organism.yaml", "--resume", "--format", "jsonl")

    after = [json.loads(line)["conversation"] for line in resumed.stdout.splitlines()]
    assert len(set(after)) == len(after)
    assert set(after) == {one["conversation"] for one in listed(bench)} - confirmed
    assert listed(bench, "--undelivered") == []


def test_only_the_unprinted_one_of_two_outputs_is_printed(bench: Bench) -> None:
    group = "  - {{name: both.{0}, handler: 'handlers.py:{0}', broadcast: true, timeout: 0}}\n"
    organism = bench.organism(extra=group.format("echo") + group.format("waiter") + SQLITE)
    send = ("--send", 'both={"text": "said"}')
    killed = bench.start("run", organism, *send, "--out", "out.jsonl", "--format", "jsonl")
    wait_until(lambda: (bench.folder / "out.jsonl").exists() and outputs_in(bench.folder / "out.jsonl"))
    wait_until(lambda: not listed(bench, "--undelivered"))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    (bench.folder / "go").touch()

    resumed = bench.run("run", organism, "--resume", "--format", "jsonl")

    def texts(outputs: list[dict[str, Any]]) -> list[str]:
        return [one["payload"]["text"] for one in outputs]

    assert texts(outputs_in(bench.folder / "out.jsonl")) == ["said"]
    assert texts([json.loads(line) for line in resumed.stdout.splitlines()]) == ["waited"]
    assert texts(listed(bench)) == ["said", "waited"]


def test_an_input_file_is_read_on_where_the_killed_run_had_stopped(bench: Bench) -> None:
    killed_in_the_middle(bench)

    resumed = bench.run("run", "organism.yaml", "--resume", "--input", "in.jsonl")

    assert resumed.returncode == 0, resumed.stderr
    for number in range(ITEMS):
        assert (bench.folder / f"began-{number}").exists()
    found = listed(bench)
    assert len({one["conversation"] for one in found}) == len(found) == ITEMS


def test_a_file_that_grows_is_read_on_by_each_resume(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    lines = [json.dumps({"text": f"text {number}"}) for number in range(5)]
    read: list[list[str]] = []
    for upto in (2, 2, 5):
        (bench.folder / "in.jsonl").write_text("\n".join(lines[:upto]) + "\n")
        run = bench.run("run", organism, "--resume", "--input", "in.jsonl", "--format", "jsonl")
        read.append([json.loads(line)["payload"]["text"] for line in run.stdout.splitlines()])
    assert read == [["text 0", "text 1"], [], ["text 2", "text 3", "text 4"]]


def test_a_run_without_resume_reads_the_file_from_the_start(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    (bench.folder / "in.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    for _ in range(2):
        run = bench.run("run", organism, "--input", "in.jsonl", "--format", "jsonl")
        assert len(run.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "changed", ['{"text": "other"}\n{"text": "two"}\n{"text": "three"}\n', '{"text": "one"}\n', ""]
)
def test_another_file_in_the_place_of_the_one_read_is_refused(bench: Bench, changed: str) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    (bench.folder / "in.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    bench.run("run", organism, "--input", "in.jsonl")
    (bench.folder / "in.jsonl").write_text(changed)

    resumed = bench.run("run", organism, "--resume", "--input", "in.jsonl")

    assert resumed.returncode == 2
    assert b"--resume --input in.jsonl: it does not begin with the 2 documents" in resumed.stderr


def test_after_a_resume_nothing_is_left_to_resume(bench: Bench) -> None:
    killed_in_the_middle(bench)
    bench.run("run", "organism.yaml", "--resume")

    again = bench.run("run", "organism.yaml", "--resume", "--json")

    assert again.returncode == 0
    assert json.loads(again.stdout)["outputs"] == []
    assert b"xpipe: nothing to resume: " in again.stderr


def test_resume_shows_the_answer_to_what_others_have_sent_and_counts_it_as_its_own(bench: Bench) -> None:
    organism = bench.organism("echo", "broken", extra=SQLITE)
    bench.run("send", organism, 'echo={"text": "sent"}', 'broken={"text": "this"}')

    resumed = bench.run("run", organism, "--resume")

    shown = resumed.stdout.decode()
    assert "text: sent" in shown
    assert "ValueError: cannot do this" in shown
    assert "2 conversations (1 done, 1 failed), 2 hops in" in shown
    assert resumed.returncode == 1


def test_resume_shows_an_answer_that_is_only_still_to_be_printed(bench: Bench) -> None:
    organism = bench.organism("echo", "sleeper", extra=SQLITE)
    sends = ["--send", 'echo={"text": "said"}', "--send", 'sleeper={"text": "sleeps", "seconds": 600}']
    killed = bench.start("run", organism, *sends)
    wait_until(lambda: bench.run("outputs", organism, "--undelivered", "--jsonl").stdout)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    running = json.loads(bench.run("threads", organism, "--state", "active", "--jsonl").stdout)["conversation"]
    bench.run("cancel", organism, running)

    resumed = bench.run("run", organism, "--resume")

    shown = resumed.stdout.decode()
    assert "text: said" in shown
    assert "2 conversations (1 done, 1 cancelled), 0 hops in" in shown


def test_resume_prints_nothing_where_nothing_is_to_be_resumed(bench: Bench) -> None:
    assert bench.run("run", bench.organism("echo", extra=SQLITE), "--resume").stdout == b""


def test_a_plain_run_names_what_earlier_runs_left_unfinished(bench: Bench) -> None:
    killed_in_the_middle(bench)

    plain = bench.run("run", "organism.yaml", "--send", 'sleeper={"text": "plain"}')

    assert b"unfinished conversations of earlier runs: " in plain.stderr
    assert b"pass --resume to finish them" in plain.stderr


def test_what_a_run_is_still_printing_is_not_printed_by_a_resume(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    much = json.dumps({"to": "echo", "payload": {"text": "x" * 1000}}) + "\n"
    (bench.folder / "in.jsonl").write_text(much * 200, encoding="utf-8")
    slow = bench.start("run", organism, "--input", "in.jsonl", "--json")
    assert slow.stdout is not None
    begun = os.read(slow.stdout.fileno(), 1)  # It has all, and prints; the pipe takes less than that.

    resumed = bench.run("run", organism, "--resume", "--format", "jsonl")

    assert (resumed.returncode, resumed.stdout) == (0, b""), resumed.stderr
    printed, _ = slow.communicate(timeout=30)
    assert len(json.loads(begun + printed)["outputs"]) == 200
    assert bench.run("outputs", organism, "--undelivered", "--jsonl").stdout == b""


def test_two_resumes_at_once_take_each_document_of_a_file_once(bench: Bench) -> None:
    # Given runs that start before either has read the file to its end
    organism = bench.organism("sleeper", extra=SQLITE + "limits: {in_flight: 10}\n")
    lines = [json.dumps({"text": f"began-{number}", "seconds": 0.01}) for number in range(100)]
    (bench.folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    command = ("run", organism, "--resume", "--input", "in.jsonl", "--jsonl")
    runs = [bench.start(*command), bench.start(*command)]
    # When both end
    printed = [run.communicate(timeout=60)[0].splitlines() for run in runs]
    # Then every document has been answered once
    assert [run.returncode for run in runs] == [0, 0]
    assert sum(map(len, printed)) == 100
    listed = json.loads(bench.run("outputs", "organism.yaml", "--json").stdout)["outputs"]
    assert len(listed) == 100


@pytest.mark.parametrize(("name", "first", "second"), [
    ("in.jsonl", '{"text": "one"}\n{"te', 'xt": "two"}\n'),
    ("in.jsonl", '{"text": "one"}\n{"text": "tw', 'o"}'),
    ("in.json", '{"text": "one"}{"text":\n ', '"two"}'),
    ("in.xml", "<Ask><text>one</text></Ask>\n<Ask><text>tw", "o</text></Ask>"),
    ("in.xml", "<Ask><text>one</text></Ask><As", "k><text>two</text></Ask>"),
    ("in.xml", "<Ask><text>one</text></Ask><!-- next:", " --><Ask><text>two</text></Ask>"),
    ("in.xml", "<Ask><text>one</text></Ask><!", "-- next --><Ask><text>two</text></Ask>"),
    ("in.xml", "<messages><Ask><text>one</text></Ask>", "<Ask><text>two</text></Ask></messages>"),
    ("in.xml", "<messages><Ask><text>one</text></Ask><Ask><te", "xt>two</text></Ask></messages>"),
])  # fmt: skip
def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(
    bench: Bench, name: str, first: str, second: str
) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    command = ("run", organism, "--resume", "--input", name, "--jsonl")
    (bench.folder / name).write_text(first)

    early = bench.run(*command)
    (bench.folder / name).write_text(first + second)
    late = bench.run(*command)

    texts = [[json.loads(line)["payload"]["text"] for line in run.stdout.splitlines()] for run in (early, late)]
    assert texts == [["one"], ["two"]]
    assert (early.returncode, late.returncode) == (0, 0)
    assert b"the file ends inside this document; a later run with --resume reads it" in early.stderr
    assert b"ends inside" not in late.stderr


def test_a_file_that_ends_inside_a_document_is_a_fault_of_a_run_that_does_not_resume(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    (bench.folder / "in.jsonl").write_text('{"text": "one"}\n{"text": "tw')

    whole = bench.run("run", organism, "--input", "in.jsonl", "--jsonl")
    (bench.folder / "in.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    resumed = bench.run("run", organism, "--resume", "--input", "in.jsonl", "--jsonl")

    assert whole.returncode == 1
    assert {json.loads(line)["kind"] for line in whole.stdout.splitlines()} == {"response", "fault"}
    assert [json.loads(line)["payload"]["text"] for line in resumed.stdout.splitlines()] == ["two"]
