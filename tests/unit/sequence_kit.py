"""Sequences on the real router: a world of listeners, and what tests of steps have in common."""

from __future__ import annotations

from typing import Any

from router_kit import Ping, Pong, World, call, listener

from xpipe.core.messages import Claim
from xpipe.core.payloads import SEQUENCE, BufferComplete, SequenceComplete, SequenceError, SequenceStart, SequenceStep
from xpipe.core.retry import RetryPolicy

RETRY = RetryPolicy(max_attempts=3, backoff=10.0, jitter=0.0)


def sequences() -> World:
    """Listeners to be called one after the other, and two with a sequence of their own."""
    return World(
        listener("a", Ping, Pong, SequenceComplete, SequenceError, BufferComplete),
        listener("b"),
        listener("c"),
        listener("fenced", Ping, SequenceComplete, SequenceError, Pong, peers=frozenset({"invoice"})),
        listener("invoice", sequence=(SequenceStep("b"), SequenceStep("c", timeout=5.0, retry=RETRY))),
        listener("nested", sequence=(SequenceStep("invoice"), SequenceStep("b"))),
    )


def start(world: World, steps: list[Any], payload: Any = None) -> None:
    world.inject("a")
    world.hop("a", call(SEQUENCE, SequenceStart(steps, payload or Ping(5))))
    world.hop(SEQUENCE)


def last(world: World, tail: str = "a") -> Any:
    return world.history(tail)[-1][1]


def wait(world: World, seconds: float) -> None:
    world.now += seconds
    world.advance(most=0)


def chain_of(claim: Claim) -> str:
    return ".".join(claim.chain.split(".")[-2:])
