"""The pool of worker processes: deaths, blame, sizes, order of work, and its own end."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import foreign
import pytest

import xpipe.runtime.process
import xpipe.runtime.pump
from runtime.living import (
    answer,
    assert_nothing_left,
    fault,
    inject_many,
    is_alive,
    live,
    payload,
    until,
    until_true,
    write,
)
from runtime.stores import section
from xpipe import Organism, XpipeError
from xpipe.core.errors import PoolError

CPU: dict[str, Any] = {"cpu_bound": True}

CODE = """
import ctypes

def cpu(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, f"{os.getpid()} {m.attempt}"))

def work(ask: Ask, m: HandlerMetadata):
    if ask.text == "exit": os._exit(3)
    if ask.text == "crash": ctypes.string_at(0)
    if ask.text == "killed once" and m.attempt == 1: os.kill(os.getpid(), signal.SIGKILL)
    if ask.text == "blocks signals": signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    if ask.text == "closes": os.closerange(3, 256)
    return respond(Answer(ask.n, f"{os.getpid()} {m.attempt}"))

@dataclass
class Fan:
    target: str
    items: list[Any]

async def fan(ask: Fan | BufferComplete, m: HandlerMetadata):
    if isinstance(ask, Fan):
        items = [Ask(n, text) for n, text in enumerate(ask.items)]
        return HandlerResponse(BufferStart(ask.target, items), to="system.buffer")
    return respond(ask)
"""


async def fan_out(organism: Organism, target: str, items: list[str]) -> Any:
    fan = payload(organism, "Fan", target=target, items=items)
    [output] = await organism.outputs(await organism.inject("fan", fan))
    assert output.kind == "response", output
    return output.payload


SLOW = """
def slow(ask: Ask, m: HandlerMetadata):
    time.sleep(0.005)
    return respond(Answer(ask.n, ""))
"""


def test_what_busy_workers_have_done_is_committed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xpipe.runtime.pump, "LINGER", 300.0)
    workers = {"process_pool": {"workers": 2}, "backend": section("redis")}
    path = write(tmp_path, CODE + SLOW, {"fan": {}, "slow": CPU}, **workers)

    async def scenario(organism: Organism) -> list[int]:
        sizes: list[int] = []
        advance = organism.backend.advance

        def counted(pump: str, finished: Any, *more: Any) -> Any:
            sizes.append(len(finished))
            return advance(pump, finished, *more)

        monkeypatch.setattr(organism.backend, "advance", counted)
        await fan_out(organism, "slow", ["x"] * 60)
        sizes.clear()
        await fan_out(organism, "slow", ["x"] * 60)
        await organism.outputs(await organism.inject("slow", payload(organism, n=1)))  # One alone does not linger.
        return sizes

    assert len(live(path, scenario)) < 45


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit", "the worker process exited with status 3 while it ran this message"),
        ("crash", "the worker process was killed by SIGSEGV while it ran this message"),
    ],
)
def test_a_handler_that_ends_its_worker_fails_alone_after_three_attempts(tmp_path: Path, how: str, text: str) -> None:
    path = write(tmp_path, CODE, {"fan": {}, "work": CPU})

    async def scenario(organism: Organism) -> None:
        items = [""] * 100
        items[40] = how
        complete = await fan_out(organism, "work", items)
        failed = [result for result in complete.results if not result.success]
        assert [(one.index, one.code, one.error) for one in failed] == [(40, "worker_lost", text)]
        assert [result.result.n for result in complete.results if result.success] == [*range(40), *range(41, 100)]
        assert {result.result.text.split()[1] for result in complete.results if result.success} == {"1"}
        assert organism.stats.faults[0].attempt == 3
        assert organism.stats.retries == 2
        assert organism.pool is not None
        assert organism.pool.restarts == 3
        assert_nothing_left(organism)

    live(path, scenario, workers=2)


def test_a_handler_that_closes_its_workers_connection_fails_alone(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"work": CPU})

    async def scenario(organism: Organism) -> str:
        found = await fault(organism, "work", text="closes")
        assert (await answer(organism, "work", n=1)).n == 1
        return str(found.code)

    assert live(path, scenario, workers=1) == "worker_lost"


def test_a_message_whose_worker_was_killed_once_succeeds_in_its_second_attempt(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"work": CPU})

    async def scenario(organism: Organism) -> str:
        return str((await answer(organism, "work", text="killed once")).text.split()[1])

    assert live(path, scenario, workers=1) == "2"


KILLED = """
def slowly(ask: Ask, m: HandlerMetadata):
    (HERE / "started").touch()
    time.sleep(0.004)
    with (HERE / f"ran{ask.n}").open("a") as file:
        file.write(".")
    return respond(Answer(ask.n, str(m.attempt)))
