"""Who waits for what in an organism."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable


class Waiting:
    """The conversations that are not over, and those who wait for the end of one or for any change.

    Those who wait for one conversation are told of its end only: thousands may wait.
    """

    def __init__(self) -> None:
        self.running: set[str] = set()
        self._changed = asyncio.Event()
        self._endings: dict[str, asyncio.Event] = {}

    def begin(self, conversations: Iterable[str]) -> None:
        """`conversations` run."""
        self.running.update(conversations)

    def end(self, conversation: str) -> None:
        """`conversation` is over."""
        self.running.discard(conversation)
        if (ending := self._endings.pop(conversation, None)) is not None:
            ending.set()

    def note_change(self) -> None:
        """Something has been committed."""
        self._changed.set()

    def wake_all(self) -> None:
        """Everybody is to look how things are now."""
        self._changed.set()
        for event in self._endings.values():
            event.set()

    async def change(self, most: float | None = None) -> None:
        """Wait for a change, `most` seconds at most."""
        await _next(self._changed, most)

    async def ending(self, conversation: str) -> None:
        """Wait until `conversation` is over, or everybody is woken."""
        await _next(self._endings.setdefault(conversation, asyncio.Event()), None)


async def _next(event: asyncio.Event, most: float | None) -> None:
    event.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), most)
