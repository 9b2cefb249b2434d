"""What cannot be read in Redis: told of, and set aside as dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from xpipe.backends.redis_link import Link
from xpipe.backends.redis_paging import hash_items, pages
from xpipe.backends.redis_wire import encoded, is_text, read_events, shown
from xpipe.core.messages import (
    LOST_HOP,
    UNREADABLE,
    Cursor,
    DeadLetter,
    PumpRecord,
    damaged_letter,
    readable,
    readable_hop,
    tombstone,
)
from xpipe.ports import Damage

ROWS = 200
BYTES = 256 * 1024
"""Slots read in one call."""
_ENTRIES: dict[str, Callable[[bytes], Any]] = {
    "pumps": msgspec.msgpack.Decoder(PumpRecord).decode,
    "cursors": msgspec.msgpack.Decoder(Cursor).decode,
    "dead": msgspec.msgpack.Decoder(DeadLetter).decode,
}
_COUNTED = ("counters", "loose", "sizes", "flights")
_INDEXES = (
    "numbers",
    "threads",
    "conversations",
    "running",
    "finished",
    "settled",
    "expiries",
    "delayed",
    "listening",
    "leases",
    "bound",
    "registry",
    "joins",
    "lanes",
)


class Damages:
    """Finds what is damaged. With `set_aside` a dead letter keeps each of it, and what cannot do without it goes:

    with a record of a conversation that runs, or with its own record or its outputs, the whole conversation; with
    another thread of one that is over, only that thread.
    """

    def __init__(self, link: Link, prefix: str, set_aside: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._set_aside = set_aside
        self._lists = tuple(encoded(f"{prefix}{kind}:") for kind in ("buffer", "mailbox"))

    def find(self) -> Iterator[Damage]:
        """Indexes first: the rest builds on them. Records before slots: those that go with them are not looked at."""
        yield from self._indexes()
        for index in ("conversations", "threads"):
            for row in pages(self._link, "damaged_page", index):
                yield from self._record(*row)
        yield from self._slots()
        yield from self._hops()

    def _indexes(self) -> Iterator[Damage]:
        counted = [damage for index in _COUNTED for damage in self._index(index)]
        if counted and self._set_aside:
            self._link.run("recount")
        yield from counted
        for index in _INDEXES:
            yield from self._index(index)
        for name, decode in _ENTRIES.items():
            for field, data in hash_items(self._link, f"{self._prefix}{name}"):
                if not (_can(decode, data) and is_text(field)):
                    yield from self._entry(name, field, data, f"{self._prefix}{name} {shown(field)}")
        for key, kind, id, data in pages(self._link, "damaged_pairs", first="0", last=b"0"):
            yield from self._entry(kind.decode(), id, data, shown(key))
        for pump, _ in hash_items(self._link, f"{self._prefix}pumps"):
            yield from self._inbox(pump)

    def _index(self, index: str) -> Iterator[Damage]:
        for id, data in pages(self._link, "damaged_entries", index, first="0", last=b"0"):
            yield from self._entry(index, id, data, f"{self._prefix}{index} {shown(id)}")

    def _inbox(self, pump: bytes) -> Iterator[Damage]:
        name = encoded(self._prefix) + b"inbox:" + pump
        if not _can(read_events, self._link.send("LRANGE", name, 0, -1)):
            yield from self._entry("inbox", pump, self._link.send("DUMP", name), shown(name))

    def _record(self, key: bytes, id: bytes, conversation: bytes, data: bytes) -> Iterator[Damage]:
        if not self._set_aside:
            yield Damage(shown(key), UNREADABLE, False)
            return
        # Others of the same conversation go with it, and are to be kept too.
        rows = self._link.run("damaged_of", conversation) if conversation else [(key, id, data)]
        now = time.time()
        letters = [damaged_letter(data, shown(key), shown(id), now) for key, id, data in rows]
        flat = [value for row, letter in zip(rows, letters, strict=True) for value in (*row, letter.fault)]
        if rows and self._link.run("discard", conversation, repr(now), *flat, again=False):
            yield from (Damage(shown(key), UNREADABLE, True) for key, _, _ in rows)
            if any(key.startswith(self._lists) for key, _, _ in rows):  # Nobody knows what was in it.
                self._link.run("recount")

    def _entry(self, kind: str, id: bytes, data: bytes, key: str) -> Iterator[Damage]:
        if self._set_aside:
            letter = damaged_letter(data, key, "", time.time())
            if not self._link.run("set_entry_aside", kind, id, data, letter.fault, repr(letter.at), again=False):
                return  # Somebody else has done it.
        yield Damage(key, UNREADABLE, self._set_aside)

    def _slots(self) -> Iterator[Damage]:
        after: bytes | str = ""
        while after != b"":
            after, rows = self._link.run("slots_page", after, ROWS, BYTES)
            for id, waiting, slots in rows:
                unread = set(map(int, waiting))
                found = enumerate(slots) if slots is not None else self._slots_of(id)
                broken = ((at, data) for at, data in found if at not in unread and readable(data) is None)
                yield from self._damages_of(id, broken)

    def _hops(self) -> Iterator[Damage]:
        for id in pages(self._link, "hops_page"):
            first, name = 0, encoded(f"{self._prefix}hops:") + id
            while page := self._link.send("LRANGE", name, first, first + ROWS - 1):
                for at, data in enumerate(page, first):
                    if readable_hop(data) is None:
                        yield from self._damaged_hop(id, at, data)
                first += len(page)

    def _damaged_hop(self, conversation: bytes, at: int, data: bytes) -> Iterator[Damage]:
        key = f"{self._prefix}hops:{shown(conversation)} {at}"
        if self._set_aside:
            letter = damaged_letter(data, key, shown(conversation), time.time())
            instead = LOST_HOP, letter.fault, repr(letter.at)
            if not self._link.run("set_hop_aside", conversation, at, data, *instead, again=False):
                return  # Somebody else has done it.
        yield Damage(key, UNREADABLE, self._set_aside)

    def _slots_of(self, thread: bytes) -> Iterator[tuple[int, bytes]]:
        """The slots of a thread that has too many bytes for one call."""
        first = 0
        while page := self._link.send("LRANGE", encoded(f"{self._prefix}buffer:") + thread, first, first + 9):
            yield from enumerate(page, first)
            first += len(page)

    def _damages_of(self, thread: bytes, broken: Iterator[tuple[int, bytes]]) -> Iterator[Damage]:
        for at, data in broken:
            key = f"{self._prefix}buffer:{shown(thread)} slot {at}"
            if self._set_aside:
                letter = damaged_letter(data, key, shown(thread), time.time())
                instead = tombstone(shown(thread)), letter.fault, repr(letter.at)
                if not self._link.run("set_aside", thread, at, data, *instead, again=False):
                    continue  # Somebody else has done it.
            yield Damage(key, UNREADABLE, self._set_aside)


def _can(decode: Callable[[Any], Any], data: Any) -> bool:
    try:
        decode(data)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True