"""


def test_a_worker_killed_in_the_middle_of_a_fan_out_loses_no_item(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + KILLED, {"fan": {}, "slowly": CPU})

    async def scenario(organism: Organism) -> None:
        pool = organism.pool
        assert pool is not None
        fan = payload(organism, "Fan", target="slowly", items=[""] * 400)
        conversation = await organism.inject("fan", fan)
        await until((tmp_path / "started").exists)
        for kill in range(5):
            done = organism.stats.of("slowly").done
            await until(lambda done=done: organism.stats.of("slowly").done >= done + 20)  # type: ignore[misc]
            os.kill(pool.pids()[kill % 2], signal.SIGKILL)
        [output] = await organism.outputs(conversation)
        assert output.payload.success
        assert [result.result.n for result in output.payload.results] == list(range(400))
        # Only messages that were running were tried again, at most one for each kill.
        again = [result for result in output.payload.results if result.result.text != "1"]
        assert len(again) <= 5
        assert organism.stats.retries == len(again)
        twice = [n for n in range(400) if len((tmp_path / f"ran{n}").read_text()) > 1]
        assert set(twice) <= {result.index for result in again}
        assert organism.stats.fault_count == 0
        assert_nothing_left(organism)

    live(path, scenario, workers=2)


def test_payloads_and_results_of_twenty_megabytes_pass(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def double(ask: Ask, m: HandlerMetadata):
    return respond(Answer(len(ask.text), ask.text))
"""
    )
    path = write(tmp_path, code, {"double": CPU, "cpu": CPU})

    async def scenario(organism: Organism) -> None:
        text = "x" * 20_000_000
        ids = [await organism.inject("double", payload(organism, text=text)) for _ in range(3)]
        others = await inject_many(organism, "cpu", 20)
        for one in ids:
            [output] = await organism.outputs(one)
            assert output.payload.n == 20_000_000
            assert output.payload.text == text
        assert [(await organism.outputs(one))[0].payload.n for one in others] == list(range(20))

    live(path, scenario, workers=2)


