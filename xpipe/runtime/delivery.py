"""Which outputs have been handed on, to be told to the backend from time to time."""

from __future__ import annotations


class Delivery:
    """Counts the outputs of conversations; what has changed is pending until it was taken and confirmed."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    @property
    def is_pending(self) -> bool:
        """Whether something is to be confirmed."""
        return bool(self._pending or self._taken)

    def count(self, conversation: str) -> int:
        """How many outputs of `conversation` have been handed on; 0 when it is over and that is confirmed."""
        return max(counts.get(conversation, 0) for counts in (self._counts, self._pending, self._taken))

    def begin(self, conversation: str, delivered: int) -> None:
        """`conversation` was taken over; another run has handed on `delivered` of its outputs."""
        self._counts[conversation] = delivered

    def add(self, conversation: str, outputs: int, over: bool = False) -> None:
        """`outputs` more have been handed on; `over`: no further ones will come."""
        count = self._counts.get(conversation, 0) + outputs
        if outputs:
            self._pending[conversation] = count
        self._counts[conversation] = count
        if over:
            self.end(conversation)

    def end(self, conversation: str) -> None:
        """No further outputs of `conversation` will come."""
        self._counts.pop(conversation, None)

    def take(self) -> dict[str, int]:
        """The pending counts, to be confirmed or put back."""
        self._taken, self._pending = self._taken | self._pending, {}
        return self._taken

    def confirm(self) -> None:
        """The backend knows of what was taken."""
        self._taken = {}

    def put_back(self) -> None:
        """It does not: what was taken can be taken again."""
        self._pending, self._taken = self._taken | self._pending, {}
