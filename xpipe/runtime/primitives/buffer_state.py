"""What a Buffer keeps in its thread from one of its steps to the next."""

from __future__ import annotations

import msgspec

from xpipe.runtime.primitives.items import File, Place
from xpipe.runtime.primitives.terms import Terms

MAX_PIECE = 256
"""Items that one commit sends at most."""


class BufferState(msgspec.Struct, array_like=True):
    """How far a Buffer is.

    members: the listeners that `target` stands for; total: what it sends altogether, -1 while its file is still being
    read; sent: how much of that so far; place: from where to read the file to go on.
    """

    target: str
    members: list[str]
    return_to: str
    window: int
    collect: bool
    terms: Terms
    expires: float = 0.0
    total: int = -1
    sent: int = 0
    file: File | None = None
    place: Place = Place()

    @property
    def piece(self) -> int:
        """How many are sent at once: few enough for the rest of the window to be busy meanwhile."""
        return min(MAX_PIECE, max(1, self.window // 4))

    def release(self, room: int) -> tuple[int, int]:
        """How many are to be sent now, and how many of those under way ask for more as soon as no others are left.

        With less than a piece's worth of `room`, it is what there is room for, and at least one: so it goes on (B17).
        """
        if room >= self.piece:
            return self.piece, self.window - self.piece
        count = max(1, room)
        return count, count * 3 // 4

    @property
    def is_all_sent(self) -> bool:
        """Whether nothing is left to be sent."""
        return self.sent == self.total
