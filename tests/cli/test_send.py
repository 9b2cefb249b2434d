"""`xpipe send` and `xpipe run --serve`: several processes, one organism."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.bench import Bench, wait_until

SQLITE = "backend: {type: sqlite, path: state/bench.db}\n"


def serve(bench: Bench, *names: str, extra: str = SQLITE) -> subprocess.Popen[bytes]:
    """A run that serves, and is up; its outputs go to the file served."""
    organism = bench.organism(*names, extra=extra)
    with open(bench.folder / "served", "wb") as stdout:
        options = ("--serve", "--grace", "100ms", "--send", 'echo={"text": "up"}')
        process = bench.start("run", organism, *options, stdout=stdout)
    wait_until(lambda: served(bench))
    return process


def served(bench: Bench) -> list[dict[str, Any]]:
    """What the serving run has printed so far."""
    lines = (bench.folder / "served").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    process.communicate(timeout=20)
    return process.returncode


def test_an_answer_comes_back_from_a_run_that_serves(bench: Bench, shared: str) -> None:
    process = serve(bench, "echo", extra=shared)

    sent = bench.run("send", "organism.yaml", 'echo={"text": "hello"}', "--wait", "--json")

    assert sent.returncode == 0, sent.stderr
    document = json.loads(sent.stdout)
    [output] = document["outputs"]
    assert (output["kind"], output["from"], output["payload"]) == ("response", "echo", {"text": "hello"})
    assert document["conversations"] == [output["conversation"]]
    assert end(process) == 0


def test_what_others_have_sent_counts_among_the_conversations_of_the_run_that_serves(bench: Bench) -> None:
    process = serve(bench, "echo")
    bench.run("send", "organism.yaml", 'echo={"text": "one"}', 'echo={"text": "two"}')
    wait_until(lambda: len(served(bench)) == 3)

    process.send_signal(signal.SIGTERM)

    assert b"xpipe: 3 conversations, 3 hops in" in process.communicate(timeout=20)[1]


def test_what_nobody_waits_for_is_printed_by_the_run_that_serves(bench: Bench, shared: str) -> None:
    process = serve(bench, "echo", extra=shared)

    sent = bench.run("send", "organism.yaml", 'echo={"text": "one"}', 'echo={"text": "two"}')

    assert sent.returncode == 0, sent.stderr
    conversations = sent.stdout.decode().split()
    wait_until(lambda: len(served(bench)) == 3)
    answers = {one["conversation"]: one["payload"]["text"] for one in served(bench)}
    assert [answers[one] for one in conversations] == ["one", "two"]
    assert end(process) == 0


def test_what_is_sent_while_nobody_runs_is_done_by_a_later_resume(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    sent = bench.run("send", organism, 'echo={"text": "early"}')
    assert sent.returncode == 0
    assert b"no run of bench is active" in sent.stderr

    resumed = bench.run("run", organism, "--resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    [output] = json.loads(resumed.stdout)["outputs"]
    assert (output["conversation"], output["payload"]) == (sent.stdout.decode().strip(), {"text": "early"})


@pytest.mark.slow
def test_a_run_that_serves_takes_over_what_a_killed_one_left(bench: Bench) -> None:
    organism = bench.organism("echo", "sleeper", extra=SQLITE)
    other = bench.start("run", organism, "--send", 'sleeper={"text": "began", "seconds": 600}')
    wait_until(lambda: (bench.folder / "began").exists())
    (bench.folder / "began").unlink()
    process = serve(bench, "echo", "sleeper")
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()

    wait_until(lambda: (bench.folder / "began").exists(), 30)

    assert process.poll() is None
    assert end(process) == 143, "the sleeper is not finished"


def test_a_run_that_serves_prints_what_a_killed_one_did_not_live_to_print(bench: Bench) -> None:
    organism = bench.organism("echo", "slow_at_first", extra=SQLITE)
    other = bench.start("run", organism, "--send", 'slow_at_first={"text": "began"}')
    wait_until(lambda: (bench.folder / "began").exists())
    process = serve(bench, "echo", "slow_at_first")
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()

    wait_until(lambda: len(served(bench)) == 2, 30)

    assert served(bench)[1]["payload"] == {"text": "at once"}
    assert end(process) == 0


@pytest.mark.parametrize("buried_by_others", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_that_serves_prints_what_was_over_before_it_began(bench: Bench, buried_by_others: bool) -> None:
    organism = bench.organism("echo", "slow_at_first", extra=SQLITE)
    sends = [argument for number in range(20) for argument in ("--send", f'echo={{"text": "{number}"}}')]
    other = bench.start("run", organism, *sends, "--send", 'slow_at_first={"text": "began"}')
    wait_until(lambda: (bench.folder / "began").exists())
    wait_until(lambda: json.loads(bench.run("outputs", organism, "--json").stdout)["outputs"][19:])
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    if buried_by_others:
        bench.run("run", organism, "--no-messages", "--send", 'echo={"text": "in between"}')

    process = serve(bench, "echo", "slow_at_first")

    wait_until(lambda: len(served(bench)) == 22, 30)
    assert {one["payload"]["text"] for one in served(bench)} == {"up", "at once", *map(str, range(20))}
    assert end(process) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_sender_that_is_interrupted_names_what_it_still_waits_for(bench: Bench, number: signal.Signals) -> None:
    organism = bench.organism("sleeper", extra=SQLITE)
    bench.run("send", organism, 'sleeper={"text": "x"}')
    sender = bench.start("send", organism, 'sleeper={"text": "y"}', "--wait")
    wait_until(lambda: len(json.loads(bench.run("threads", organism, "--json").stdout)["threads"]) == 4)

    sender.send_signal(number)

    _, stderr = sender.communicate(timeout=20)
    assert b"1 conversation not finished: " in stderr
    assert b"see `xpipe outputs" in stderr
    assert sender.returncode == 128 + number


def test_a_run_that_serves_ends_with_1_when_something_failed(bench: Bench) -> None:
    process = serve(bench, "echo", "broken")
    sent = bench.run("send", "organism.yaml", 'broken={"text": "this"}', "--wait")
    assert sent.returncode == 1
    assert b"cannot do this" in sent.stdout

    assert end(process) == 0, "the fault was the sender's"
    process = serve(bench, "echo", "broken")
    bench.run("send", "organism.yaml", 'broken={"text": "this"}')
    wait_until(lambda: any(one["kind"] == "fault" for one in served(bench)))
    assert end(process, signal.SIGINT) == 1


def test_waiting_ends_in_time_and_the_message_stays(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    sent = bench.run("send", organism, 'echo={"text": "late"}', "--wait", "--timeout", "300ms")

    assert sent.returncode == 5
    assert b"1 conversation not finished within 300 ms" in sent.stderr
    assert b"late" in bench.run("run", organism, "--resume", "--format", "jsonl").stdout


def test_what_a_sender_no_longer_waits_for_is_printed_by_the_run_that_serves(bench: Bench, shared: str) -> None:
    process = serve(bench, "echo", "waiter", extra=shared)

    sent = bench.run("send", "organism.yaml", "waiter={}", "--wait", "--timeout", "200ms")

    assert sent.returncode == 5
    (bench.folder / "go").touch()
    wait_until(lambda: any(one["payload"] == {"text": "waited"} for one in served(bench)))
    assert end(process) == 0


def test_a_payload_that_does_not_fit_is_not_sent(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    for message in ('echo={"tex": "x"}', 'nobody={"text": "x"}', "echo=<Ask"):
        sent = bench.run("send", organism, 'echo={"text": "fine"}', message)
        assert (sent.returncode, sent.stdout) == (1, b""), message
        assert sent.stderr.count(b"\n") == 1

    resumed = bench.run("run", organism, "--resume", "--json")
    assert json.loads(resumed.stdout)["outputs"] == []


def test_a_memory_backend_cannot_be_sent_to_nor_served(bench: Bench) -> None:
    organism = bench.organism("echo")

    sent, served = bench.run("send", organism, "echo={}"), bench.run("run", organism, "--serve")

    assert sent.returncode == 4
    assert b"its memory backend exists only during a run" in sent.stderr
    assert served.returncode == 2
    assert b"no other process can reach a memory backend" in served.stderr


def test_options_that_do_not_go_together_are_refused(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    assert bench.run("send", organism, "echo={}", "--timeout", "1s").returncode == 2
    assert bench.run("send", organism, "echo").returncode == 2
    assert bench.run("send", organism).returncode == 2
    assert not Path(bench.folder / "state").exists()


def test_what_is_sent_before_a_serving_run_is_up_is_printed_by_it(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    sent = bench.run("send", organism, 'echo={"text": "early"}')

    process = serve(bench, "echo")

    wait_until(lambda: len(served(bench)) == 2)
    assert sent.stdout.decode().strip() in {one["conversation"] for one in served(bench)}
    assert end(process) == 0


def test_what_another_run_has_done_before_is_printed_by_the_one_that_serves(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)
    sent = bench.run("send", organism, 'echo={"text": "early"}')
    bench.run("run", organism, "--send", 'echo={"text": "other"}')
    wait_until(lambda: b"early" in bench.run("outputs", organism, "--undelivered", "--json").stdout)

    process = serve(bench, "echo")

    wait_until(lambda: sent.stdout.decode().strip() in {one["conversation"] for one in served(bench)})
    assert end(process) == 0


def test_a_full_organism_is_told_of_and_waited_for_until_the_time_is_up(bench: Bench, shared: str) -> None:
    if "manager" in shared:
        pytest.skip("nobody can send to a manager before a run")
    organism = bench.organism("echo", extra=shared + "limits: {in_flight: 1}\n")
    bench.run("send", organism, 'echo={"text": "early"}')

    sent = bench.run("send", organism, 'echo={"text": "late"}', "--wait", "--timeout", "300ms")

    assert sent.returncode == 5
    assert b"its backend is full" in sent.stderr
    assert b"nothing was sent" in sent.stderr
    answers = bench.run("run", organism, "--resume", "--format", "jsonl").stdout
    assert b"early" in answers
    assert b"late" not in answers


def test_a_malformed_message_is_told_in_the_words_of_the_command(bench: Bench) -> None:
    organism = bench.organism("echo", extra=SQLITE)

    sent = bench.run("send", organism, "echo")

    assert sent.returncode == 2
    assert sent.stderr.startswith(b"xpipe: 'echo' is not LISTENER=PAYLOAD")
    assert b"--send" not in sent.stderr