def test_what_a_worker_prints_is_on_stderr_at_once_and_never_on_stdout(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def prints(ask: Ask, m: HandlerMetadata):
    print("printed", ask.n)
    os.write(1, b"written\\n")
    os.system("echo echoed")
    return respond(Answer(ask.n))
"""
    )
    path = write(tmp_path, code, {"prints": CPU})
    process = run_script(
        tmp_path,
        f"""
async def main():
    async with Organism.load({str(path)!r}, workers=1) as organism:
        Ask = organism.types.class_of("Ask")
        print(len(await organism.outputs(await organism.inject("prints", Ask(7)))))
""",
    )
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "1\n"), stderr
    assert sorted(stderr.split("\n")) == ["", "echoed", "printed 7", "written"]


def test_workers_are_replaced_after_max_tasks_per_child(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"fan": {}, "cpu": CPU}, process_pool={"workers": 2, "max_tasks_per_child": 10})

    async def scenario(organism: Organism) -> None:
        complete = await fan_out(organism, "cpu", [""] * 80)
        assert complete.success
        tasks: dict[str, int] = {}
        for result in complete.results:
            pid = result.result.text.split()[0]
            tasks[pid] = tasks.get(pid, 0) + 1
        assert max(tasks.values()) <= 10
        assert len(tasks) >= 8
        assert organism.pool is not None
        assert len(organism.pool.pids()) == 2
        await until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in set(tasks) - set(map(str, pids(organism))))
        )
        assert_nothing_left(organism)

    live(path, scenario)


def pids(organism: Organism) -> list[int]:
    assert organism.pool is not None
    return organism.pool.pids()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise ImportError('no such library')", "a worker process cannot load the handlers: "),
        ("sys.exit(5)", "a worker process cannot load the handlers: "),
        ("os._exit(5)", "worker processes do not start: the last one exited with status 5; see its output above"),
        ("os.kill(os.getpid(), 9)", "worker processes do not start: the last one was killed by SIGKILL; "),
    ],
)
def test_a_module_that_only_workers_cannot_import_is_a_pool_error(tmp_path: Path, code: str, text: str) -> None:
    path = write(tmp_path, f"if 'xpipe.runtime.worker' in sys.modules: {code}\n{CODE}", {"cpu": CPU})

    async def scenario(organism: Organism) -> None:
        with pytest.raises(XpipeError) as caught:
            await organism.outputs(await organism.inject("cpu", payload(organism)))
        assert type(caught.value).__name__ == "PoolError"
        assert str(caught.value).startswith(text)

    live(path, scenario, workers=2)


@pytest.mark.parametrize("count", [5_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_thousands_of_tiny_tasks_are_committed_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    path = write(tmp_path, CODE, {"cpu": CPU}, limits={"in_flight": 100_000})

    async def scenario(organism: Organism) -> int:
        await answer(organism, "cpu")
        commits = 0
        advance = organism.backend.advance

        def counted(*arguments: Any) -> Any:
            nonlocal commits
            commits += 1
            return advance(*arguments)

        monkeypatch.setattr(organism.backend, "advance", counted)
        await inject_many(organism, "cpu", count)
        await organism.idle()
        assert organism.stats.hops == count + 1
        return commits

    assert live(path, scenario, workers=2) < count / 10


LONG = """
def long(ask: Ask, m: HandlerMetadata):
    end = time.monotonic() + 60
    while not (HERE / "go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return respond(Answer(ask.n))

def long_in_c(ask: Ask, m: HandlerMetadata):
    (HERE / f"began{ask.n}").touch()
    re.match("(a+)+$", "a" * 28 + "b")  # Seconds without the interpreter's lock.
    return respond(Answer(ask.n))
"""


def test_no_task_runs_twice_unless_its_worker_died(tmp_path: Path) -> None:
    code = (
        CODE
        + """
RUNS = os.open(HERE / "runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def noted(ask: Ask, m: HandlerMetadata):
    os.write(RUNS, b".")
    return respond(Answer(ask.n))
"""
    )
    path = write(tmp_path, code, {"fan": {}, "noted": CPU}, process_pool={"workers": 3})

    async def scenario(organism: Organism) -> None:
        complete = await fan_out(organism, "noted", [""] * 5_000)
        assert complete.successful == 5_000
        assert (tmp_path / "runs").stat().st_size == 5_000

    live(path, scenario)


def test_a_long_task_holds_back_no_tiny_ones(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG, {"long": CPU, "cpu": CPU})

    async def scenario(organism: Organism) -> None:
        await fan_tiny(organism, 500)  # The pace is known: many tiny tasks are handed out at once.
        first = await inject_many(organism, "cpu", 20)
        held = await inject_many(organism, "long", 1)
        tiny = await inject_many(organism, "cpu", 300)
        for one in [*first, *tiny]:
            assert len(await organism.outputs(one)) == 1
        assert organism.unfinished == 1
        (tmp_path / "go").touch()
        assert len(await organism.outputs(held[0])) == 1
        assert_nothing_left(organism)

    live(path, scenario, workers=2)


async def fan_tiny(organism: Organism, count: int) -> None:
    for one in await inject_many(organism, "cpu", count):
        assert len(await organism.outputs(one)) == 1


@pytest.mark.slow
def test_a_long_task_that_holds_the_interpreter_holds_back_no_tiny_ones(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG, {"long_in_c": {"cpu_bound": True, "timeout": 5}, "cpu": CPU})

    async def scenario(organism: Organism) -> None:
        await fan_tiny(organism, 500)
        held = await inject_many(organism, "long_in_c", 1)
        tiny = await inject_many(organism, "cpu", 300)
        for one in tiny:
            assert len(await organism.outputs(one)) == 1
        assert organism.unfinished == 1
        assert len(await organism.outputs(held[0])) == 1

    live(path, scenario, workers=2)


def test_tiny_tasks_behind_a_long_one_go_to_a_worker_that_has_just_started(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG, {"long": CPU, "cpu": CPU, "work": CPU})

    async def scenario(organism: Organism) -> None:
        await fan_tiny(organism, 500)
        # Given both workers busy, one of them dying, and tiny tasks behind them
        long = await inject_many(organism, "long", 1)
        dying = await organism.inject("work", payload(organism, text="exit"))
        tiny = await inject_many(organism, "cpu", 40)
        # Then all are done by those that replace it
        for one in [dying, *tiny]:
            assert len(await organism.outputs(one)) == 1
        assert organism.unfinished == 1
        (tmp_path / "go").touch()
        await organism.outputs(long[0])

    live(path, scenario, workers=2)


def test_a_stream_of_one_listener_does_not_starve_another(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def rare(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""
    )
    path = write(tmp_path, code, {"cpu": CPU, "rare": CPU}, limits={"in_flight": 100_000})

    async def scenario(organism: Organism) -> int:
        await fan_tiny(organism, 500)
        await inject_many(organism, "cpu", 10_000)
        await until(lambda: organism.stats.of("cpu").done > 1_000)
        assert (await answer(organism, "rare", n=1)).n == 1
        return organism.unfinished

    assert live(path, scenario, workers=2) > 1_000


def test_history_is_read_in_a_worker_while_others_are_served(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def recalls(ask: Ask, m: HandlerMetadata):
    if ask.n:
        return HandlerResponse(Ask(ask.n - 1), to="recalls")
    return respond(Answer(len(m.history), " ".join(str(slot.payload.n) for slot in m.history)))
"""
    )
    path = write(tmp_path, code, {"recalls": CPU})

    async def scenario(organism: Organism) -> list[str]:
        ids = [await organism.inject("recalls", payload(organism, n=n)) for n in range(20)]
        return [(await organism.outputs(one))[0].payload.text for one in ids]

    assert live(path, scenario, workers=2) == [" ".join(str(m) for m in range(n, -1, -1)) for n in range(20)]


def run_script(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process of its own that runs `main` of `code`."""
    script = folder / "script.py"
    script.write_text(
        f"import asyncio, os, signal, sys, time\nfrom xpipe import Organism\n{code}\nasyncio.run(main())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, str(script)], stdout=pipe, stderr=pipe, text=True, env=environment)


def test_workers_end_with_a_pump_that_is_killed(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG, {"long": CPU, "cpu": CPU})
    process = run_script(
        tmp_path,
        f"""
async def main():
    async with Organism.load({str(path)!r}, workers=3) as organism:
        Ask = organism.types.class_of("Ask")
        await organism.outputs(await organism.inject("cpu", Ask(7)))
        for n in range(2):
            await organism.inject("long", Ask(n))
        print(*organism.pool.pids(), flush=True)
        await organism.idle()
""",
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    try:
        assert len(workers) == 3
        assert all(is_alive(pid) for pid in workers)
    finally:
        process.kill()
        process.communicate()
    until_true(lambda: not any(is_alive(pid) for pid in workers))


def test_no_worker_and_no_zombie_is_left_after_stop(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG, {"long": CPU, "cpu": CPU})

    async def scenario(organism: Organism) -> list[int]:
        await answer(organism, "cpu")
        await inject_many(organism, "long", 2)
        found = pids(organism)
        os.kill(found[0], signal.SIGKILL)
        await until(lambda: pids(organism) != found)
        return [*found, *pids(organism)]

    workers = live(path, scenario, workers=3)
    assert len(set(workers)) == 4
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_stop_at_once_after_start_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"cpu": CPU})

    async def scenario(organism: Organism) -> list[int]:
        return pids(organism)

    workers = live(path, scenario, workers=3)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_do_not_see_an_interrupt_of_their_process_group(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"work": CPU})

    async def scenario(organism: Organism) -> None:
        # Given workers of which some may still be starting
        before = pids(organism)
        for round in range(20):
            for pid in before:
                for number in (signal.SIGINT, signal.SIGTERM):
                    os.kill(pid, number)
            assert (await answer(organism, "work", n=round)).n == round
        assert pids(organism) == before

    live(path, scenario, workers=2)


def test_programs_that_a_handler_starts_can_be_interrupted_and_terminated(tmp_path: Path) -> None:
    code = (
        CODE
        + """
import multiprocessing, subprocess
def starts(ask: Ask, m: HandlerMetadata):
    program = subprocess.Popen(["sleep", "60"])
    program.send_signal(ask.n)
    return respond(Answer(program.wait(timeout=10)))
def forks(ask: Ask, m: HandlerMetadata):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(10)
    return respond(Answer(child.exitcode))
"""
    )
    path = write(tmp_path, code, {"starts": CPU, "forks": CPU})

    async def scenario(organism: Organism) -> list[int]:
        starts = [(await answer(organism, "starts", n=number)).n for number in (signal.SIGTERM, signal.SIGINT)]
        return [*starts, (await answer(organism, "forks")).n]

    assert live(path, scenario, workers=1) == [-signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM]


def test_a_worker_whose_child_lives_on_is_replaced_all_the_same(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def leaves_a_child(ask: Ask, m: HandlerMetadata):
    if m.attempt > 1:
        return respond(Answer(m.attempt))
    child = os.fork()
    if not child:
        os.setsid()  # Else it would end with the worker.
        time.sleep(20)
        os._exit(0)
    (HERE / "child").write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    path = write(tmp_path, code, {"leaves_a_child": CPU})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "leaves_a_child")).n)

    try:
        assert live(path, scenario, workers=1) == 2
    finally:
        with contextlib.suppress(ProcessLookupError):  # The guard may have ended it with its worker.
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_stopped_worker_is_killed_when_its_message_is_past_its_time(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def stops(ask: Ask, m: HandlerMetadata):
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    )
    path = write(tmp_path, code, {"stops": {"cpu_bound": True, "timeout": 0.3}, "cpu": CPU})

    async def scenario(organism: Organism) -> str:
        found = await fault(organism, "stops")
        assert (await answer(organism, "cpu", n=1)).n == 1
        return str(found.code)

    assert live(path, scenario, workers=1) == "timeout"


def test_stop_ends_a_worker_that_is_stuck_in_c(tmp_path: Path) -> None:
    path = write(tmp_path, CODE + LONG.replace('"a" * 28', '"a" * 60'), {"long_in_c": CPU})

    async def scenario(organism: Organism) -> list[int]:
        await inject_many(organism, "long_in_c", 1)
        await until((tmp_path / "began0").exists)
        return pids(organism)

    workers = live(path, scenario, workers=1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


NO_ROOM = (
    f"a worker process cannot be started: [Errno {errno.EMFILE}] {foreign.TOO_MANY_FILES}; lower process_pool.workers"
)


def test_a_worker_that_cannot_be_replaced_is_a_pool_error_and_no_hang(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"work": CPU}, process_pool={"workers": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scenario(organism: Organism) -> None:
        await answer(organism, "work")
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            await answer(organism, "work", text="exit")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with pytest.raises(PoolError, match=re.escape(NO_ROOM)):
        live(path, scenario)


def test_an_organism_whose_workers_cannot_all_be_started_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, CODE, {"work": CPU}, process_pool={"workers": 2})
    pids: list[int] = []
    real = xpipe.runtime.process._start

    def start_one(connection: int, mark: int) -> Any:
        if pids:
            raise OSError(24, "Too many open files")
        process = real(connection, mark)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(xpipe.runtime.process, "_start", start_one)
    with pytest.raises(PoolError, match=re.escape(NO_ROOM)):
        live(path, lambda organism: answer(organism, "work"))
    until_true(lambda: not is_alive(pids[0]))
