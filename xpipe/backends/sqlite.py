"""The SQLite backend: one file, durable, several processes, no server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xpipe.backends.arguments import check_pair, check_slot, is_closed, thread_is_full, unclaimed
from xpipe.backends.sqlite_damages import broken, broken_hops
from xpipe.backends.sqlite_file import StateFile
from xpipe.backends.sqlite_orphans import KINDS, Kind, find
from xpipe.backends.sqlite_reading import Reading
from xpipe.backends.sqlite_store import SQLiteStore
from xpipe.backends.sqlite_verify import problems
from xpipe.core import chains
from xpipe.core.errors import BackendError, EmptyBackendError, LimitError
from xpipe.core.messages import (
    UNREADABLE,
    ConversationRecord,
    Cursor,
    DeadLetter,
    Injection,
    PumpRecord,
    Step,
)
from xpipe.core.organism import DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS
from xpipe.ledger.ledger import Ledger, release
from xpipe.ports import (
    Advanced,
    BackendTotals,
    Capabilities,
    Collection,
    Damage,
    JoinRecord,
    Load,
    Orphan,
    RegistryRecord,
    ThreadRecord,
)

CAPABILITIES = Capabilities(cross_process=True, persistent=True, cross_host=False, expiry=False, blocking=True)


class SQLiteBackend:
    """`busy_timeout`: seconds to wait for other processes' commits; `full`: survive a power cut without losing any.

    The file is made by the first call that needs it.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_threads: int = DEFAULT_MAX_THREADS,
        slots_per_thread: int = DEFAULT_MAX_SLOTS,
        *,
        busy_timeout: float = 30.0,
        full: bool = False,
    ) -> None:
        self._path = Path(path).absolute()
        self._max_threads = max_threads
        self._slots_per_thread = slots_per_thread
        self._file = StateFile(self._path, busy_timeout, full)
        self._opening = threading.RLock()
        self._state: Ledger | None = None
        self._closed = False

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        with self._opening:
            is_opened_here = not self._file.is_open
            if is_opened_here:
                self._file.open(create=organism is not None)
            try:
                name, secret = self._identity(organism)
            except BaseException:
                if is_opened_here:
                    self._file.close()
                raise
            self._closed = False
            self._slots_per_thread = slots_per_thread or self._slots_per_thread
            self._state = self._ledger_of(name, secret)

    def _ledger_of(self, organism: str, secret: bytes) -> Ledger:
        return Ledger(self._file.store, organism, secret, self._slots_per_thread, self._max_threads)

    def _require_open(self) -> None:
        """Open the file, if it is not open yet. Raises BackendError when it was closed."""
        if self._file.is_open:
            return
        with self._opening:
            if self._closed:
                raise is_closed(str(self._path))
            if not self._file.is_open:
                self._file.open(create=True)

    def _transaction(self) -> AbstractContextManager[SQLiteStore]:
        self._require_open()
        return self._file.transaction()

    def _identity(self, organism: str | None) -> tuple[str, bytes]:
        """Name and secret of the organism that the file holds; the first one to come sets both."""
        found = self._file.reading.identity()
        if found is None:
            if organism is None:
                raise EmptyBackendError(f"{self._path}: it holds no organism yet; run one with this backend first")
            with self._file.transaction() as store:
                found = self._file.reading.identity()
                if found is None:
                    found = (organism, os.urandom(32))
                    store.set_identity(*found)
        self._check(organism, chains.root(found[0]))
        return found

    def _check(self, organism: str | None, root: str) -> None:
        if organism is not None and chains.root(organism) != root:
            raise BackendError(f"{self._path}: this file holds {root}, not {organism}; give each organism its own")

    @property
    def _read(self) -> Reading:
        self._require_open()
        return self._file.reading

    @property
    def _claimed(self) -> Ledger | None:
        """The ledger, once an organism has claimed the file: here, or in another process."""
        if self._state is None or self._closed:
            with self._opening:
                found = self._read.identity()
                self._state = self._ledger_of(*found) if found else None
        return self._state

    @property
    def _ledger(self) -> Ledger:
        if (ledger := self._claimed) is None:
            raise unclaimed(str(self._path))
        return ledger

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        with self._opening:
            self._closed = True
            self._state = None
            self._file.close()

    # -- the work of a pump

    def root(self) -> str:
        return ledger.root if (ledger := self._claimed) is not None else ""

    def secret(self) -> bytes:
        return self._ledger.secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        with self._transaction() as store:
            store.look_up(_threads_of(finished))
            advanced = self._ledger.exchange(pump, finished, room, most, now)
            self._file.has_seen(pump)
        return advanced

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        with self._transaction() as store:
            if cursor is not None:
                if self._read.cursor(cursor.name) != seen:
                    return []
                store.set_cursor(cursor)
            return [self._ledger.inject(pump, message, now) for message in messages]

    def cursor(self, name: str) -> Cursor | None:
        return self._read.cursor(name)

    def load(self) -> Load:
        return self._read.load(self._max_threads)

    def make_room(self) -> bool:
        with self._transaction():
            return self._ledger.make_room()

    def ready_listeners(self) -> list[str]:
        return self._read.ready_listeners()

    def wait(self, pump: str, seconds: float) -> bool:
        return self._file.wait(pump, seconds)

    def enroll(self, pump: PumpRecord) -> None:
        with self._transaction() as store:
            store.put_pump(pump)

    def retire(self, pump: str) -> None:
        self._release(pump, lost=False)

    def bury_pump(self, pump: str) -> int:
        return self._release(pump, lost=True)

    def _release(self, pump: str, lost: bool) -> int:
        with self._transaction() as store:
            released = release(store, pump, lost)
            store.drop_pump(pump)
            self._file.is_gone(pump)
            return released

    def renew(self, pump: str, expires: float) -> bool:
        with self._transaction() as store:
            return store.renew(pump, expires)

    def pumps(self) -> list[PumpRecord]:
        return self._read.pumps()

    # -- slots

    def buffer_append(self, thread: str, slot: bytes) -> int:
        check_slot(thread, slot)
        with self._transaction() as store:
            length = self._read.thread_len(thread)
            if length >= self._slots_per_thread:
                raise thread_is_full(thread, length)
            store.append(thread, slot)
            return length

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        return self._read.slots(thread, start, stop)

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        return self._read.slot(thread, index)

    def buffer_thread_len(self, thread: str) -> int:
        return self._read.thread_len(thread)

    def buffer_thread_exists(self, thread: str) -> bool:
        return self.buffer_thread_len(thread) > 0

    def buffer_delete_thread(self, thread: str) -> bool:
        with self._transaction() as store:
            cleared = store.clear_thread(thread)
            if cleared and (found := store.conversation(thread)):
                self._ledger.deliver(thread, found.outputs)
            return cleared

    def buffer_list_threads(self) -> list[str]:
        return list(self.buffer_iter_threads())

    def buffer_iter_threads(self) -> Iterator[str]:
        return self._read.threads_with_slots()

    def buffer_clear(self) -> None:
        with self._transaction() as store:
            store.clear_slots()

    # -- joins and collections

    def join_results(self, thread: str) -> list[bytes | None]:
        return self._read.results_of(thread)

    def joins(self) -> Iterator[tuple[str, int, int]]:
        return self._read.joins()

    def join_get(self, id: str) -> JoinRecord | None:
        return self._read.join(id)

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        with self._transaction() as store:
            return store.create_collection(kind, id, head, size)

    def collection_get(self, kind: str, id: str) -> Collection | None:
        return self._read.collection(kind, id)

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        with self._transaction() as store:
            return store.add_to_collection(kind, id, index, part)

    def collection_remove(self, kind: str, id: str) -> bool:
        with self._transaction() as store:
            return store.remove_collection(kind, id)

    def collection_ids(self, kind: str) -> Iterator[str]:
        return self._read.collection_ids(kind)

    # -- the registry

    def registry_set(self, chain: str, uuid: str) -> str:
        check_pair(chain, uuid)
        bound = self.registry_get_uuid(chain)
        if bound is not None:
            return bound
        with self._transaction() as store:
            bound = self.registry_get_uuid(chain)
            if bound is not None:
                return bound
            other = self.registry_get_chain(uuid)
            if other is not None:
                raise LimitError(f"the id {uuid} is bound to the chain {other} already; take another id")
            store.bind(chain, uuid)
            return uuid

    def registry_get_uuid(self, chain: str) -> str | None:
        ledger = self._claimed
        if ledger is None:
            return self._read.uuid_bound_to(chain)
        if chain == ledger.root:
            return ledger.root_id
        return self._read.uuid_bound_to(chain) or self._read.uuid_of_thread(chains.thread_id(ledger.secret, chain))

    def registry_get_chain(self, uuid: str) -> str | None:
        ledger = self._claimed
        return ledger.root if ledger is not None and uuid == ledger.root_id else self._read.chain_of(uuid)

    def registry_delete(self, uuid: str) -> bool:
        with self._transaction() as store:
            return store.unbind(uuid)

    def registry_clear(self) -> None:
        with self._transaction() as store:
            store.unbind_all()

    def registry_list_all(self) -> dict[str, str]:
        return {entry.uuid: entry.chain for entry in self.registry_entries()}

    def registry_entries(self) -> Iterator[RegistryRecord]:
        if (ledger := self._claimed) is not None:
            yield RegistryRecord(ledger.root_id, ledger.root, "root")
        yield from self._read.entries()

    # -- conversations, and what is seen from outside

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        return self._read.threads(conversation, newest)

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        return self._read.hops(conversation, start)

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        return self._read.find_threads(prefix, most)

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        return self._read.conversations(running, owner, unsettled)

    def conversation(self, id: str) -> ConversationRecord | None:
        return self._read.conversation(id)

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        with self._transaction() as store:
            found = store.conversation(conversation)
            if found is None or found.owner != owner:
                return None
            found.owner = pump
            return store.describe(found)

    def delivered(self, outputs: Mapping[str, int]) -> None:
        with self._transaction():
            for conversation, count in outputs.items():
                self._ledger.deliver(conversation, count)

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        with self._transaction():
            return self._ledger.cancel(conversation, fault, now)

    def forget(self, conversation: str) -> bool:
        with self._transaction() as store:
            found = store.conversation(conversation)
            if found is None or not found.ended:
                return False
            store.forget([found.n])
            return True

    def forget_ended(self, before: float, most: int) -> int:
        with self._transaction() as store:
            return store.forget_ended(before, most)

    def dead_letters(self) -> Iterator[DeadLetter]:
        return self._read.dead_letters()

    def drop_dead_letters(self, before: float) -> int:
        with self._transaction() as store:
            return store.drop_dead_before(before)

    def drop_dead(self, numbers: Sequence[int]) -> int:
        with self._transaction() as store:
            return store.drop_dead(numbers)

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        with self._transaction() as store:
            return self._ledger.inject(pump, injection, now) if store.drop_dead([number]) else None

    # -- what should not be there

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        for kind in KINDS:
            yield from self._remove_orphans(kind) if remove else find(self._read, kind)

    def _remove_orphans(self, kind: Kind) -> Iterator[Orphan]:
        while True:
            with self._transaction() as store:
                removed = store.remove_orphans(kind)
            if not removed:
                return
            yield from removed

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        for thread, at in broken(self._read):
            if at is None:
                yield Damage(f"the record of the thread {thread}", UNREADABLE, False)
            elif not set_aside or self._set_aside(thread, at):
                yield Damage(f"slot {at} of the thread {thread}", UNREADABLE, set_aside)
        for conversation, at, number in broken_hops(self._read):
            key = f"hop {at} of the conversation {conversation}"
            if not set_aside or self._set_hop_aside(conversation, number, key):
                yield Damage(key, UNREADABLE, set_aside)

    def _set_hop_aside(self, conversation: str, number: int, key: str) -> bool:
        with self._transaction() as store:
            return store.set_hop_aside(conversation, number, key, time.time())

    def _set_aside(self, thread: str, at: int) -> bool:
        with self._transaction() as store:
            return store.set_aside(thread, at, time.time())

    def totals(self) -> BackendTotals:
        return self._read.totals()

    def info(self) -> dict[str, Any]:
        threads, entries = self._read.counts()
        counts = {"buffer_threads": threads, "registry_entries": entries, "ttl_seconds": 0}
        return {"type": "sqlite", "place": str(self._path), **counts, **asdict(self.totals())}

    def verify(self) -> list[str]:
        """What is wrong with the file, a sentence each; [] when it is whole."""
        with self._transaction():  # Nobody commits meanwhile.
            return list(problems(self._path, self._read.read))

    def ping(self) -> bool:
        try:
            self._read.identity()
        except BackendError:
            return False
        return True


def _threads_of(steps: Sequence[Step]) -> Iterator[str]:
    """The threads that `steps` go on with or send to, unless their ids are bound from outside."""
    for step in steps:
        yield step.thread
        for send in step.sends:
            yield send.binding.thread
