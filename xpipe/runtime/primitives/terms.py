"""How many items of a Buffer have to succeed, and when that is certain."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import msgspec

_NUMBER = re.compile(r"\s*(\d{1,15})\s*", re.ASCII)
_SHARE = re.compile(r"\s*(\d{1,3}(?:\.\d{1,9})?)\s*%\s*", re.ASCII)

NEVER = (0, -1)
"""`enough` and `spare` of a Join that only its last result decides."""


class Terms(msgspec.Struct, array_like=True, frozen=True):
    """min_success, on_partial and cancel_rest of a Buffer. A `total` below 0 is not known yet."""

    min_success: str = ""
    on_partial: str = "complete"
    cancel_rest: bool = False

    def problem(self) -> str:
        """What is wrong with them, "" for nothing."""
        share = _SHARE.fullmatch(self.min_success)
        if self.min_success and not _NUMBER.fullmatch(self.min_success) and not (share and Fraction(share[1]) <= 100):
            return f"min_success is {self.min_success!r}; give a number, or a percentage such as 90%"
        if self.on_partial not in ("complete", "fault"):
            return f"on_partial is {self.on_partial!r}; it is complete or fault"
        if self.on_partial == "fault" and not self.min_success:
            return "on_partial is fault, and nothing says what is too few; give min_success, 100% for all"
        return ""

    def needed(self, total: int) -> int:
        """How many of `total` have to succeed, -1 if that is not known."""
        share = _SHARE.fullmatch(self.min_success)
        if share is not None:
            return math.ceil(Fraction(share[1]) * total / 100) if total >= 0 else -1
        return int(self.min_success or 0)

    def bounds(self, total: int) -> tuple[int, int]:
        """`enough` and `spare` of the Join that waits for `total`."""
        needed = self.needed(total)
        if not self.cancel_rest or needed <= 0:
            return NEVER
        return needed, total - needed if total >= needed else -1

    def are_certain(self, total: int, successes: int, faults: int) -> bool:
        """Whether so many results have decided the Join."""
        enough, spare = self.bounds(total)
        return 0 < enough <= successes or 0 <= spare < faults

    def are_met(self, total: int, successes: int) -> bool:
        """Whether so many are enough."""
        return 0 <= self.needed(total) <= successes
