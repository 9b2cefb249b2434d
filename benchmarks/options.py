"""What a case is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Size(Enum):
    """How much a case works on: quick shows that it works, normal is what the bars are for, full takes its time."""

    QUICK = "quick"
    NORMAL = "normal"
    FULL = "full"


_SHARES = {Size.QUICK: 0.1, Size.NORMAL: 1.0, Size.FULL: 4.0}


@dataclass(frozen=True, slots=True)
class Options:
    """repeats: runs of each side of a comparison; portion: of what is normal, else `size` says it."""

    repeats: int
    size: Size
    portion: float | None = None

    @property
    def share(self) -> float:
        """How much of the normal work is done."""
        return _SHARES[self.size] if self.portion is None else self.portion


def some(normal: int, share: float) -> int:
    """So much of `normal`, but a few at least."""
    return max(5, round(normal * share))
