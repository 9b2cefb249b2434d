"""What a run is doing right now, as a scene for a live display."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

from xpipe.assembly import Organism
from xpipe.cli.console import Bar, Scene
from xpipe.cli.text import counted, number
from xpipe.core.durations import format_duration
from xpipe.inspection.glance import buffers

MOST_LISTENERS = 8
MOST_BARS = 4
WINDOW = 3.0
"""Seconds over which the rate is a mean."""


class Progress:
    """Looks at a running organism."""

    def __init__(self, organism: Organism) -> None:
        self._organism = organism
        self._pump = organism.pump
        self._began = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque([(self._began, 0)])

    def scene(self) -> Scene:
        """What to show now."""
        stats, running = self._pump.stats, self._pump.running
        bars = [Bar("fan-out", one.present, one.total) for one in islice(buffers(self._organism.backend), MOST_BARS)]
        return Scene(self._headline(stats.hops, stats.fault_count), self._rows(running), bars)

    def _headline(self, hops: int, faults: int) -> str:
        now = time.monotonic()
        parts = [
            f"{counted(hops, 'hop')} done",
            f"{number(self._organism.backend.load().in_flight)} in flight",
            counted(faults, "fault"),
            f"{number(round(self._rate(now, hops)))}/s",
            format_duration(round(now - self._began, 1) or 0.1),
        ]
        return "   ".join(parts)

    def _rate(self, now: float, hops: int) -> float:
        self._seen.append((now, hops))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        return (hops - before) / (now - since) if now > since else 0.0

    def _rows(self, running: dict[str, int]) -> list[tuple[str, ...]]:
        busiest = sorted(running.items(), key=lambda item: (-item[1], item[0]))[:MOST_LISTENERS]
        return [self._row(name, count) for name, count in busiest]

    def _row(self, name: str, count: int) -> tuple[str, ...]:
        stats = self._pump.stats.listeners.get(name)
        done, faults = (stats.done, stats.faults) if stats else (0, 0)
        failed = (counted(faults, "fault"),) if faults else ()
        return (f"  {name}", f"{number(count)} running", f"{number(done)} done", *failed)
