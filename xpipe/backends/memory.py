"""The memory backend: the default and the reference. It stores bytes, like every other one."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from xpipe.backends.memory_content import ClosedLock, MemoryContent
from xpipe.core import chains
from xpipe.core.errors import BackendError
from xpipe.core.messages import (
    ConversationRecord,
    Cursor,
    DeadLetter,
    Injection,
    PumpRecord,
    Step,
)
from xpipe.core.organism import DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS
from xpipe.ledger.ledger import Ledger, release
from xpipe.ledger.records import Conversation
from xpipe.ports import (
    Advanced,
    BackendTotals,
    Capabilities,
    Load,
    Orphan,
)

CAPABILITIES = Capabilities(cross_process=False, persistent=False, cross_host=False, expiry=False, blocking=False)


class InMemoryBackend(MemoryContent):
    """State in this process, which ends with this object."""

    capabilities = CAPABILITIES

    def __init__(self, max_threads: int = DEFAULT_MAX_THREADS, slots_per_thread: int = DEFAULT_MAX_SLOTS) -> None:
        super().__init__(slots_per_thread)
        self._max_threads = max_threads

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        if self.closed:
            self._lock = threading.Lock()
        with self._lock:
            if self._state is not None:
                if organism is not None and chains.root(organism) != self._state.root:
                    raise BackendError(f"this backend holds {self._state.root}, not {organism}; give each its own")
                return
            if organism is None:
                raise BackendError("a memory backend exists only during a run; print its state with `xpipe run --json`")
            secret = secrets.token_bytes(32)
            self._slots_per_thread = slots_per_thread or self._slots_per_thread
            self._state = Ledger(self._store, organism, secret, self._slots_per_thread, self._max_threads)

    def root(self) -> str:
        with self._lock:
            return self._state.root if self._state is not None else ""

    def secret(self) -> bytes:
        return self._ledger.secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        with self._lock:
            return self._ledger.exchange(pump, finished, room, most, now)

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        with self._lock:
            if cursor is not None:
                if self._store.cursors.get(cursor.name) != seen:
                    return []
                self._store.set_cursor(cursor)
            return [self._ledger.inject(pump, message, now) for message in messages]

    def cursor(self, name: str) -> Cursor | None:
        return self._store.cursors.get(name)

    def load(self) -> Load:
        return Load(self._store.in_flight, self._max_threads - self._store.thread_count)

    def make_room(self) -> bool:
        with self._lock:
            return self._ledger.make_room()

    def ready_listeners(self) -> list[str]:
        with self._lock:
            return list(self._store.lanes)

    def totals(self) -> BackendTotals:
        with self._lock:
            store = self._store
            return BackendTotals(
                threads=len(store.threads),
                conversations=len(store.conversations),
                conversations_active=sum(not one.ended for one in store.conversations.values()),
                in_flight=store.in_flight,
                slots=store.slot_count,
                joins=len(store.joins),
                dead_letters=len(store.dead),
            )

    def enroll(self, pump: PumpRecord) -> None:
        with self._lock:
            self._store.put_pump(pump)

    def retire(self, pump: str) -> None:
        with self._lock:
            release(self._store, pump, lost=False)
            self._store.drop_pump(pump)

    def renew(self, pump: str, expires: float) -> bool:
        with self._lock:
            for record in self._store.pumps():
                if record.id == pump:
                    record.expires = expires
                    return True
            return False

    def pumps(self) -> list[PumpRecord]:
        with self._lock:
            return list(self._store.pumps())

    def bury_pump(self, pump: str) -> int:
        with self._lock:
            released = release(self._store, pump, lost=True)
            self._store.drop_pump(pump)
            return released

    def wait(self, pump: str, seconds: float) -> bool:
        del pump
        threading.Event().wait(seconds)  # There is no other process.
        return False

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        with self._lock:
            found = [
                self._conversation(one)
                for one in self._store.conversations.values()
                if not (running and one.ended) and owner in (None, one.owner) and not (unsettled and one.settled)
            ]
        yield from found

    def _conversation(self, one: Conversation) -> ConversationRecord:
        chain = self._store.threads[one.id].chain
        times = one.started, one.ended
        counts = one.outputs, one.delivered, len(one.threads)
        return ConversationRecord(one.id, chain, one.state, one.owner, *times, *counts, one.retried_from)

    def conversation(self, id: str) -> ConversationRecord | None:
        with self._lock:
            found = self._store.conversations.get(id)
            return self._conversation(found) if found else None

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        with self._lock:
            found = self._store.conversations.get(conversation)
            if found is None or found.owner != owner:
                return None
            found.owner = pump
            return self._conversation(found)

    def delivered(self, outputs: Mapping[str, int]) -> None:
        with self._lock:
            for conversation, count in outputs.items():
                self._ledger.deliver(conversation, count)

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        with self._lock:
            return self._ledger.cancel(conversation, fault, now)

    def forget(self, conversation: str) -> bool:
        with self._lock:
            found = self._store.conversations.get(conversation)
            if found is None or not found.ended:
                return False
            self._store.forget(found)
            return True

    def forget_ended(self, before: float, most: int) -> int:
        with self._lock:
            return self._store.forget_ended(before, most)

    def dead_letters(self) -> Iterator[DeadLetter]:
        with self._lock:
            letters = list(self._store.dead.values())
        yield from letters

    def drop_dead_letters(self, before: float) -> int:
        with self._lock:
            return self._store.drop_dead([one.number for one in self._store.dead.values() if one.at < before])

    def drop_dead(self, numbers: Sequence[int]) -> int:
        with self._lock:
            return self._store.drop_dead(numbers)

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        with self._lock:
            return self._ledger.inject(pump, injection, now) if self._store.drop_dead([number]) else None

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        del remove  # One dictionary holds each thing, and what belongs to it goes with it.
        yield from ()

    def info(self) -> dict[str, Any]:
        totals = self.totals()
        threads, entries = len(self.buffer_list_threads()), len(self.registry_list_all())
        counts = {"buffer_threads": threads, "registry_entries": entries, "ttl_seconds": 0}
        return {"type": "memory", "place": "this process", **counts, **asdict(totals)}

    def ping(self) -> bool:
        return not self.closed

    @property
    def closed(self) -> bool:
        return isinstance(self._lock, ClosedLock)

    def close(self) -> None:
        self._lock = ClosedLock()
