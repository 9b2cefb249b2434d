"""Ctrl-C, SIGTERM and worse: an orderly end, at once if asked twice, and never an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cli.bench import Bench, is_alive, wait_until, workers_of
from cli.stored import SQLITE

GRACEFUL = "stopping; waiting up to"


def started(bench: Bench, listener: str, seconds: float, *options: str) -> subprocess.Popen[bytes]:
    """A run whose handler of `listener` is running, for `seconds`."""
    mark = bench.folder / "mark"
    payload = f'{listener}={{"text": "{mark}", "seconds": {seconds}}}'
    process = bench.start("run", bench.organism(listener), "--send", payload, *options)
    wait_until(mark.exists)
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 143, marks=pytest.mark.slow)],
    ids=str,
)
def test_the_first_signal_lets_handlers_finish_and_prints_the_tables(bench: Bench, number: int, code: int) -> None:
    process = started(bench, "sleeper", 0.7)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert GRACEFUL in stderr.decode()
    assert b"text: slept" in stdout
    assert b"listener  threads  states" in stdout


def test_after_the_first_signal_no_more_input_is_taken(bench: Bench) -> None:
    process = bench.start("run", bench.organism("echo"), "--input", "-", "--format", "jsonl")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"text": "first"}\n')
    process.stdin.flush()
    assert b"first" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stdout.read() == b""


def test_handlers_that_outlast_the_grace_are_named_unfinished(bench: Bench) -> None:
    process = started(bench, "sleeper", 60, "--grace", "200ms")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"1 unfinished" in stdout
    assert b"1 conversation unfinished: " in stderr


def test_a_signal_that_whoever_started_xpipe_ignores_is_ignored(bench: Bench) -> None:
    mark = bench.folder / "mark"
    send = ["--send", f'sleeper={{"text": "{mark}", "seconds": 0.5}}']
    process = bench.start("run", bench.organism("sleeper"), *send, preexec_fn=ignore_hang_up)
    wait_until(mark.exists)
    process.send_signal(signal.SIGHUP)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, b"")
    assert b"text: slept" in stdout


def ignore_hang_up() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.parametrize("listener", ["sleeper", "busy", "blocker"])
def test_the_second_signal_ends_at_once_and_leaves_no_worker(bench: Bench, listener: str) -> None:
    process = started(bench, listener, 60, "--grace", "50s")
    workers = workers_of(process.pid)
    assert bool(workers) == (listener == "busy")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while GRACEFUL not in process.stderr.readline().decode():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    wait_until(lambda: not any(map(is_alive, workers)))


def test_a_handler_that_blocks_the_event_loop_does_not_hold_up_the_end(bench: Bench) -> None:
    process = started(bench, "blocker", 60, "--grace", "100ms")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 143
    assert b"SIGTERM: a handler of blocker blocks the event loop: stopped at once" in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_to_the_whole_group_lets_workers_finish(bench: Bench, number: int) -> None:
    process = started(bench, "busy", 0.7)
    workers = workers_of(process.pid)
    assert workers
    signal_group(process.pid, number)
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode in (130, 143)
    assert b"text: worked" in stdout
    wait_until(lambda: not any(map(is_alive, workers)))


def signal_group(pid: int, number: int) -> None:
    os.killpg(pid, number)


def test_no_worker_survives_a_killed_xpipe(bench: Bench) -> None:
    process = started(bench, "busy", 60)
    workers = workers_of(process.pid)
    assert workers
    process.kill()
    process.wait(20)
    wait_until(lambda: not any(map(is_alive, workers)))


def test_an_interrupted_run_leaves_the_output_file_complete(bench: Bench) -> None:
    process = started(bench, "sleeper", 60, "--grace", "100ms", "--send", "sleeper={}", "--out", "out.json")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (bench.folder / "out.json").read_text().endswith("]\n")


def test_a_run_ended_at_once_leaves_the_old_output_file_and_no_draft(bench: Bench) -> None:
    (bench.folder / "out.json").write_text("old")
    process = started(bench, "sleeper", 60, "--grace", "50s", "--out", "out.json")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while GRACEFUL not in process.stderr.readline().decode():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (bench.folder / "out.json").read_text() == "old"
    assert not list(bench.folder.glob(".out.json*"))


FORKING = """

def forks(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    import multiprocessing

    children = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)) for _ in range(3)]
    for child in children:
        child.start()
    for child, end in zip(children, ("terminate", "kill", "terminate")):
        getattr(child, end)()
        child.join()
    return HandlerResponse.respond(Told(str([child.exitcode for child in children])))
