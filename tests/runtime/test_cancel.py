"""Cancelling a conversation: everything under way in it stops, whoever waits is told, nothing is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from runtime.living import assert_nothing_left, live, until, write
from xpipe import Organism

CODE = """
async def waits(ask: Ask, m: HandlerMetadata):
    (HERE / "began").write_text(str(os.getpid()))
    try:
        await asyncio.sleep(600)
    finally:
        (HERE / "cleaned").touch()

def thread(ask: Ask, m: HandlerMetadata):
    (HERE / "began").write_text(str(os.getpid()))
    while not (HERE / "end").exists():
        time.sleep(0.01)

def worker(ask: Ask, m: HandlerMetadata):
    (HERE / "began").write_text(str(os.getpid()))
    while True:
        pass

async def stubborn(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    while not (HERE / "end").exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass

async def calls(ask: Ask | Answer | Fault, m: HandlerMetadata):
    if isinstance(ask, Fault):
        (HERE / "told").touch()
    if isinstance(ask, Ask):
        return HandlerResponse(ask, to="waits")

async def spread(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(BufferStart("worker", [Ask(n) for n in range(20)]), to="system.buffer")

async def quick(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""
LISTENERS: dict[str, dict[str, Any]] = {
    name: {"timeout": 0} for name in ("waits", "thread", "stubborn", "calls", "spread", "quick")
} | {"worker": {"cpu_bound": True, "timeout": 0}}


@pytest.mark.parametrize("name", ["waits", "thread", "worker", "stubborn", "calls", "spread"])
def test_whatever_runs_is_stopped_and_the_caller_gets_cancelled(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, CODE, LISTENERS)

    async def scenario(organism: Organism) -> None:
        id = await organism.inject(name, organism.types.class_of("Ask")())
        await until(lambda: (tmp_path / "began").exists())

        assert await organism.cancel(id, "enough") is True

        [output] = await organism.outputs(id)
        assert (output.kind, output.payload.code) == ("fault", "cancelled")
        assert "enough" in output.payload.text
        await until(lambda: not organism.pump.under_way)
        (tmp_path / "end").touch()
        assert not (tmp_path / "told").exists()
        assert await organism.cancel(id) is False
        assert_nothing_left(organism)

    live(path, scenario)


def test_the_worker_of_cancelled_work_is_ended_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, LISTENERS)

    async def scenario(organism: Organism) -> None:
        id = await organism.inject("worker", organism.types.class_of("Ask")())
        await until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
        pid = int((tmp_path / "began").read_text())

        await organism.cancel(id)
        await organism.outputs(id)

        await until(lambda: organism.pool is not None and pid not in organism.pool.pids())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    live(path, scenario)


def test_an_async_handler_may_clean_up(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, LISTENERS)

    async def scenario(organism: Organism) -> None:
        id = await organism.inject("waits", organism.types.class_of("Ask")())
        await until(lambda: (tmp_path / "began").exists())
        await organism.cancel(id)
        await until(lambda: (tmp_path / "cleaned").exists())

    live(path, scenario)


def test_other_conversations_are_not_touched(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, LISTENERS)

    async def scenario(organism: Organism) -> None:
        ask = organism.types.class_of("Ask")
        stays = await organism.inject("worker", ask())
        gone = await organism.inject("waits", ask())
        await until(lambda: organism.pump.under_way == 2)
        await organism.cancel(gone)
        await organism.outputs(gone)

        assert organism.running == {stays}
        quick = await organism.inject("quick", ask(7))
        assert (await organism.outputs(quick))[0].payload.n == 7
        await organism.cancel(stays)

    live(path, scenario)
