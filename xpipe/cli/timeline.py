"""Bars of when a call waited for its turn, ran, and waited for others."""

from __future__ import annotations

from xpipe.core.durations import format_duration
from xpipe.inspection.tracing import TracedCall

RAN, WAITED, OPEN = "█", "░", "─"
_STRENGTH = {" ": 0, OPEN: 1, WAITED: 2, RAN: 3}


class Timeline:
    """`width` characters for the time from `start` to `end`, in seconds since the epoch."""

    def __init__(self, start: float, end: float, width: int) -> None:
        self._start = start
        self._end = max(end, start)
        self._width = width

    @property
    def title(self) -> str:
        """What stands above the bars: how long they are in all."""
        length = format_duration(self._end - self._start)
        return f"0 {length:>{self._width - 2}}"

    def bar(self, call: TracedCall) -> str:
        """That of `call`, with nothing behind its end."""
        cells = [" "] * self._width
        sent = call.request.at or self._start
        self._draw(cells, sent, call.ended or self._end, OPEN)
        for one in call.handled:
            since = one.message.at or 0.0
            for attempt in one.attempts:
                began = attempt.began or attempt.ended
                if since:
                    self._draw(cells, since, began, WAITED)
                self._draw(cells, began, attempt.ended, RAN)
                since = attempt.again
        return "".join(cells).rstrip()

    def _draw(self, cells: list[str], first: float, last: float, mark: str) -> None:
        if last <= first and mark != RAN:
            return
        begin, end = self._place(first), self._place(last)
        for at in range(begin, min(max(end, begin + (mark == RAN)), self._width)):
            if _STRENGTH[mark] > _STRENGTH[cells[at]]:
                cells[at] = mark

    def _place(self, time: float) -> int:
        """The cell that `time` falls into; the last one is the end of all."""
        length = (self._end - self._start) or 1.0
        return max(0, min(self._width - 1, int((time - self._start) / length * self._width)))