"""


def test_a_signal_to_a_forked_process_does_not_reach_the_run(bench: Bench) -> None:
    with (bench.folder / "handlers.py").open("a", encoding="utf-8") as handlers:
        handlers.write(FORKING)
    file = bench.organism("echo")
    work = "listeners:\n  - {name: forks, handler: 'handlers.py:forks'}\n"
    file.write_text(file.read_text(encoding="utf-8").replace("listeners:\n", work, 1), encoding="utf-8")
    process = bench.start("run", file, "--send", "forks={}", "--jsonl")
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, GRACEFUL in stderr.decode()) == (0, False)
    assert b"[-15, -9, -15]" in stdout


SCANNING = """

import math
import re


def backtrack(length: int) -> float:
    began = time.monotonic()
    re.match(r"(a+)+$", "a" * length + "b")
    return time.monotonic() - began


def scans(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    if Path(ask.text).exists():
        return HandlerResponse.respond(Told("once more"))
    once = min(backtrack(16) for _ in range(5))  # One more letter takes twice as long.
    Path(ask.text).touch()
    backtrack(16 + math.ceil(math.log2(ask.seconds / once)) if ask.seconds else 60)  # 60 letters take for ever.
    return HandlerResponse.respond(Told("scanned"))
"""


def scanning(bench: Bench, seconds: float, options: str = "timeout: 0", settings: str = "") -> subprocess.Popen[bytes]:
    """A run in whose plain handler a regular expression has begun to backtrack, for `seconds` or, if 0, for ever."""
    with (bench.folder / "handlers.py").open("a", encoding="utf-8") as handlers:
        handlers.write(SCANNING)
    file = bench.organism("echo", extra=settings)
    work = f"listeners:\n  - {{name: scans, handler: 'handlers.py:scans', {options}}}\n"
    file.write_text(file.read_text(encoding="utf-8").replace("listeners:\n", work, 1), encoding="utf-8")
    payload = f'scans={{"text": "{bench.folder / "mark"}", "seconds": {seconds}}}'
    process = bench.start("run", file, "--send", payload, "--jsonl")
    wait_until((bench.folder / "mark").exists)
    return process


def status_of(pid: int, file: str) -> str:
    return (Path("/proc") / str(pid) / file).read_text()


def cpu_ticks(pid: int) -> int:
    """What the process `pid` has used of the processor (proc(5), stat)."""
    return int(status_of(pid, "stat").rpartition(")")[2].split()[11])


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether the process `pid` has yet to notice the signal `number` (proc(5), status)."""
    masks = [int(line.split()[1], 16) for line in status_of(pid, "status").splitlines() if "Pnd:" in line]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_the_second_signal_ends_a_run_whose_handler_holds_the_interpreters_lock(bench: Bench) -> None:
    process = scanning(bench, 0)
    began = cpu_ticks(process.pid)
    wait_until(lambda: cpu_ticks(process.pid) > began + 20)  # Nobody else gets the lock by now.
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_pending(process.pid, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM


@pytest.mark.slow
def test_a_handler_that_holds_the_interpreters_lock_is_shown_and_its_time_out_reported(bench: Bench) -> None:
    process = scanning(bench, 10.0, options="timeout: 1s")
    stdout, stderr = process.communicate(timeout=120)
    assert b" in scans\n" in stderr
    assert b"a handler in the stacks above held the interpreter's lock; set cpu_bound: true for its listener" in stderr
    assert b'"code":"timeout","text":"no answer within 1 s' in stdout
    assert process.returncode == 1


@pytest.mark.slow
def test_a_run_that_loses_its_lease_to_a_handler_with_the_interpreters_lock_says_so(bench: Bench) -> None:
    # Given a handler that holds the lock for longer than a lease lasts, and another run
    process = scanning(bench, 16.0, settings=SQLITE)
    other = bench.start("run", "organism.yaml", "--serve", "--no-messages", "--jsonl")
    assert other.stdout is not None
    # When the other one takes the message over
    assert b'"text":"once more"' in other.stdout.readline()
    # Then the first one says what it has lost, and its own result is refused
    stdout, stderr = process.communicate(timeout=100)
    assert b"this pump was taken for dead; what it had claimed may run again elsewhere" in stderr
    assert b'"text":"scanned"' not in stdout
    other.send_signal(signal.SIGTERM)
    assert other.wait(20) == 0


@pytest.mark.slow
def test_a_run_that_was_stopped_blames_no_handler(bench: Bench) -> None:
    process = started(bench, "sleeper", 9)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(7)
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=30)
    assert b"the process was suspended or starved of CPU; no handler above is to blame" in stderr
    assert b"has blocked the event loop" not in stderr


def test_a_run_that_is_stopped_from_the_terminal_goes_on(bench: Bench) -> None:
    process = started(bench, "sleeper", 0.3)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: "\nState:\tT" in status_of(process.pid, "status"))
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, b"")
    assert b"slept" in stdout
