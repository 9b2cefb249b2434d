"""Whether more may be taken in."""

from __future__ import annotations

import time
from collections.abc import Callable

from xpipe.core.errors import LimitError
from xpipe.ports import SharedBackend
from xpipe.runtime.line import Line
from xpipe.runtime.takeover import Takeover

AT_ONCE = 1_000
"""Messages for which one look may do; `xpipe run` injects 100 in one commit."""
FRESH = 0.1
"""Seconds for which it may do: others inject too."""


class Admission:
    """`in_flight` and `threads` are the limits. Far from them not every message needs a look of its own."""

    def __init__(self, backend: SharedBackend, line: Line, takeover: Takeover, in_flight: int, threads: int) -> None:
        self._backend = backend
        self._line = line
        self._takeover = takeover
        self._in_flight = in_flight
        self._threads = threads
        self._left = 0
        self._looked = 0.0

    async def is_open(self, wanted: int, expects: Callable[[], bool]) -> bool:
        """Whether `wanted` messages may come in. Raises LimitError when there is no room and none will come about.

        `expects` tells whether this organism itself may still make room; asked only when there is none.
        """
        self._left -= wanted
        if self._left >= 0 and time.monotonic() - self._looked < FRESH:
            return True
        load = await self._line.call(self._backend.load)
        # Half of what there is room for, as what comes in calls for more; each message makes two threads.
        self._left = min(AT_ONCE, (self._in_flight - load.in_flight) // 2, load.room // 4) - wanted
        self._looked = time.monotonic()
        if load.in_flight >= self._in_flight:
            return False
        if not load.full or await self._line.call(self._backend.make_room):
            return True
        if not (expects() or load.in_flight or await self._takeover.others()):
            raise LimitError(
                f"the backend keeps {self._threads} threads, as many as backend.max_threads allows, and none may go "
                "before its outputs are printed; print outputs as they come with --format jsonl, old ones with "
                "`xpipe run --resume`, drop old ones with `xpipe gc`, or raise max_threads"
            )
        return False
