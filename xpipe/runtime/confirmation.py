"""Tells the backend which outputs have been printed, so that they need not happen again on a resume."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from xpipe.ports import SharedBackend
from xpipe.runtime.delivery import Delivery
from xpipe.runtime.line import Line

INTERVAL = 0.25
"""Seconds between two confirmations that nobody hurries."""


class Confirmation:
    """Confirms what `delivery` has pending once `printed` returns True; with None only in `confirm`.

    `on_confirmed` is called after each: what is confirmed may go when room is needed.
    """

    def __init__(
        self,
        backend: SharedBackend,
        delivery: Delivery,
        printed: Callable[[], Awaitable[bool]] | None,
        on_confirmed: Callable[[], None],
    ) -> None:
        self.is_automatic = printed is not None
        self._backend = backend
        self._delivery = delivery
        self._printed = printed
        self._on_confirmed = on_confirmed
        self._wanted = asyncio.Event()

    @property
    def is_due(self) -> bool:
        """Whether there is something that will be confirmed without anybody asking for it."""
        return self.is_automatic and self._delivery.is_pending

    def hurry(self) -> None:
        """Somebody waits for what the next confirmation makes possible."""
        if self.is_due:
            self._wanted.set()

    async def run(self, line: Line) -> None:
        """Confirm from time to time, for ever. Raises BackendError."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), INTERVAL)
            self._wanted.clear()
            await self._confirm_printed(line)

    async def _confirm_printed(self, line: Line) -> None:
        assert self._printed is not None
        outputs = self._delivery.take()
        try:
            if outputs and await self._printed():
                await line.call(self._backend.delivered, outputs)
                self._delivery.confirm()
                self._on_confirmed()
        finally:
            self._delivery.put_back()

    def confirm(self) -> None:
        """What has been handed on so far has been printed. Raises BackendError."""
        self._backend.delivered(self._delivery.take())
        self._delivery.confirm()
