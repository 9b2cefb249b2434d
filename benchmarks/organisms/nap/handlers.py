"""A handler that waits, as one does that asks a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Nap:
    """Wait for so many milliseconds."""

    number: int
    milliseconds: float


@dataclass
class Rested:
    """It is over; `hops` is always 1."""

    number: int
    hops: int = 1


async def nap(payload: Nap, _metadata: HandlerMetadata) -> HandlerResponse:
    await asyncio.sleep(payload.milliseconds / 1_000)
    return HandlerResponse.respond(Rested(payload.number))
