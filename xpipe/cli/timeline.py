"""Bars of when a call waited for its turn, ran, and waited for others."""

from __future__ import annotations

from xpipe.core.durations import format_duration
from xpipe.inspection.tracing import TracedCall

RAN, WAITED, EITHER, OPEN = "█", "░", "▒", "─"
_STRENGTH = {" ": 0, OPEN: 1, EITHER: 2, WAITED: 3, RAN: 4}


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
        sent, over = call.request.at or self._start, call.ended or self._end
        self._draw(cells, sent, over, OPEN)
        for one in call.handled:
            since = one.message.at or 0.0
            for attempt in one.attempts:
                began = attempt.began or attempt.ended
                if since:
                    self._draw(cells, since, began, WAITED)
                self._draw(cells, began, attempt.ended, RAN)
                since = attempt.again
            if not one.attempts and call.pending is None:  # It was given up amid.
                self._draw(cells, since or self._start, over if call.reply is not None else self._end, EITHER)
        if call.pending is not None:
            mark = WAITED if call.pending.doing == "waits" else EITHER
            self._draw(cells, call.pending.since or self._start, self._end, mark)
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
