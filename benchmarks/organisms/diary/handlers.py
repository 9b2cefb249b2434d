"""A handler that sends itself one entry after the other, each of which is a slot of its thread."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Entry:
    """There are to be `entries` of them."""

    number: int
    entries: int
    hops: int = 0


@dataclass
class Written:
    """All are there."""

    number: int
    hops: int


async def write(entry: Entry, metadata: HandlerMetadata) -> HandlerResponse:
    hops = entry.hops + 1
    if hops < entry.entries:
        return HandlerResponse(Entry(entry.number, entry.entries, hops), to=metadata.own_name)
    return HandlerResponse.respond(Written(entry.number, hops))
