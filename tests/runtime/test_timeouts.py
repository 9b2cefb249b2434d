"""Time-outs: every kind of handler past its time fails, alone, and what it held comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, assert_nothing_left, fault, inject_many, live, until, write
from xpipe import Organism

CODE = """
async def sleeps(ask: Ask, m: HandlerMetadata):
    try:
        await asyncio.sleep(30)
    finally:
        (HERE / "cancelled").touch()

async def swallows(ask: Ask, m: HandlerMetadata):
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        pass
    return respond(Answer(1))

async def translates(ask: Ask, m: HandlerMetadata):
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        raise ValueError("was cancelled")

async def ignores(ask: Ask, m: HandlerMetadata):
    while not (HERE / "end").exists():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            pass
    (HERE / "ended").touch()
    return respond(Answer(1))

def hangs(ask: Ask, m: HandlerMetadata):
    while not (HERE / "end").exists():
        time.sleep(0.01)
    (HERE / "ended").touch()
    return respond(Answer(1))

def cpu_loops(ask: Ask, m: HandlerMetadata):
    (HERE / f"pid{ask.n}").write_text(str(os.getpid()))
    while True:
        pass

def cpu_sleeps(ask: Ask, m: HandlerMetadata):
    (HERE / f"pid{ask.n}").write_text(str(os.getpid()))
    time.sleep(60)

def cpu_backtracks(ask: Ask, m: HandlerMetadata):
    (HERE / f"pid{ask.n}").write_text(str(os.getpid()))
    re.match("(a+)+$", "a" * 60 + "b")

def cpu(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, f"{os.getpid()} {m.attempt}"))

