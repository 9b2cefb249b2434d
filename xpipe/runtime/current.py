"""Which hop the running code belongs to: on the event loop, in a thread, in a worker process."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Event
from typing import Protocol

import msgspec


class Where(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The hop that something was said in."""

    conversation: str
    thread: str
    listener: str
    hop: int
    attempt: int


class UnderWay(Protocol):
    """A message in its handler."""

    def where(self) -> Where:
        """The hop that this is."""


current: ContextVar[UnderWay | None] = ContextVar("xpipe_hop", default=None)
"""None outside of handlers."""


is_loading = Event()
"""Set in a worker process while it imports user code, which must not run organisms."""


def where() -> Where | None:
    """The hop that the running code belongs to, None outside of handlers."""
    hop = current.get()
    return None if hop is None else hop.where()
