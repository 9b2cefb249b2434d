"""Warns about a handler that blocks the event loop, and where: an `async def` must not block.

Only what is seen on the loop's own stack is blamed: xpipe's work, a pause of the collector, a process that was stopped
or a lock that another thread held may keep the loop as long.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from contextvars import Context
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from xpipe.runtime.current import UnderWay, current

log = logging.getLogger("xpipe.watchdog")

LOOKS = 3
"""Looks in a row at the same call, after which it is taken for one that blocks. Looks, not seconds: while a process is
stopped there are none."""
_OURS = str(Path(__file__).parent.parent)
_HANDLE_RUN = asyncio.Handle._run.__code__
_callers: dict[CodeType, str] = {}


def calls_handlers(code: CodeType, name: str) -> None:
    """Note that `code` calls handlers: of the hop, or in the context, that its local variable `name` is."""
    _callers[code] = name


class Blocking(NamedTuple):
    """A handler call on the stack of an event loop. `call` is its frame; hop: None for a task outside any hop."""

    call: FrameType
    hop: UnderWay | None

    @property
    def what(self) -> str:
        return f"a handler of {self.hop.where().listener}" if self.hop is not None else "a task of this program"


def handler_on_stack(thread: int) -> Blocking | None:
    """The call of user code that the event loop in `thread` is running now, if any."""
    callee, frame = None, sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code in _callers or frame.f_code is _HANDLE_RUN:
            if callee is None or callee.f_code.co_filename.startswith(_OURS):
                return None
            return Blocking(callee, _hop_of(frame))
        callee, frame = frame, frame.f_back
    return None


def _hop_of(frame: FrameType) -> UnderWay | None:
    found: Any = frame.f_locals.get(_callers.get(frame.f_code, "self"))
    context = getattr(found, "_context", found)  # That of a Handle: a task has the context of who started it.
    hop: UnderWay | None = context.get(current) if isinstance(context, Context) else found
    return hop


class Watchdog:
    """Warns when a handler blocks the event loop this was made in for `patience` seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float = 1.0) -> None:
        self._loop = loop
        self._pause = patience / (LOOKS - 1)
        self._thread = threading.get_ident()
        self._rounds = 0
        self._stopped = threading.Event()
        self._come_round()
        threading.Thread(target=self._watch, name="xpipe-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._timer.cancel()

    def _come_round(self) -> None:
        self._rounds += 1
        self._timer = self._loop.call_later(self._pause / 2, self._come_round)

    def _watch(self) -> None:
        rounds, began, looks = 0, 0.0, 0
        suspect: Blocking | None = None
        while not self._stopped.wait(self._pause):
            seen = handler_on_stack(self._thread)
            if self._rounds != rounds or seen is None or suspect is None or seen.call is not suspect.call:
                rounds, began, looks = self._rounds, time.monotonic(), 0
            suspect, looks = seen, looks + 1
            if suspect is not None and looks == LOOKS:
                self._warn(suspect, time.monotonic() - began)

    def _warn(self, blocking: Blocking, seconds: float) -> None:
        frame = sys._current_frames().get(self._thread)
        stack = "".join(traceback.format_stack(frame)[-5:]) if frame else ""
        hint = "make it a plain def, or await what it waits for"
        log.warning("%s has blocked the event loop for %.1f s; %s\n%s", blocking.what, seconds, hint, stack)


def stuck(thread: int, seconds: float = 0.5) -> str:
    """What in user code has kept the event loop in `thread` for the next `seconds`; "" for nothing."""
    before = handler_on_stack(thread)
    time.sleep(seconds)
    now = handler_on_stack(thread)
    return now.what if before is not None and now is not None and before.call is now.call else ""