async def at_once(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def fails_later(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    raise ValueError("mine")

def takes(ask: Ask, m: HandlerMetadata):
    time.sleep(0.2)
    return respond(Answer(ask.n))
"""

NO_ANSWER = "no answer within 0.2 s; raise the listener's timeout or make the handler faster"


@pytest.mark.parametrize("listener", ["sleeps", "swallows", "translates", "hangs"])
def test_a_handler_past_its_time_is_a_timeout_fault(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, CODE, {listener: {"timeout": "200ms"}, "at_once": {}, "fails_later": {}})

    async def scenario(organism: Organism) -> None:
        started = time.monotonic()
        found = await fault(organism, listener)
        assert time.monotonic() - started >= 0.2
        assert (found.code, found.text, found.retryable, found.attempt) == ("timeout", NO_ANSWER, True, 1)
        assert (await answer(organism, "at_once", n=3)).n == 3
        assert (await fault(organism, "fails_later")).text == "ValueError: mine"
        assert_nothing_left(organism)
        (tmp_path / "end").touch()

    live(path, scenario)


def test_an_async_handler_past_its_time_is_cancelled(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"sleeps": {"timeout": 0.1}})

    async def scenario(organism: Organism) -> None:
        await fault(organism, "sleeps")
        assert (tmp_path / "cancelled").exists()

    live(path, scenario)


@pytest.mark.parametrize("listener", ["ignores", "hangs"])
def test_a_handler_that_cannot_be_ended_is_given_up_and_its_late_result_refused(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, CODE, {listener: {"timeout": 0.1}, "at_once": {}})

    async def scenario(organism: Organism) -> None:
        # Given handlers that ignore their end, more than there are threads
        given_up = await inject_many(organism, listener, 40)
        for one in given_up:
            [output] = await organism.outputs(one)
            assert output.payload.code == "timeout"
        # When they end after all
        (tmp_path / "end").touch()
        await until((tmp_path / "ended").exists)
        assert (await answer(organism, "at_once", n=2)).n == 2
        assert (await answer(organism, listener)).n == 1  # There is room again.
        # Then their results are nowhere
        assert [await organism.outputs(one) for one in given_up] == [[]] * 40
        assert organism.stats.fault_count == 40
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_hundred_and_more_stuck_threads_still_end_every_message(tmp_path: Path) -> None:
    # Given more stuck handlers than threads may be abandoned
    path = write(tmp_path, CODE, {"hangs": {"timeout": 0.05}, "takes": {}, "at_once": {}})

    async def scenario(organism: Organism) -> None:
        stuck = await inject_many(organism, "hangs", 150)
        codes = [(await organism.outputs(one))[0].payload.code for one in stuck]
        assert set(codes) == {"timeout", "no_thread"}
        assert codes.count("timeout") == 96  # 32 threads, and 64 in place of abandoned ones.
        # When another listener's handler needs a thread, it is told as much
        found = await fault(organism, "takes")
        assert (found.code, found.retryable) == ("no_thread", True)
        assert found.text.startswith("96 handlers are past their time-out and still hold the threads")
        assert (await answer(organism, "at_once", n=2)).n == 2
        # Then it gets one again as soon as the stuck ones end
        (tmp_path / "end").touch()
        await until((tmp_path / "ended").exists)
        end = time.monotonic() + 10
        while (await organism.outputs((await inject_many(organism, "takes", 1))[0]))[0].kind == "fault":
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert_nothing_left(organism)

    live(path, scenario)


@pytest.mark.parametrize("listener", ["cpu_loops", "cpu_sleeps", "cpu_backtracks"])
def test_a_cpu_bound_handler_past_its_time_is_killed_and_fails_alone(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, CODE, {listener: {"cpu_bound": True, "timeout": 0.3}, "cpu": {"cpu_bound": True}})

    async def scenario(organism: Organism) -> None:
        assert organism.pool is not None
        await answer(organism, "cpu")  # The workers have started.
        stuck = await inject_many(organism, listener, 2)
        others = await inject_many(organism, "cpu", 50)
        for one in stuck:
            [output] = await organism.outputs(one)
            assert (output.payload.code, output.payload.attempt) == ("timeout", 1)
        answers = [(await organism.outputs(one))[0].payload for one in others]
        assert [one.n for one in answers] == list(range(50))
        assert {one.text.split()[1] for one in answers} == {"1"}  # Nobody else is blamed.
        killed = {int((tmp_path / f"pid{n}").read_text()) for n in range(2)}
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in killed))
        assert len(organism.pool.pids()) == 2
        assert organism.stats.fault_count == 2
        assert_nothing_left(organism)

    live(path, scenario, workers=2)


@pytest.mark.parametrize("options", [{}, {"cpu_bound": True}])
def test_a_timeout_of_zero_is_none(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path, CODE, {"takes": {"timeout": 0, **options}})

    async def scenario(organism: Organism) -> int:
        assert organism.definition.listeners[0].timeout is None
        return int((await answer(organism, "takes", n=4)).n)

    assert live(path, scenario, workers=1) == 4


@pytest.mark.parametrize("options", [{}, pytest.param({"concurrency": 1}, marks=pytest.mark.slow), {"cpu_bound": True}])
def test_time_counts_from_the_handlers_start(tmp_path: Path, options: dict[str, Any]) -> None:
    # Given queued work that takes much longer in total than one handler may
    path = write(tmp_path, CODE, {"takes": {"timeout": 0.6, **options}})
    count = 80 if not options else 8

    async def scenario(organism: Organism) -> list[str]:
        ids = await inject_many(organism, "takes", count)
        return [(await organism.outputs(one))[0].kind for one in ids]

    assert live(path, scenario, workers=1) == ["response"] * count


def test_a_long_start_of_the_workers_is_not_the_handlers_time(tmp_path: Path) -> None:
    code = "\nif 'xpipe.runtime.worker' in sys.modules: time.sleep(0.8)\n" + CODE
    path = write(tmp_path, code, {"cpu": {"cpu_bound": True, "timeout": 0.3}})

    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "cpu", n=1)).n)

    assert live(path, scenario, workers=1) == 1


def test_a_timed_out_reply_handler_fails_its_own_call(tmp_path: Path) -> None:
    code = (
        CODE
        + """
async def outer(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Answer):
        await asyncio.sleep(30)
    return HandlerResponse(Ask(1), to="at_once")
"""
    )
    path = write(tmp_path, code, {"outer": {"timeout": 0.1}, "at_once": {}})

    async def scenario(organism: Organism) -> tuple[str, str, int]:
        found = await fault(organism, "outer")
        return found.code, found.origin, found.hop

    assert live(path, scenario) == ("timeout", "outer", 3)


def test_stuck_handlers_take_no_more_threads_than_the_bound_while_others_are_busy(tmp_path: Path) -> None:
    code = """
def stuck(ask: Ask, m: HandlerMetadata):
    while not (HERE / "end").exists():
        time.sleep(0.02)

def busy(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        time.sleep(0.02)
    return respond(Answer(threading.active_count()))
"""
    path = write(tmp_path, code, {"stuck": {"timeout": 0.05}, "busy": {"timeout": 0}})

    async def scenario(organism: Organism) -> None:
        others = threading.active_count()
        one = await organism.inject("busy", organism.types.class_of("Ask")())
        await inject_many(organism, "stuck", 150)
        await until(lambda: organism.stats.timeouts >= 96)
        await asyncio.sleep(0.5)
        (tmp_path / "go").touch()
        assert (await organism.outputs(one))[0].payload.n <= others + 32 + 64 + 5
        await organism.idle()
        assert {fault.code for fault in organism.stats.faults} == {"timeout", "no_thread"}
        (tmp_path / "end").touch()

    live(path, scenario)
