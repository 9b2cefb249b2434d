"""Keys that expire: those of running conversations are renewed, and what belongs to nothing any more goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from xpipe.backends.redis_link import Link
from xpipe.backends.redis_wire import text
from xpipe.ports import Orphan

ROWS = 200
TURN = 1.0
"""Seconds after which a pass goes on later: the leases are to be renewed in between."""
_REMNANTS = ("conversations", "leases", "listening")
_INDEXES = (
    *_REMNANTS,
    "running",
    "finished",
    "settled",
    "threads",
    "registry",
    "bound",
    "joins",
    "expiries",
    "delayed",
    "loose",
    "sizes",
    "flights",
)


class Upkeep:
    """One pass every third of the TTL, by whichever process comes first.

    forget, bury: remove what is left of a conversation, and of a pump.
    """

    def __init__(self, link: Link, prefix: str, forget: Callable[[str], bool], bury: Callable[[str], int]) -> None:
        self._link = link
        self._prefix = prefix
        self._forget = forget
        self._bury = bury
        self._next = 0.0
        self._pass: Iterator[None] = iter(())
        self._turn = threading.Lock()

    def when_due(self) -> None:
        """Make a pass if one is due, or go on with one, for up to TURN seconds, unless another thread does."""
        if self._link.ttl and self._turn.acquire(blocking=False):
            try:
                self._go_on()
            finally:
                self._turn.release()

    def _go_on(self) -> None:
        end = time.monotonic() + TURN
        if not self._work(end) or time.monotonic() < self._next:
            return
        pause = max(1, self._link.ttl // 3)
        self._next = time.monotonic() + pause
        if self._link.send("SET", f"{self._prefix}upkeep", 1, "NX", "EX", pause):
            self._pass = self.make_pass()
            self._work(end)

    def _work(self, end: float) -> bool:
        """Go on with the pass until `end`; whether it is over."""
        return all(time.monotonic() <= end for _ in self._pass)

    def make_pass(self) -> Iterator[None]:
        """Renew and remove, and yield often."""
        self._link.run("renew", "", 0, 0)
        for conversation in self._running():
            first = 0
            while first >= 0:
                first = self._link.run("renew", conversation, first, ROWS)
                yield
        for index in _INDEXES:
            for _ in self._pages_of(index, remove=True):
                yield

    def _running(self) -> Iterator[str]:
        after, name = "-inf", f"{self._prefix}running"
        while page := self._link.send("ZRANGEBYSCORE", name, after, "+inf", "WITHSCORES", "LIMIT", 0, ROWS):
            yield from (self._link.read(text, (id,), "running ") for id in page[::2])
            after = f"({page[-1].decode()}"

    def orphans(self, remove: bool) -> Iterator[Orphan]:
        """What belongs to nothing; with `remove` it is removed before it is told of."""
        for index in _INDEXES:
            for page in self._pages_of(index, remove):
                yield from page

    def _orphan(self, index: str, kind: bytes, id: bytes, lacks: bytes) -> Orphan:
        return Orphan(kind.decode(), self._link.read(text, (id,), f"{index} "), lacks.decode())

    def _pages_of(self, index: str, remove: bool) -> Iterator[list[Orphan]]:
        cursor = b"0"
        while True:
            cursor, rows = self._link.run("orphans", index, cursor, ROWS, int(remove))
            page = [self._orphan(index, *row) for row in rows]
            if remove and index in _REMNANTS:
                for one in page:
                    self._forget(one.id) if one.kind == "conversation" else self._bury(one.id)
            yield page
            if cursor == b"0":
                return
