"""One handler that fans items out and adds up what comes back, and one that keeps a CPU busy."""

from __future__ import annotations

import time
from dataclasses import dataclass

from xpipe import BufferComplete, BufferStart, HandlerMetadata, HandlerResponse


@dataclass
class Spread:
    """Send `items` items, each of which takes so many milliseconds of a CPU."""

    number: int
    items: int
    milliseconds: float


@dataclass
class Item:
    """One of them."""

    index: int
    milliseconds: float


@dataclass
class Burnt:
    """Its answer: the CPU seconds it took."""

    index: int
    spent: float


@dataclass
class Collected:
    """How many items came back, each in its place, and their CPU seconds altogether."""

    number: int
    hops: int
    spent: float


async def spread(payload: Spread | BufferComplete, metadata: HandlerMetadata) -> HandlerResponse:
    if isinstance(payload, Spread):
        items = [Item(index, payload.milliseconds) for index in range(payload.items)]
        return HandlerResponse(BufferStart("burn", items), to="system.buffer")
    burnt = [one.result for one in payload.results if one.success]
    right = sum(one.index == place for place, one in enumerate(burnt))
    number = metadata.history[0].payload.number
    return HandlerResponse.respond(Collected(number, right, sum(one.spent for one in burnt)))


def burn(item: Item, _metadata: HandlerMetadata) -> HandlerResponse:
    began = now = time.thread_time()
    while now - began < item.milliseconds / 1_000:
        now = time.thread_time()
    return HandlerResponse.respond(Burnt(item.index, now - began))
