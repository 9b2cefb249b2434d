"""Two players. `hops` counts the hits."""

from __future__ import annotations

from dataclasses import dataclass

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Ball:
    """Played by the server; the rally is over after `length` hits or one more."""

    number: int
    length: int
    hops: int = 0


@dataclass
class Return:
    """Played by the receiver."""

    number: int
    length: int
    hops: int


@dataclass
class Rally:
    """What came of it."""

    number: int
    hops: int


async def serve(ball: Ball | Return, _metadata: HandlerMetadata) -> HandlerResponse:
    hops = ball.hops + 1
    if hops >= ball.length:
        return HandlerResponse.respond(Rally(ball.number, hops))
    return HandlerResponse(Ball(ball.number, ball.length, hops), to="receiver")


async def receive(ball: Ball, _metadata: HandlerMetadata) -> HandlerResponse:
    return HandlerResponse.respond(Return(ball.number, ball.length, ball.hops + 1))
