"""What is kept in Redis and what goes: retention, room for more, dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from xpipe.backends.redis_damages import Damages
from xpipe.backends.redis_link import Link
from xpipe.backends.redis_wire import text
from xpipe.core.messages import DeadLetter
from xpipe.ports import Damage

THREADS_AT_ONCE = 200
"""As many are forgotten in one call: no call holds up the server for long."""
ROWS = 200
LETTERS = 100
_decode_letter = msgspec.msgpack.Decoder(DeadLetter).decode


class RedisKeeping:
    """The part of the port that collects."""

    _link: Link
    _prefix: str
    _max_threads: int

    def delivered(self, outputs: Mapping[str, int]) -> None:
        pairs = iter(outputs.items())
        while page := list(islice(pairs, ROWS)):
            self._link.run("delivered", *(value for pair in page for value in pair))

    def forget(self, conversation: str) -> bool:
        while (left := self._link.run("forget", conversation, THREADS_AT_ONCE)) == 0:
            pass
        return bool(left == 1)

    def forget_ended(self, before: float, most: int) -> int:
        forgotten, unfinished = 0, 1
        while unfinished and forgotten < most:
            gone, unfinished = self._link.run("forget_ended", repr(before), most - forgotten, THREADS_AT_ONCE)
            forgotten += gone
        return forgotten

    def make_room(self) -> bool:
        while not isinstance(answer := self._link.run("make_room", self._max_threads, THREADS_AT_ONCE), int):
            self.forget(self._link.read(text, (answer,), "settled "))
        return answer == 1

    def dead_letters(self) -> Iterator[DeadLetter]:
        key = f"{self._prefix}dead"
        numbers = iter(sorted(self._link.send("ZRANGE", f"{self._prefix}dead_times", 0, -1)))
        while page := list(islice(numbers, LETTERS)):
            letters = self._link.send("HMGET", key, *page)
            yield from (self._link.decoded(_decode_letter, one, key) for one in letters if one is not None)

    def drop_dead_letters(self, before: float) -> int:
        dropped = 0
        while gone := self._link.run("drop_dead_letters", repr(before), ROWS):
            dropped += gone
        return dropped

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        return Damages(self._link, self._prefix, set_aside).find()
