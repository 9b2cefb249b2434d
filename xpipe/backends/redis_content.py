"""What lives in Redis, read and changed from outside the commits: slots, registry, joins, threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from xpipe.backends.arguments import check_pair, check_slot, thread_is_full
from xpipe.backends.redis_link import Link
from xpipe.backends.redis_paging import PAGE, hash_items, pages
from xpipe.backends.redis_wire import encoded, read_conversation, read_thread, shown, text
from xpipe.core.errors import LimitError
from xpipe.core.messages import ConversationRecord
from xpipe.ports import BackendTotals, Collection, JoinRecord, RegistryRecord, ThreadRecord

_SPECIAL = re.compile(r"([\\*?\[\]^-])")
PAIRS = 1_000
"""Rows of one page of the registry."""


def _pair(id: bytes, chain: bytes) -> tuple[str, str]:
    return text(id), text(chain)


class RedisContent:
    """The part of the port that no pump needs to make progress."""

    _link: Link
    _prefix: str
    _root: str
    _slots_per_thread: int
    _before_writing: Callable[[], None]
    """See whether an organism has claimed the backend, unless that was done; without one, clear up when it is due."""
    _look: Callable[[], bool]
    """Whether an organism has claimed the backend by now; the server is asked until one has."""

    def _key(self, kind: str, id: str) -> bytes:
        return encoded(f"{self._prefix}{kind}:{id}")

    def buffer_append(self, thread: str, slot: bytes) -> int:
        check_slot(thread, slot)
        self._before_writing()
        index: int = self._link.run("append", self._slots_per_thread, thread, slot, again=False)
        if index < 0:
            raise thread_is_full(thread, -1 - index)
        return index

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        if stop == 0:
            return []
        last = -1 if stop is None else stop - 1
        found: list[bytes] = self._link.send("LRANGE", self._key("buffer", thread), start, last)
        return found

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        if index < 0:
            return None
        found: bytes | None = self._link.send("LINDEX", self._key("buffer", thread), index)
        return found

    def buffer_thread_len(self, thread: str) -> int:
        return int(self._link.send("LLEN", self._key("buffer", thread)))

    def buffer_thread_exists(self, thread: str) -> bool:
        return self.buffer_thread_len(thread) > 0

    def buffer_delete_thread(self, thread: str) -> bool:
        return bool(self._link.run("clear", thread, again=False))

    def buffer_list_threads(self) -> list[str]:
        return list(dict.fromkeys(self.buffer_iter_threads()))  # A scan may come upon one twice.

    def buffer_iter_threads(self) -> Iterator[str]:
        yield from (self._link.read(text, (id,), "threads ") for id in pages(self._link, "buffers_page"))
        loose = pages(self._link, "loose_page", first="0", last=b"0")
        yield from (self._link.read(text, (id,), "loose ") for id in loose)

    def buffer_clear(self) -> None:
        names = self.buffer_iter_threads()
        while page := list(islice(names, PAGE)):
            self._link.run("clear", *page)

    def _hash_items(self, name: str, rows: int = PAGE, like: bytes = b"*") -> Iterator[tuple[bytes, bytes]]:
        return hash_items(self._link, f"{self._prefix}{name}", rows, like)

    def registry_set(self, chain: str, uuid: str) -> str:
        check_pair(chain, uuid)
        self._before_writing()
        if self._is_root(chain):
            return self._link.root_id
        bound, *other = self._link.run("registry_set", encoded(chain), uuid)
        if other:
            raise LimitError(f"the id {uuid} is bound to the chain {shown(other[0])} already; take another id")
        return self._link.decoded(text, bound, f"{self._prefix}chain:{chain}")

    def registry_get_uuid(self, chain: str) -> str | None:
        if self._is_root(chain):
            return self._link.root_id
        return self._half("chain", chain)

    def registry_get_chain(self, uuid: str) -> str | None:
        if self._link.root_id and uuid == self._link.root_id:
            return self._root
        return self._half("uuid", uuid)

    def _is_root(self, chain: str) -> bool:
        return bool(self._link.root_id) and chain == self._root

    def _half(self, kind: str, id: str) -> str | None:
        found = self._link.send("GET", self._key(kind, id))
        return None if found is None else self._link.decoded(text, found, f"{self._prefix}{kind}:{id}")

    def registry_delete(self, uuid: str) -> bool:
        return bool(self._link.run("registry_delete", uuid, again=False))

    def registry_clear(self) -> None:
        names = (field for field, _ in self._hash_items("bound"))
        while page := list(islice(names, PAGE)):
            self._link.run("registry_delete", *page)

    def registry_list_all(self) -> dict[str, str]:
        found = {self._link.root_id: self._root} if self._look() else {}
        rows = self._hash_items("registry", PAIRS)
        while page := list(islice(rows, PAIRS)):
            there = self._link.send("MGET", *(self._key("uuid", "") + id for id, _ in page))
            pairs = (row for row, chain in zip(page, there, strict=True) if chain is not None)
            found.update(self._link.read(_pair, row, "registry ") for row in pairs)
        return found

    def registry_entries(self) -> Iterator[RegistryRecord]:
        if self._look():
            yield RegistryRecord(self._link.root_id, self._root, "root")
        for id, chain, kind in pages(self._link, "registry_page", first="0", last=b"0"):
            yield RegistryRecord(*self._link.read(_pair, (id, chain), "registry "), kind.decode())

    def join_results(self, thread: str) -> list[bytes | None]:
        return self._results(self._key("results", thread), self._link.run("join_total", thread))

    def _results(self, name: bytes, total: int) -> list[bytes | None]:
        results: list[bytes | None] = []
        for first in range(0, total, PAGE):
            results += self._link.send("HMGET", name, *range(first, min(first + PAGE, total)))
        return results

    def joins(self) -> Iterator[tuple[str, int, int]]:
        for id, missing, total in pages(self._link, "joins_page", first="0", last=b"0"):
            yield self._link.read(text, (id,), "joins "), total - missing, total

    def join_get(self, id: str) -> JoinRecord | None:
        found = self._link.run("join_open", id)
        return JoinRecord(id, found[0], self._results(found[1], found[0])) if found else None

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        self._before_writing()
        return bool(self._link.run("collection", "create", kind, id, head, size, again=False))

    def collection_get(self, kind: str, id: str) -> Collection | None:
        fields = self._link.run("collection", "get", kind, id)
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        head, _ = found.pop(b"", None), found.pop(b"size", None)
        return None if head is None else Collection(head, {int(index): part for index, part in found.items()})

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        return bool(self._link.run("collection", "add", kind, id, index, part, again=False))

    def collection_remove(self, kind: str, id: str) -> bool:
        return bool(self._link.run("collection", "remove", kind, id, again=False))

    def collection_ids(self, kind: str) -> Iterator[str]:
        for id in pages(self._link, "collection", "list", kind, first="0", last=b"0"):
            yield self._link.read(text, (id,), f"collections:{kind} ")

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        if conversation == "":
            return
        for row in pages(self._link, "threads_page", conversation or "", int(newest)):
            yield self._thread(row)

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        name = self._key("hops", conversation)
        while page := self._link.send("LRANGE", name, start, start + PAGE - 1):
            yield from page
            start += len(page)

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        exact = self._threads_of([prefix]) if prefix else []
        if exact and len(prefix) >= len(self._link.root_id):  # No other id is longer, if not from outside.
            return exact[:most]
        like = encoded(_SPECIAL.sub(r"\\\1", prefix)) + b"*"
        ids = (self._link.read(text, (id,), "registry ") for id, _ in self._hash_items("registry", PAIRS, like))
        found = {one.thread: one for one in exact}
        while len(found) < most and (page := list(islice(ids, PAGE))):
            found |= {one.thread: one for one in self._threads_of(page)}
        return list(found.values())[:most]

    def _threads_of(self, ids: list[str]) -> list[ThreadRecord]:
        return [self._thread(row) for row in self._link.run("thread_rows", *map(encoded, ids))]

    def _thread(self, row: Sequence[Any]) -> ThreadRecord:
        return self._link.read(read_thread, row, "threads ", "thread:")

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        index = "running" if running else "conversations"
        for row in pages(self._link, "conversations_page", index, int(owner is not None), owner or "", int(unsettled)):
            yield self._link.read(read_conversation, row, f"{index} ", "registry ", "conversation:")

    def conversation(self, id: str) -> ConversationRecord | None:
        row = self._link.run("conversation_row", encoded(id))
        return self._link.read(read_conversation, row, "registry ", "conversation:") if row else None

    def totals(self) -> BackendTotals:
        threads, talks, active, flight, slots, joins, dead, _ = self._link.run("totals")
        return BackendTotals(threads, talks, active, flight, slots, joins, dead)
