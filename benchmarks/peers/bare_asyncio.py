"""The least a pump can be: asyncio, a queue, and a task for each message; nothing is checked, stored or recovered."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.referee import Referee

WARM_UP = 20


async def first(text: str, _seconds: float) -> str:
    return text


async def second(text: str, _seconds: float) -> str:
    return text


async def third(text: str, _seconds: float) -> str:
    return text


async def nap(text: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return text


class Pump:
    """Has each message go through `hops` handlers."""

    def __init__(self, hops: int, text: str, seconds: float) -> None:
        self._hops = hops
        self._text = text
        self._seconds = seconds
        self._handlers = (nap,) if seconds else (first, second, third)

    async def run(self, messages: int) -> int:
        """The hops that happened."""
        self._queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._left, self._happened = messages, 0
        self._over = asyncio.Event()
        for _ in range(messages):
            self._queue.put_nowait((0, self._text))
        pumping = asyncio.create_task(self._pump())
        await self._over.wait()
        pumping.cancel()
        return self._happened

    async def _pump(self) -> None:
        tasks = set()
        while True:
            task = asyncio.create_task(self._deliver(*await self._queue.get()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _deliver(self, hop: int, text: str) -> None:
        text = await self._handlers[hop % len(self._handlers)](text, self._seconds)
        self._happened += 1
        if hop + 1 < self._hops:
            self._queue.put_nowait((hop + 1, text))
            return
        self._left -= 1
        if not self._left:
            self._over.set()


def drive(referee: Referee) -> None:
    """work: messages, hops of each; text: how long it is; wait: milliseconds of a handler."""
    work: Any = referee.work
    asyncio.run(_drive(referee, Pump(work["hops"], "x" * work.get("text", 0), work.get("wait", 0) / 1_000)))


async def _drive(referee: Referee, pump: Pump) -> None:
    messages = referee.work["messages"]
    await pump.run(min(messages, WARM_UP))
    referee.start()
    hops = await pump.run(messages)
    referee.stop()
    if hops != messages * referee.work["hops"]:
        raise SystemExit(f"{hops} hops happened")
    referee.finish(messages=messages, hops=hops)
