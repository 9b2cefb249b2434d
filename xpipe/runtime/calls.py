"""The calls of `advance` that are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from xpipe.core.messages import Step
from xpipe.runtime.room import BATCH

EARLY = BATCH // 2
"""So many steps are committed while others are handled, if another process does that meanwhile."""
MOST = 2
"""Calls of such a backend at once: when it has answered one, the next one is there already."""


@dataclass(slots=True, eq=False)
class Call:
    """Which runner waits for it, what it commits, and what it may claim of each listener and in all."""

    runner: asyncio.Task[None]
    steps: list[Step]
    room: dict[str, int]
    most: int


class Calls:
    """`remote`: another process answers them; the others are made one after the other.

    early: so many steps are committed before all is handled; is_plenty: the last call has claimed all that it might.
    """

    def __init__(self, remote: bool, early: int = EARLY) -> None:
        self.remote = remote
        self._most = MOST if remote else 1
        self.early = early if remote else BATCH + 1
        self._under_way: list[Call] = []
        self.is_plenty = False

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @property
    def runners(self) -> set[asyncio.Task[None]]:
        return {one.runner for one in self._under_way}

    @property
    def steps(self) -> Iterator[Step]:
        """What is being committed."""
        return (step for one in self._under_way for step in one.steps)

    def admit(self, steps: int) -> bool:
        """Whether so many steps may be committed besides what is under way, before all is handled."""
        return steps >= self.early and len(self._under_way) < self._most

    def admit_claims(self) -> bool:
        """Whether there is so much to do that more may be claimed besides what is under way."""
        return self.is_plenty and len(self._under_way) < self._most

    def claimable(self, room: dict[str, int], waiting: int) -> tuple[dict[str, int], int]:
        """What is left of `room`, and how many in all, with `waiting` messages and what is being claimed."""
        most = min(BATCH // self._most, BATCH - waiting - sum(one.most for one in self._under_way))
        for one in self._under_way:
            room = {name: max(0, free - min(one.room.get(name, 0), one.most)) for name, free in room.items()}
        return room, most

    def begin(self, steps: list[Step], room: dict[str, int], most: int) -> Call:
        """The current task waits for the answer."""
        runner = asyncio.current_task()
        assert runner is not None
        call = Call(runner, steps, room, most)
        self._under_way.append(call)
        return call

    def end(self, call: Call) -> None:
        """It is answered."""
        self._under_way.remove(call)
