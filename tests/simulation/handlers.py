"""The handlers of the simulated organism: they find what they were asked in their thread's history."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

from simulation.expecting import attempts, expected, value_of
from simulation.plans import Plan, Round, Sum, payload_of, width
from xpipe.core.payloads import Fault, HandlerMetadata, HandlerResponse, Slot
from xpipe.core.retry import Reject, Retry

SLOW = 1_000.0
"""Virtual seconds that a slow handler takes, far more than it may."""
NEVER = -1_000_000
"""An answer that must not count."""
respond = HandlerResponse.respond


class Handlers:
    """Take random times; the same seed, the same times.

    wrong: what they saw that must not be; begun: the ids of the plans that they were asked for; running: how many are.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._asked: dict[int, set[str]] = {}
        self._due: dict[tuple[str, int], float] = {}
        self.running = 0
        self.wrong: list[str] = []
        self.begun: set[int] = set()

    async def node(self, given: Any, metadata: HandlerMetadata) -> Any:
        """Do a plan, or go on with one when an answer has come."""
        self.running += 1
        try:
            await self._take_time()
            return await self._begin(given, metadata) if isinstance(given, Plan) else self._go_on(metadata)
        finally:
            self.running -= 1

    def _go_on(self, metadata: HandlerMetadata) -> Any:
        plan = metadata.history[0].payload
        replies = [slot for slot in metadata.history if slot.kind == "response"]
        if len(replies) < sum(width(part.to) for part in plan.parts):
            return None
        return respond(Sum(plan.value + sum(value_of(slot.payload) for slot in replies)))

    async def step(self, _: Any, metadata: HandlerMetadata) -> Any:
        """Do the first part of a round; its answer is the next round, or what the tail takes."""
        await self._take_time()
        todo: Round = metadata.history[0].payload
        if len(metadata.history) == 1:
            return HandlerResponse(payload_of(todo.parts[0]), to=todo.parts[0].to)
        value = todo.value + self._checked(todo.parts[0], metadata.history[-1])
        if len(todo.parts) == 1 and todo.tail:
            return respond(payload_of(todo.tail[0]))
        return respond(Round(todo.parts[1:], value, todo.tail))

    async def gather(self, given: Any, metadata: HandlerMetadata) -> Any:
        """Answer the sum of whatever comes."""
        del metadata
        return respond(Sum(value_of(given)))

    async def _take_time(self) -> None:
        await asyncio.sleep(self._random.choice((0.0, 0.0, 0.01, self._random.uniform(0.0, 30.0))))

    def _checked(self, part: Plan, reply: Slot) -> int:
        value = value_of(reply.payload)
        if not expected(part).allows(value):
            self.wrong.append(f"{reply.sender} answered {reply.payload} to {part}, not {expected(part)}")
        return value

    async def _begin(self, plan: Plan, metadata: HandlerMetadata) -> Any:
        if metadata.is_self_call:
            return respond(Sum(plan.value))
        self.begun.add(plan.id)
        if metadata.attempt > attempts(plan):
            self.wrong.append(f"attempt {metadata.attempt} at {plan}, which may be tried {attempts(plan)} times")
        if self._now() < self._due.get((metadata.message_id, metadata.attempt), 0.0):
            self.wrong.append(f"attempt {metadata.attempt} at {plan} came earlier than it was asked to")
        match plan.shape:
            case "call":
                return [HandlerResponse(payload_of(part), to=part.to) for part in plan.parts]
            case "self":
                return HandlerResponse(plan, to=metadata.own_name)
            case "lost":
                return HandlerResponse(Sum(0), to="nobody")
            case _:
                return await self._leaf(plan, metadata)

    async def _leaf(self, plan: Plan, metadata: HandlerMetadata) -> Any:
        match plan.shape:
            case "flaky" if metadata.attempt <= plan.fails:
                raise OSError("not yet")
            case "asks" if metadata.attempt <= plan.fails:
                raise self._retry(metadata)
            case "shaky" if self._is_early(plan, metadata):
                raise Reject("not this time")
            case "doomed":
                raise ValueError("never")
            case "rejects":
                raise Reject("not this")
            case "slow":
                await asyncio.sleep(SLOW)
            case "stubborn":
                return await self._too_late()
            case "silent":
                return None
            case "refuses":
                return respond(Fault("mine", "no"))
            case "chatty":
                return [respond(Sum(plan.value)), respond(Sum(NEVER))]
        return respond(Sum(plan.value))

    def _retry(self, metadata: HandlerMetadata) -> Retry:
        """What asks for the next attempt. Of several runs of one attempt, any may be the one that counts."""
        after = self._random.choice((None, self._random.uniform(0.0, 20.0)))
        next, due = (metadata.message_id, metadata.attempt + 1), self._now() + (after or 0.0)
        self._due[next] = min(due, self._due.get(next, due))
        return Retry(after=after)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_early(self, plan: Plan, metadata: HandlerMetadata) -> bool:
        """Whether this call is one of the first that ask for `plan`; each has a thread of its own."""
        asked = self._asked.setdefault(plan.id, set())
        asked.add(metadata.thread_id)
        return len(asked) <= plan.fails

    async def _too_late(self) -> Any:
        """Answer after its time-out: it cannot be cancelled."""
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SLOW)
        await asyncio.sleep(self._random.uniform(0.0, 5.0))
        return respond(Sum(NEVER))
