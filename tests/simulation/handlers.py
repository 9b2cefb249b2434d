"""The handlers of the simulated organism: stateless, they find what they were asked in their thread's history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.plans import SLOW, Plan
from xpipe.core.organism import Listener
from xpipe.core.payloads import (
    BufferComplete,
    BufferStart,
    HandlerMetadata,
    HandlerResponse,
    SequenceComplete,
    SequenceStart,
)
from xpipe.core.retry import Reject, Retry, RetryPolicy

respond = HandlerResponse.respond


@dataclass
class Sum:
    """The value of a plan and of its parts."""

    value: int


@dataclass
class Round:
    """The parts of a sequence that are still to be done, and the sum so far."""

    parts: list[Plan]
    value: int


NODE = (Plan, Sum, BufferComplete, SequenceComplete)
OTHER = {"odd": "even", "even": "odd"}
"""Two listeners alike: a message to one's own name is another thing than a call."""


class Handlers:
    """Take random times; the same seed, the same times."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def listeners(self) -> list[Listener]:
        retry = RetryPolicy(max_attempts=4, backoff=0.5, never=("timeout",))
        return [
            *(Listener(name, self.node, NODE, timeout=100.0, retry=retry) for name in OTHER),
            Listener("step", self.step, (Round, Sum), timeout=100.0, concurrency=3),
        ]

    async def node(self, given: Any, metadata: HandlerMetadata) -> Any:
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.01, self._random.uniform(0.0, 30.0))))
        if isinstance(given, Plan):
            return await self._begin(given, metadata)
        plan = metadata.history[0].payload
        if isinstance(given, BufferComplete):
            assert [result.index for result in given.results] == list(range(len(plan.parts)))
            return respond(Sum(plan.value + sum(one.result.value for one in given.results if one.success)))
        found = given.result if isinstance(given, SequenceComplete) else given
        return respond(Sum(plan.value + found.value))

    async def _begin(self, plan: Plan, metadata: HandlerMetadata) -> Any:
        match plan.shape:
            case "call":
                return HandlerResponse(plan.parts[0], to=OTHER[metadata.own_name])
            case "self":
                return HandlerResponse(Plan("leaf", plan.value), to=metadata.own_name)
            case "buffer":
                options = {"max_in_flight": plan.in_flight, "timeout": plan.timeout}
                return HandlerResponse(
                    BufferStart(OTHER[metadata.own_name], list(plan.parts), **options), to="system.buffer"
                )
            case "sequence":
                steps = ["step"] * len(plan.parts)
                return HandlerResponse(SequenceStart(steps, Round(list(plan.parts), 0)), to="system.sequence")
            case _:
                return await self._leaf(plan, metadata)

    async def _leaf(self, plan: Plan, metadata: HandlerMetadata) -> Any:
        match plan.shape:
            case "flaky" if metadata.attempt < 3:
                raise OSError("not yet")
            case "asks" if metadata.attempt < 3:
                raise Retry(after=self._random.uniform(0.0, 20.0))
            case "doomed":
                raise ValueError("never")
            case "rejects":
                raise Reject("not this")
            case "slow":
                await asyncio.sleep(SLOW)
            case "silent":
                return None
            case "chatty":
                return [respond(Sum(plan.value)), respond(Sum(-1_000_000))]
        return respond(Sum(plan.value))

    async def step(self, given: Any, metadata: HandlerMetadata) -> Any:
        if isinstance(given, Round):
            return HandlerResponse(given.parts[0], to="even")
        todo = metadata.history[0].payload
        return respond(Round(todo.parts[1:], todo.value + given.value))
