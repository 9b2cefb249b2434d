"""Keys that expire: those of running conversations are renewed, and index entries of expired ones go."""

from __future__ import annotations

import time
from collections.abc import Callable

from xpipe.backends.redis_link import Link

ROWS = 200


class Upkeep:
    """One pass every third of the TTL, by whichever process comes first.

    forget: removes what is left of a conversation.
    """

    def __init__(self, link: Link, prefix: str, ttl: int, forget: Callable[[str], bool]) -> None:
        self._link = link
        self._prefix = prefix
        self._ttl = ttl
        self._forget = forget
        self._next = 0.0

    def when_due(self) -> None:
        """Make a pass if one is due."""
        if not self._ttl or time.monotonic() < self._next:
            return
        pause = max(1, self._ttl // 3)
        self._next = time.monotonic() + pause
        if self._link.send("SET", f"{self._prefix}upkeep", 1, "NX", "EX", pause):
            self.make_pass()

    def make_pass(self) -> None:
        """Renew and prune now."""
        self._link.run("renew", "", 0, 0)
        self._each("running", self._renew)
        self._each("conversations", self._forget_expired)
        for index in ("threads", "loose", "bound", "joins"):
            after = self._link.run("prune", index, "", ROWS)
            while after != b"":
                after = self._link.run("prune", index, after, ROWS)

    def _each(self, index: str, visit: Callable[[str], None]) -> None:
        after: str = "-inf"
        name = f"{self._prefix}{index}"
        while page := self._link.send("ZRANGEBYSCORE", name, after, "+inf", "WITHSCORES", "LIMIT", 0, ROWS):
            for id in page[::2]:
                visit(id.decode())
            after = f"({page[-1].decode()}"

    def _renew(self, conversation: str) -> None:
        first = 0
        while first >= 0:
            first = self._link.run("renew", conversation, first, ROWS)

    def _forget_expired(self, conversation: str) -> None:
        if not self._link.send("EXISTS", f"{self._prefix}conversation:{conversation}"):
            self._forget(conversation)
