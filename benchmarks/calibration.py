"""How fast the machine is just now: a fixed piece of pure Python, by the clock and by CPU time."""

from __future__ import annotations

import time
from dataclasses import dataclass

_ROUNDS = 300_000


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds of the fixed piece. wall beyond cpu: something else had the processor meanwhile."""

    wall: float
    cpu: float

    def and_then(self, other: Speed) -> Speed:
        """What was between two looks is told by their mean."""
        return Speed((self.wall + other.wall) / 2, (self.cpu + other.cpu) / 2)


def look() -> Speed:
    """Run the fixed piece once; it takes some ten milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(_ROUNDS):
        total += number & 7
    return Speed(1_000 * (time.perf_counter() - wall), 1_000 * (time.process_time() - cpu))
