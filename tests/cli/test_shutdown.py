"""SIGTERM and Ctrl-C: what can be finished is, what cannot is handed back at once, named, and finished by a resume."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections import Counter
from typing import Any

import pytest

from cli.bench import Bench, is_alive, wait_until, workers_of
from cli.conftest import default_and_slow
from cli.stored import STATE_FILE, Stored, in_sqlite

GRACEFUL = "stopping; waiting up to"
READ = 3_000
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
HOLD = """

async def waits(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    begin(ask.text)
    while not Path(f"go-{ask.text}").exists():
        await asyncio.sleep(0.01)
    return HandlerResponse.respond(Told(ask.text))


def holds(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    begin(ask.text)
    while not Path(f"go-{ask.text}").exists():
        time.sleep(0.01)
    return HandlerResponse.respond(Told(ask.text))


def begin(text: str) -> None:
    with open(f"began-{text}", "a") as file:
        file.write(".")
"""
OPTIONS = {
    "async": "handler: 'handlers.py:waits'",
    "plain": "handler: 'handlers.py:holds'",
    "cpu_bound": "handler: 'handlers.py:holds', cpu_bound: true",
}
"""Of the listener work, whose messages wait for a file of their own."""


class Shutting:
    """An organism in `stored` whose listener `work` is of `kind`; runs of it, and what they come to."""

    def __init__(self, stored: Stored, kind: str, workers: int = 4) -> None:
        self.bench, self.folder = stored.bench, stored.bench.folder
        with (self.folder / "handlers.py").open("a", encoding="utf-8") as handlers:
            handlers.write(HOLD)
        work = f"listeners:\n  - {{name: work, timeout: 0, {OPTIONS[kind]}}}\n"
        file = self.bench.organism("echo", extra=f"{stored.settings}process_pool: {{workers: {workers}}}\n")
        file.write_text(file.read_text(encoding="utf-8").replace("listeners:\n", work, 1), encoding="utf-8")

    def start(self, *options: str, work: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """A run with messages for `work`."""
        sends = [word for text in work for word in ("--send", f'work={{"text": "{text}"}}')]
        return self.bench.start("run", "organism.yaml", "--format", "jsonl", *options, *sends)

    def wait_for(self, *texts: str) -> None:
        """Wait until the handlers of the messages `texts` run."""
        wait_until(lambda: all((self.folder / f"began-{text}").exists() for text in texts), 60)

    def let_go(self, *texts: str) -> None:
        """Let the handlers of the messages `texts` end."""
        for text in texts:
            (self.folder / f"go-{text}").touch()

    def resume(self) -> list[str]:
        """What a run that goes on with what is unfinished prints."""
        resumed = self.bench.run("run", "organism.yaml", "--resume", "--format", "jsonl")
        assert resumed.returncode == 0, resumed.stderr
        return texts_of(resumed.stdout)

    def answers(self) -> Counter[str]:
        """How often each message has been answered, by the state."""
        listed = self.bench.run("outputs", "organism.yaml", "--jsonl")
        return Counter(texts_of(listed.stdout))


def texts_of(lines: bytes) -> list[str]:
    outputs: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    assert {one["kind"] for one in outputs} <= {"response"}
    return [one["payload"]["text"] for one in outputs]


def interrupt(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal, and wait until it was heard."""
    process.send_signal(number)
    wait_for_line(process, GRACEFUL.encode())


def wait_for_line(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Wait until the run has logged a line with `text`."""
    assert process.stderr is not None
    while (line := process.stderr.readline()) and text not in line:
        pass
    assert line, f"the run has ended with {process.wait(60)}"


@pytest.fixture
def sqlite(bench: Bench) -> Stored:
    return in_sqlite(bench)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number"), [("async", signal.SIGTERM), ("plain", signal.SIGINT), ("cpu_bound", signal.SIGTERM)]
)
def test_what_ends_within_the_grace_is_printed_and_the_rest_is_named_and_finished_by_a_resume(
    stored: Stored, kind: str, number: signal.Signals
) -> None:
    # Given handlers of which one is about to end, the others not
    bench = Shutting(stored, kind)
    process = bench.start("--grace", "3s", "--send", 'echo={"text": "before"}', work=("soon", "one", "two"))
    bench.wait_for("soon", "one", "two")
    workers = workers_of(process.pid)

    # When the run is asked to end
    interrupt(process, number)
    bench.let_go("soon")
    stdout, stderr = process.communicate(timeout=60)

    # Then what has been answered is printed, what has not is named, with how to go on
    assert process.returncode == CODES[number]
    assert sorted(texts_of(stdout)) == ["before", "soon"]
    assert "interrupted; 2 conversations unfinished: " in stderr.decode()
    assert "; resume with: xpipe run organism.yaml --resume\n" in stderr.decode()
    assert not any(map(is_alive, workers))
    # and that is how it is finished, everything answered once
    bench.let_go("one", "two")
    assert sorted(bench.resume()) == ["one", "two"]
    assert bench.answers() == Counter(["before", "soon", "one", "two"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_the_second_signal_ends_at_once_and_a_resume_finishes_everything(stored: Stored, kind: str) -> None:
    bench = Shutting(stored, kind)
    process = bench.start("--grace", "60s", "--send", 'echo={"text": "before"}', work=("one", "two"))
    bench.wait_for("one", "two")
    workers = workers_of(process.pid)
    interrupt(process, signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"stopped at once" in stderr
    wait_until(lambda: not any(map(is_alive, workers)))
    bench.let_go("one", "two")
    assert {"one", "two"} <= set(bench.resume())  # What was printed and not confirmed is printed again.
    assert bench.answers() == Counter(["before", "one", "two"])


@pytest.mark.slow
def test_what_is_unfinished_is_handed_back_before_the_outputs_are_flushed(stored: Stored) -> None:
    # Given a run whose reader has stopped reading, and a handler that does not end
    bench = Shutting(stored, "async")
    (bench.folder / "much.jsonl").write_text(
        "".join(json.dumps({"to": "echo", "payload": {"text": "x" * 10_000}}) + "\n" for _ in range(50))
    )
    process = bench.start("--grace", "100ms", "--input", "much.jsonl", work=("held",))
    bench.wait_for("held")
    wait_until(lambda: bench.answers().total() == 50, 60)
    interrupt(process, signal.SIGTERM)
    # When it waits to be rid of what it has, another run takes what it has handed back
    other = bench.start("--serve")
    wait_until(lambda: (bench.folder / "began-held").read_text() == "..", 60)
    bench.let_go("held")
    wait_until(lambda: bench.answers()["held"], 60)
    # Then both end well, and everything is answered once
    assert process.poll() is None, "it should still have something to print"
    stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, Counter(texts_of(stdout))) == (143, Counter({"x" * 10_000: 50}))
    assert other.stdout is not None
    assert texts_of(other.stdout.readline()) == ["held"]
    other.send_signal(signal.SIGTERM)
    assert other.wait(60) == 0
    assert bench.answers() == Counter({"x" * 10_000: 50, "held": 1})


def test_messages_that_wait_for_a_worker_are_not_begun_after_the_signal(sqlite: Stored) -> None:
    bench = Shutting(sqlite, "cpu_bound", workers=1)
    process = bench.start("--grace", "60s", work=("one", "two", "three"))
    bench.wait_for("one")
    interrupt(process, signal.SIGTERM)
    bench.let_go("one", "two", "three")
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, texts_of(stdout)) == (143, ["one"])
    assert b"2 conversations unfinished" in stderr
    assert not (bench.folder / "began-two").exists()
    assert sorted(bench.resume()) == ["three", "two"]


def test_an_answer_that_is_being_committed_when_the_signal_comes_is_printed(sqlite: Stored) -> None:
    bench = Shutting(sqlite, "async")
    process = bench.start("--grace", "60s", work=("one",))
    bench.wait_for("one")
    # Given a commit that has to wait
    with sqlite3.connect(bench.folder / STATE_FILE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        bench.let_go("one")
        # When the signal comes meanwhile
        interrupt(process, signal.SIGTERM)
        other.execute("ROLLBACK")
    other.close()
    # Then it is waited for
    stdout, stderr = process.communicate(timeout=60)
    assert texts_of(stdout) == ["one"]
    assert b"all conversations started so far are finished" in stderr


def test_a_memory_backend_keeps_nothing_and_the_run_says_so(bench: Bench) -> None:
    shutting = Shutting(Stored(bench, "", ()), "async")
    process = shutting.start("--grace", "100ms", work=("one",))
    shutting.wait_for("one")
    interrupt(process, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"1 conversation unfinished: " in stderr
    assert b"; they cannot be resumed, the backend keeps no state\n" in stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_a_run_that_serves_names_what_others_have_sent_and_is_unfinished(
    stored: Stored, number: signal.Signals
) -> None:
    bench = Shutting(stored, "cpu_bound")
    process = bench.start("--serve", "--grace", "100ms", "--send", 'echo={"text": "up"}')
    assert process.stdout is not None
    process.stdout.readline()
    sent = bench.bench.run("send", "organism.yaml", 'work={"text": "one"}')
    bench.wait_for("one")
    interrupt(process, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == CODES[number]
    assert f"1 conversation unfinished: {sent.stdout.decode().strip()}; resume with: " in stderr.decode()
    bench.let_go("one")
    assert bench.resume() == ["one"]
    assert bench.answers() == Counter(["up", "one"])


@pytest.mark.slow
def test_a_run_interrupted_while_it_reads_goes_on_in_the_file_where_it_stopped(stored: Stored) -> None:
    bench = Shutting(stored, "async")
    lines = [json.dumps({"to": "echo", "payload": {"text": str(number)}}) for number in range(READ)]
    (bench.folder / "in.jsonl").write_text("\n".join(lines))
    process = bench.start("--input", "in.jsonl", "--out", "out.jsonl")
    wait_until(lambda: (bench.folder / "out.jsonl").stat().st_size if (bench.folder / "out.jsonl").exists() else 0)
    interrupt(process, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "interrupted, with messages left to send; " in stderr.decode()
    assert "event loop" not in stderr.decode()  # What keeps it busy is the run's own work.
    hint = "; resume with: xpipe run organism.yaml --resume --input in.jsonl\n"
    assert stderr.decode().endswith(hint)
    first = texts_of((bench.folder / "out.jsonl").read_bytes())
    resumed = bench.bench.run("run", "organism.yaml", "--resume", "--input", "in.jsonl", "--format", "jsonl")
    assert resumed.returncode == 0
    assert Counter(first + texts_of(resumed.stdout)) == Counter(map(str, range(READ)))


@pytest.mark.parametrize("kind", default_and_slow(*OPTIONS))
def test_a_run_with_all_its_answers_waits_for_handlers_of_other_runs(sqlite: Stored, kind: str) -> None:
    # Given a run that has its answer, and runs the handler of a message of another run
    bench, texts = Shutting(sqlite, kind, workers=1), [str(number) for number in range(12)]
    one_each = ("--set", "listeners.work.concurrency=1")
    owner = bench.start(*one_each, work=tuple(texts))
    wait_until(lambda: list(bench.folder.glob("began-*")))
    command = ("run", "organism.yaml", *one_each, "--send", 'echo={"text": "mine"}', "--input", "-")
    other = bench.bench.start(*command, stdin=subprocess.PIPE)
    wait_until(lambda: len(list(bench.folder.glob("began-*"))) == 2, 60)
    # When nothing else is left to do
    assert other.stdin is not None
    other.stdin.close()
    wait_for_line(other, b"waiting for handlers")
    bench.let_go(*texts)
    # Then both end well, and no handler has run twice
    assert (other.wait(60), owner.wait(60)) == (0, 0)
    assert [(bench.folder / f"began-{text}").read_text() for text in texts] == ["."] * len(texts)
    assert bench.answers() == Counter(["mine", *texts])


def test_a_signal_ends_a_run_that_waits_for_handlers_of_others(sqlite: Stored) -> None:
    bench = Shutting(sqlite, "async")
    one_each = ("--set", "listeners.work.concurrency=1")
    owner = bench.start(*one_each, work=("one", "two"))
    bench.wait_for("one")
    other = bench.start(*one_each, "--grace", "10ms", "--send", 'echo={"text": "mine"}')
    bench.wait_for("two")
    wait_for_line(other, b"waiting for handlers")

    other.send_signal(signal.SIGTERM)

    assert other.wait(60) == 143
    bench.let_go("two", "one")
    assert owner.wait(60) == 0
    assert bench.answers() == Counter(["mine", "one", "two"])


STARTS = """

def starts(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    import subprocess

    program = subprocess.Popen(["sleep", "60"])
    Path(f"began-{ask.text}").write_text(f"{program.pid} {os.getpid()}")
    program.wait()
"""


@pytest.mark.parametrize("grace", default_and_slow("100ms", "60s"))
def test_several_runs_that_are_ended_leave_no_process_behind(bench: Bench, shared: str, grace: str) -> None:
    # Given runs on one backend, whose handlers have started programs
    with (bench.folder / "handlers.py").open("a", encoding="utf-8") as handlers:
        handlers.write(STARTS)
    file = bench.organism("echo", extra=f"{shared}process_pool: {{workers: 2}}\n")
    work = "listeners:\n  - {name: work, timeout: 0, handler: 'handlers.py:starts', cpu_bound: true}\n"
    file.write_text(file.read_text(encoding="utf-8").replace("listeners:\n", work, 1), encoding="utf-8")
    runs = []
    for run in range(3):
        sends = [word for number in range(2) for word in ("--send", f'work={{"text": "{run}-{number}"}}')]
        runs.append(bench.start("run", "organism.yaml", "--format", "jsonl", "--grace", grace, *sends))
    wait_until(lambda: len(marks(bench)) >= 2 and all(len(workers_of(run.pid)) >= 2 for run in runs), 60)
    workers = [child for run in runs for child in workers_of(run.pid)]

    # When all are asked to end, some perhaps before they have claimed anything; with a long grace twice
    for run in runs:
        run.send_signal(signal.SIGTERM)
        wait_for_line(run, b"SIGTERM: stop")
        if grace == "60s":
            run.send_signal(signal.SIGTERM)

    # Then nothing of them is left
    assert [run.wait(60) for run in runs] == [143] * 3
    processes = [*workers, *(int(pid) for mark in marks(bench) for pid in mark.split())]
    assert len(processes) >= 3 * 2 + 2 * 2
    wait_until(lambda: not any(map(is_alive, processes)))


def marks(bench: Bench) -> list[str]:
    """What the handlers that have begun have written."""
    return [text for mark in bench.folder.glob("began-*") if (text := mark.read_text())]
