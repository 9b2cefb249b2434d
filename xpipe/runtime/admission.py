"""Whether more may be taken in."""

from __future__ import annotations

from collections.abc import Callable

from xpipe.core.errors import LimitError
from xpipe.ports import SharedBackend
from xpipe.runtime.line import Line
from xpipe.runtime.takeover import Takeover


class Admission:
    """`in_flight` and `threads` are the limits."""

    def __init__(self, backend: SharedBackend, line: Line, takeover: Takeover, in_flight: int, threads: int) -> None:
        self._backend = backend
        self._line = line
        self._takeover = takeover
        self._in_flight = in_flight
        self._threads = threads

    async def is_open(self, expects: Callable[[], bool]) -> bool:
        """Whether there is room. Raises LimitError when there is none and none will come about.

        `expects` tells whether this organism itself may still make room; asked only when there is none.
        """
        load = await self._line.call(self._backend.load)
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
