"""A backend that is far away: its answers take time, in which its pump goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from xpipe.runtime.line import Line

SLOWEST = 0.2
"""Seconds that a call takes at most."""


class DistantLine(Line):
    """Makes calls one after the other, each after a while; what a thread would do is done in virtual time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        super().__init__(blocking=True)
        self._loop = loop
        self._random = random
        self._free = 0.0

    def _in_thread(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        answer = self._loop.create_future()
        self._free = max(self._free, self._loop.time()) + self._random.uniform(0.0, SLOWEST)
        self._loop.call_at(self._free, self._make, call, answer)
        return answer

    def _make(self, call: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        settle: Callable[[Any], None]
        try:
            outcome, settle = call(), answer.set_result
        except BaseException as error:
            outcome, settle = error, answer.set_exception
        if not answer.done():  # Else whoever waited for it is gone.
            settle(outcome)
