"""Which outputs have been handed on, to be told to the backend from time to time."""

from __future__ import annotations


class Delivery:
    """Counts the outputs of conversations; what has changed since the last `take` is pending."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._pending: dict[str, int] = {}

    @property
    def is_pending(self) -> bool:
        """Whether there is something to take."""
        return bool(self._pending)

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
        """The pending counts, which are pending no longer."""
        pending, self._pending = self._pending, {}
        return pending

    def put_back(self, outputs: dict[str, int]) -> None:
        """What was taken is pending again."""
        self._pending = outputs | self._pending
