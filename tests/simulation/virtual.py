"""A clock that stands still while anything can happen, and jumps to whatever happens next."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Stuck(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class _Selector(selectors.SelectSelector):
    """Never sleeps: where others would, `loop` moves its clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        if timeout > 0:
            self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `now` is in seconds. No threads, no sockets: all that happens is in the loop."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = start
        super().__init__(selector)

    def time(self) -> float:
        return self.now


class VirtualTime:
    """Stands for the module `time` in the modules that ask it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def time(self) -> float:
        return self._loop.now

    def monotonic(self) -> float:
        return self._loop.now
