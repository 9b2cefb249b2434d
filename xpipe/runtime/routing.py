"""A step while the router makes it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from xpipe.core import chains
from xpipe.core.messages import Claim, Message, Step
from xpipe.core.payloads import Fault


class Segments:
    """Free segments for the calls of a thread, one after the other; `open` are those of its open calls (A3)."""

    __slots__ = ("_next", "_taken")

    def __init__(self, open: Sequence[str]) -> None:
        self._taken = set(open)
        self._next: dict[str, int] = {}

    def take(self, target: str) -> str:
        """The first free segment for `target`, not free any more."""
        segment, number = chains.escape(target), self._next.get(target, 2)
        while segment in self._taken:  # What was taken stays so: each number is looked at once.
            segment = chains.instance(target, number)
            number += 1
        self._next[target] = number
        self._taken.add(segment)
        return segment


class Routing(msgspec.Struct, eq=False):
    """A step under construction. `refused` are its calls that are not made: target, call and fault."""

    claim: Claim
    message: Message
    step: Step
    fault: Fault | None = None
    refused: list[tuple[str, str, Fault]] | None = None
    segments: Segments | None = None

    def segment(self, target: str) -> str:
        """A free one for a call to `target`."""
        if self.segments is None:
            self.segments = Segments(self.claim.open)
        return self.segments.take(target)

    def refuse(self, target: str, call: str, fault: Fault) -> None:
        """Keep that `call` to `target` is not made."""
        if self.refused is None:
            self.refused = []
        self.refused.append((target, call, fault))
