"""Notices a handler that blocks the event loop, and says where: an `async def` must not block."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger("xpipe.watchdog")


class Watchdog:
    """Warns when the event loop it was made in does not come round for `patience` seconds while work is under way.

    `suspect` names the listeners whose handlers may be the cause.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, suspect: Callable[[], str], patience: float = 1.0) -> None:
        self._loop = loop
        self._suspect = suspect
        self._patience = patience
        self._thread = threading.get_ident()
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._beat()
        threading.Thread(target=self._watch, name="xpipe-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._timer.cancel()

    def _beat(self) -> None:
        self._last = time.monotonic()
        self._timer = self._loop.call_later(self._patience / 2, self._beat)

    def _watch(self) -> None:
        warned = 0.0
        while not self._stopped.wait(self._patience / 2):
            last = self._last
            if last != warned and time.monotonic() - last > self._patience and (names := self._suspect()):
                warned = last
                self._warn(names, time.monotonic() - last)

    def _warn(self, names: str, seconds: float) -> None:
        frame = sys._current_frames().get(self._thread)
        stack = "".join(traceback.format_stack(frame)[-5:]) if frame else ""
        hint = "make it a plain def, or await what it waits for"
        log.warning("a handler of %s has blocked the event loop for %.1f s; %s\n%s", names, seconds, hint, stack)
