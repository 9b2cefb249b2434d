"""The smallest handler there can be."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Call:
    """The input."""

    number: int
    text: str = ""


@dataclass
class Echo:
    """What goes out; `hops` is always 1."""

    number: int
    text: str
    hops: int = 1


async def echo(call: Call, _metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Echo(call.number, call.text))
