"""xpipe, embedded in a process that gives its organism messages and takes what comes out, as `xpipe run` does."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.counting import count_calls
from benchmarks.referee import Referee
from xpipe import Fault, Organism, Output
from xpipe.__main__ import COLLECT_AFTER
from xpipe.core.messages import Injection

ORGANISMS = Path(__file__).parent.parent / "organisms"
BATCH = 100
"""Messages of one commit on their way in, as `xpipe run` takes them from its source."""
WARM_UP = 20
FILLINGS: dict[str, Any] = {"text": "x", "data": b"x"}


class Receipts:
    """Adds up what comes out, and knows what should have."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self.count = self.numbers = self.hops = 0
        self.spent = 0.0

    def take(self, happening: object) -> None:
        """Called with whatever happens."""
        if not isinstance(happening, Output):
            return
        payload = happening.payload
        if isinstance(payload, Fault):
            raise SystemExit(f"an answer was a fault: {payload.text}")
        self.count += 1
        self.numbers += payload.number
        self.hops += payload.hops
        self.spent += getattr(payload, "spent", 0.0)

    def check(self, messages: int, hops: int) -> None:
        """Each of `messages` came back once, after `hops` hops."""
        if (self.count, self.numbers, self.hops) != (messages, messages * (messages - 1) // 2, messages * hops):
            raise SystemExit(f"of {messages} messages {self.count} came back, after {self.hops} hops")


def drive(referee: Referee) -> None:
    """work: organism, to, payload (its fields besides `number`), messages, own_hops of each.

    fill: fields of the payload and how long they are; warm_up: another payload to warm up with; alone: each message
    waits for the answer of the one before; idle: then nothing happens for so many seconds; pumps: wait for so many;
    count: count calls, which takes time.
    """
    gc.set_threshold(COLLECT_AFTER)  # As `xpipe run` does.
    calls = count_calls() if referee.work.get("count") else {}
    asyncio.run(_drive(referee, calls))


async def _drive(referee: Referee, calls: dict[str, int]) -> None:
    work, receipts = referee.work, Receipts()
    organism = Organism.load(ORGANISMS / work["organism"] / "organism.yaml", on_happening=receipts.take)
    async with organism:
        while len(organism.backend.pumps()) < work.get("pumps", 1):  # noqa: ASYNC110  # Nobody tells.
            await asyncio.sleep(0.05)
        way = _one_by_one if work.get("alone") else _all
        warm_up = _maker(organism, {**work, "payload": work.get("warm_up", work["payload"])})
        await way(organism, warm_up, min(work["messages"], WARM_UP))
        make = _maker(organism, work)
        before = _begin_anew(organism, receipts, calls)
        referee.start()
        waits = await way(organism, make, work["messages"])
        await asyncio.sleep(work.get("idle", 0.0))
        known = dict(calls)
        referee.stop()
        receipts.check(work["messages"], work["own_hops"])
        after = _remembered(organism)
        referee.finish(
            messages=receipts.count,
            hops=receipts.hops,
            spent=receipts.spent,
            alone=statistics.median(waits) if waits else 0.0,
            peak=_peak(),
            **{name: after[name] - before[name] for name in before},
            **known,
        )


def _begin_anew(organism: Organism, receipts: Receipts, calls: dict[str, int]) -> dict[str, float]:
    """Forget what the warm-up has counted; what is remembered by then."""
    remembered = _remembered(organism)
    receipts.begin_anew()
    calls.update(dict.fromkeys(calls, 0))
    return remembered


def _remembered(organism: Organism) -> dict[str, float]:
    """Bytes of this process and what the backend holds."""
    gc.collect()
    totals = organism.backend.totals()
    return {"bytes": psutil.Process().memory_info().rss, "threads": totals.threads, "slots": totals.slots}


def _peak() -> float:
    """MiB that this process has taken at most."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # Only Linux has it.
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _maker(organism: Organism, work: Any) -> Callable[[int], Injection]:
    to = work["to"]
    accepted = next(one.accepts[0] for one in organism.definition.listeners if one.name == to)
    filled = {name: FILLINGS[name] * size for name, size in work.get("fill", {}).items()}
    fields = {**work["payload"], **filled}
    return lambda number: organism.intake.injection("benchmark", to, accepted(number=number, **fields))


async def _all(organism: Organism, make: Callable[[int], Injection], messages: int) -> list[float]:
    for batch in _batches(messages):
        await organism.inject_all([make(number) for number in batch])
        await asyncio.sleep(0)
    await organism.idle()
    return []


async def _one_by_one(organism: Organism, make: Callable[[int], Injection], messages: int) -> list[float]:
    """The seconds from sending to the answer."""
    waits = []
    for number in range(messages):
        began = time.perf_counter()
        [conversation] = await organism.inject_all([make(number)])
        await organism.outputs(conversation)
        waits.append(time.perf_counter() - began)
    return waits


def _batches(messages: int) -> Iterator[list[int]]:
    numbers = iter(range(messages))
    while batch := list(islice(numbers, BATCH)):
        yield batch
