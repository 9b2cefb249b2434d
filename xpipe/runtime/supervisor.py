"""What is looked at from time to time while a pump runs: conversations that take too long, work that nobody does."""

from __future__ import annotations

import asyncio
import logging
import time

from xpipe.core.durations import format_duration
from xpipe.core.messages import end_fault
from xpipe.ports import SharedBackend
from xpipe.runtime.pump import Pump

log = logging.getLogger("xpipe.supervisor")

LOOK = 1.0
"""Seconds between two looks."""
STALLED = 30.0
"""Seconds without progress, while there is work that could be done, after which that is told."""


class Supervisor:
    """`duration`: seconds that a conversation may take, 0 for no bound; `stalled`: see STALLED."""

    def __init__(self, pump: Pump, backend: SharedBackend, duration: float, stalled: float = STALLED) -> None:
        self._pump = pump
        self._backend = backend
        self._duration = duration
        self._stalled = stalled
        self._moved, self._since = -1, 0.0

    async def end_overdue(self) -> None:
        """End conversations that take longer than `duration`, for ever."""
        text = f"the conversation took longer than limits.conversation_duration ({format_duration(self._duration)})"
        fault = end_fault("conversation_timeout", f"{text}; raise it or make the work shorter")
        while True:
            await asyncio.sleep(LOOK)
            if await self._pump.line.call(self._end_overdue, fault):
                self._pump.wake()

    def _end_overdue(self, fault: bytes) -> int:
        now, ended = time.time(), 0
        for one in self._backend.conversations(running=True):
            if one.started + self._duration > now:
                break  # They are listed oldest first.
            ended += self._backend.cancel(one.id, fault, now)
        return ended

    def watch_progress(self, ready: list[str]) -> None:
        """Warn when nothing moves although something could; `ready` are the listeners with a message ready now."""
        moved = self._pump.stats.hops + self._pump.stats.retries
        able = self._pump.able_to_claim(ready)
        now = time.monotonic()
        if moved != self._moved or not able:
            self._moved, self._since = moved, now
        elif now - self._since > self._stalled:
            self._warn(able, now - self._since)
            self._since = now

    def _warn(self, able: list[str], seconds: float) -> None:
        running = ", ".join(f"{name} ({count})" for name, count in self._pump.running.items()) or "nothing"
        what = f"no progress for {format_duration(seconds)} although messages are ready for {', '.join(able)}"
        log.warning("%s; under way here: %s; `xpipe threads --state active` shows where they wait", what, running)
