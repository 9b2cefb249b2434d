"""What a case is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Size(Enum):
    """How much a case works on: quick shows that it works, normal is what the bars are for, full takes its time."""

    QUICK = "quick"
    NORMAL = "normal"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Options:
    """repeats: runs of each side of a comparison."""

    repeats: int
    size: Size
