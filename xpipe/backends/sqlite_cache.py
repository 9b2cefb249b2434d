"""The records of a state file: read when asked for, changed in memory, written by a flush."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xpipe.backends.sqlite_errors import damaged
from xpipe.backends.sqlite_joins import Joins
from xpipe.backends.sqlite_records import (
    BUSY,
    CALM,
    FIXED,
    Counters,
    Row,
    StoredConversation,
    StoredJoin,
    StoredThread,
)
from xpipe.backends.sqlite_writing import insert, select_in
from xpipe.core.messages import Join
from xpipe.ledger.records import Conversation, Thread

MAX_CACHED = 20_000
"""Threads kept between transactions."""
MAX_FRESH_BYTES = 32 * 1024 * 1024
"""Slots kept from when they are written until they are claimed."""

_FIXED_COUNT, _CALM_COUNT = (len(columns.split(", ")) for columns in (FIXED, CALM))
SELECT_THREAD = f"SELECT {FIXED}, {CALM}, {BUSY} FROM records"
SELECT_SLOT = "SELECT CAST(data AS BLOB) FROM slots WHERE thread = ? AND at = ?"
_INSERT_THREADS = f"INSERT INTO threads ({FIXED}, {CALM})"
_UPDATE_THREAD = f"UPDATE threads SET {CALM.replace(',', ' = ?,')} = ? WHERE n = ?"
_PUT_PROGRESS = f"INSERT OR REPLACE INTO progress (n, {BUSY})"
_CONVERSATION = "n, id, started, retried_from, owner, ended, outputs, delivered, verdict, finish"
_SELECT_CONVERSATION = f"SELECT {_CONVERSATION} FROM conversations WHERE n = ?"
_INSERT_CONVERSATIONS = f"INSERT INTO conversations ({_CONVERSATION})"
_UPDATE_CONVERSATION = (
    "UPDATE conversations SET owner = ?, ended = ?, outputs = ?, delivered = ?, verdict = ?, finish = ? WHERE n = ?"
)


class Records:
    """What was read or changed stays cached between transactions; what one of them has touched is written."""

    counters: Counters

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._joins = Joins(database)
        self._fresh: dict[tuple[int, int], bytes] = {}
        self._forget_records()

    def _forget_records(self) -> None:
        self._threads: dict[int, StoredThread] = {}
        self._ids: dict[str, int] = {}
        self._conversations: dict[int, StoredConversation] = {}
        self._forget_fresh()
        self._joins.drop()
        self._forget_touched()

    def _forget_touched(self) -> None:
        self._touched: dict[int, StoredThread] = {}
        self._talks: dict[int, StoredConversation] = {}
        self._absent: set[str] = set()
        self._new_slots: list[Row] = []
        self._new_hops: list[Row] = []

    def _forget_fresh(self) -> None:
        self._fresh, self._fresh_bytes = {}, 0

    def _flush_records(self) -> None:
        self._flush_threads()
        self._flush_slots()
        self._flush_hops()
        self._flush_conversations()
        self._joins.flush()

    def _evict(self) -> None:
        """Keep the cache within its bound: what is over goes first."""
        if len(self._threads) <= MAX_CACHED:
            return
        over = {n for n, one in self._conversations.items() if one.ended}
        kept = {n: one for n, one in self._threads.items() if one.conversation_n not in over}
        self._threads = kept if len(kept) < MAX_CACHED * 3 // 4 else {}
        self._ids = {one.id: n for n, one in self._threads.items()}
        talks = {one.conversation_n for one in self._threads.values()}
        self._conversations = {n: one for n, one in self._conversations.items() if n in talks}
        self._forget_fresh()

    def thread(self, id: str) -> StoredThread | None:
        n = self._ids.get(id)
        if n is not None:
            thread = self._touched[n] = self._threads[n]
            return thread
        if id in self._absent:
            return None
        # Most often there is none: a statement of one column is begun faster than one of all.
        row = self._database.execute("SELECT n FROM threads WHERE id = ?", (id,)).fetchone()
        if row is None:
            self._absent.add(id)
            return None
        return self.numbered(row[0])

    def look_up(self, ids: Iterable[str]) -> None:
        """Read the threads of these ids, those that there are, with few statements."""
        unknown = [id for id in dict.fromkeys(ids) if id not in self._ids]
        found = {thread.id for thread in self._read_all("id", unknown)}
        self._absent.update(id for id in unknown if id not in found)

    def all_numbered(self, numbers: Sequence[int]) -> list[StoredThread]:
        """The threads of these numbers, with few statements."""
        self._read_all("n", [n for n in numbers if n not in self._threads])
        return [self.numbered(n) for n in numbers]

    def _read_all(self, column: str, values: Sequence[Any]) -> list[StoredThread]:
        """The threads that have one of `values`, none of which is cached."""
        return [self._of_row(row) for row in select_in(self._database, f"{SELECT_THREAD} WHERE {column}", values)]

    def numbered(self, n: int) -> StoredThread:
        thread = self._threads.get(n)
        if thread is None:
            row = self._database.execute(f"{SELECT_THREAD} WHERE n = ?", (n,)).fetchone()
            if row is None:
                raise damaged(self.path, "threads", f"the number {n}, which is not there")
            return self._of_row(row)
        self._touched[n] = thread
        return thread

    def _of_row(self, row: Row) -> StoredThread:
        """The thread of a row; what is cached counts for more."""
        thread = self._threads.get(row[0])
        if thread is None:
            thread = StoredThread(self, row[:_FIXED_COUNT])
            try:
                moving = row[_FIXED_COUNT:]
                thread.move(moving[:_CALM_COUNT], moving[_CALM_COUNT:])
            except (msgspec.MsgspecError, TypeError):
                raise damaged(self.path, "threads", f"the id {row[1]}") from None
            self._keep(thread)
        self._touched[thread.n] = thread
        return thread

    def _keep(self, thread: StoredThread) -> None:
        self._threads[thread.n] = thread
        self._ids[thread.id] = thread.n

    def add_thread(
        self,
        id: str,
        chain: str,
        listener: str,
        caller: str,
        parent: Thread | None,
        conversation: Conversation,
        index: int = -1,
    ) -> Thread:
        assert isinstance(conversation, StoredConversation)
        parent_n = parent.n if isinstance(parent, StoredThread) else None
        n = self._next_number() if parent is not None else conversation.n
        thread = StoredThread(self, (n, id, conversation.n, parent_n, chain, listener, caller, index))
        self._keep(thread)
        self._touched[n] = thread
        self._absent.discard(id)
        self.counters.threads += 1
        if self.counters.loose:
            self._adopt_loose(thread)
        return thread

    def _next_number(self) -> int:
        self.counters.number += 1
        return self.counters.number

    def _adopt_loose(self, thread: StoredThread) -> None:
        row = self._database.execute("SELECT n, slots, bytes FROM loose WHERE id = ?", (thread.id,)).fetchone()
        if row is not None:
            n, thread.slots.count, thread.slots.bytes = row
            self._database.execute("UPDATE slots SET thread = ? WHERE thread = ?", (thread.n, n))
            self._database.execute("DELETE FROM loose WHERE n = ?", (n,))
            self.counters.loose -= 1

    def record(self, thread: Thread, data: bytes) -> None:
        assert isinstance(thread, StoredThread)
        slots = thread.slots
        self._new_slots.append((thread.n, slots.count, data))
        if thread.parent_n is not None:  # Those of an initiator are claimed by nobody.
            self._keep_fresh((thread.n, slots.count), data)
        counters = self.counters
        counters.slots += 1
        counters.buffers += slots.count == 0
        slots.count += 1
        slots.bytes += len(data)

    def _keep_fresh(self, key: tuple[int, int], data: bytes) -> None:
        self._fresh_bytes += len(data)
        if self._fresh_bytes > MAX_FRESH_BYTES:
            self._fresh, self._fresh_bytes = {}, len(data)
        self._fresh[key] = data

    def slot(self, n: int, at: int) -> bytes:
        """The bytes in the slot `at` of the thread numbered `n`."""
        data = self._fresh.pop((n, at), None)
        if data is not None:
            self._fresh_bytes -= len(data)
            return data
        self._flush_slots()
        row = self._database.execute(SELECT_SLOT, (n, at)).fetchone()
        if row is None:
            raise damaged(self.path, "slots", f"the slot {at} of the thread {self.numbered(n).id}, which is not there")
        found: bytes = row[0]
        return found

    def _flush_threads(self) -> None:
        new: list[Row] = []
        calmed: list[Row] = []
        moved: list[Row] = []
        for thread in self._touched.values():
            saved, now = thread.saved, (thread.calm(), thread.busy())
            if saved == now:
                continue
            calm, busy = thread.saved = now
            if saved is None:
                new.append(thread.fixed + calm)
            elif saved[0] != calm:
                calmed.append((*calm, thread.n))
            if saved is None or saved[1] != busy:
                moved.append((thread.n, *busy))
        insert(self._database, _INSERT_THREADS, new)
        insert(self._database, _PUT_PROGRESS, moved)
        if calmed:
            self._database.executemany(_UPDATE_THREAD, calmed)

    def _flush_slots(self) -> None:
        insert(self._database, "INSERT INTO slots", self._new_slots)
        self._new_slots = []

    def note_hop(self, thread: Thread, data: bytes) -> None:
        assert isinstance(thread, StoredThread)
        self._new_hops.append((self._next_number(), thread.conversation_n, data))

    def _flush_hops(self) -> None:
        insert(self._database, "INSERT INTO hops", self._new_hops)
        self._new_hops = []

    def add_conversation(self, id: str, owner: str, started: float, retried_from: str = "") -> Conversation:
        conversation = StoredConversation(self._next_number(), id, owner, started, retried_from)
        self._conversations[conversation.n] = self._talks[conversation.n] = conversation
        self.counters.conversations += 1
        self.counters.running += 1
        return conversation

    def conversation(self, id: str) -> StoredConversation | None:
        initiator = self.thread(id)
        if initiator is None or initiator.parent_n is not None:
            return None
        return self.conversation_numbered(initiator.n)

    def conversation_numbered(self, n: int) -> StoredConversation:
        conversation = self._conversations.get(n)
        if conversation is None:
            row = self._database.execute(_SELECT_CONVERSATION, (n,)).fetchone()
            if row is None:
                raise damaged(self.path, "conversations", f"the number {n}, which is not there")
            _, id, started, retried_from, *moving = row
            conversation = self._conversations[n] = StoredConversation(n, id, moving[0], started, retried_from)
            conversation.move(tuple(moving))
        self._talks[n] = conversation
        return conversation

    def _flush_conversations(self) -> None:
        new, changed = [], []
        for one in self._talks.values():
            row = one.moving()
            if one.saved is None:
                new.append((one.n, one.id, one.started, one.retried_from, *row))
            elif row != one.saved:
                changed.append((*row, one.n))
            one.saved = row
        insert(self._database, _INSERT_CONVERSATIONS, new)
        if changed:
            self._database.executemany(_UPDATE_CONVERSATION, changed)

    def keep_join(self, terms: Join, thread: int | None, opened: bool = False) -> int:
        """Insert a join; its number."""
        self.counters.joins += opened
        n = self._next_number()
        self._joins.insert(n, terms, thread, opened)
        return n

    def join_numbered(self, n: int) -> StoredJoin:
        join = self._joins.numbered(self, n)
        if join is None:
            raise damaged(self.path, "joins", f"the number {n}, which is not there")
        return join

    def add_result(self, join: int, index: int, result: bytes) -> bool:
        """Keep a result unless there is one at `index`; whether it was kept."""
        return self._joins.add_result(join, index, result)

    def remove_join(self, n: int) -> None:
        """Forget a join and its results."""
        self.counters.joins -= self._joins.remove(n)
