"""Looking into a state file from outside: one short read after the other, in the order of an index."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from xpipe.backends.sqlite_errors import closed, damaged, explained
from xpipe.backends.sqlite_records import Row, readable
from xpipe.core.messages import ConversationRecord, DeadLetter, Message, PumpRecord
from xpipe.ports import BackendTotals, JoinRecord, ThreadRecord

PAGE = 200

_THREADS = """
    SELECT t.n, t.id, c.id, t.chain, t.listener, t.mailbox IS NOT NULL,
           t.open IS NOT NULL OR (j.missing > 0 AND j.collect), t.failed, t.slots, t.bytes
    FROM threads t JOIN conversations c ON c.n = t.conversation LEFT JOIN joins j ON j.n = t.joined
    WHERE t.n > ?
"""
_CONVERSATIONS = """
    SELECT c.n, c.id, t.chain, c.finish IS NULL, c.faulted, c.owner, c.started, c.ended, t.slots, c.delivered
    FROM conversations c JOIN threads t ON t.n = c.n
    WHERE c.n > ?
"""
_UNBOUND_THREADS = """
    SELECT n, id, chain FROM threads t WHERE n > ? AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.uuid = t.id)
"""
_SLOTS_OF = "SELECT n, slots FROM threads WHERE id = ? UNION ALL SELECT n, slots FROM loose WHERE id = ?"
_ENTRIES = """
    SELECT 1 + threads + (SELECT count(*) FROM bindings WHERE uuid NOT IN (SELECT id FROM threads)) FROM counters
"""
_TOTALS = "SELECT threads, conversations, running, in_flight, slots, joins, dead FROM counters"


class Reading:
    """Reads with a connection of its own, so that it neither waits for who writes nor holds up anyone."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = database
        self._lock = threading.Lock()

    def read(self, sql: str, *arguments: Any) -> list[Row]:
        """The rows that `sql` selects. Raises BackendError."""
        with self._lock:
            if self._database is None:
                raise closed(self._path)
            try:
                return self._database.execute(sql, arguments).fetchall()
            except sqlite3.Error as error:
                raise explained(self._path, error) from None

    def _pages(self, sql: str, *arguments: Any, key: str = "n") -> Iterator[Row]:
        """All rows that `sql` selects, in the order of their first column `key`, which it compares with `> ?`."""
        query, after = f"{sql} ORDER BY {key} LIMIT {PAGE}", 0
        while rows := self.read(query, after, *arguments):
            yield from rows
            after = rows[-1][0]

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def in_flight(self) -> int:
        return int(self.read("SELECT in_flight FROM counters")[0][0])

    def slots(self, thread: str, start: int, stop: int | None) -> list[bytes]:
        """The slots of a thread, as a slice of them all."""
        for n, count in self.read(_SLOTS_OF, thread, thread):
            part = range(count)[start:stop]
            found = "SELECT data FROM slots WHERE thread = ? AND at >= ? AND at < ? ORDER BY at"
            return [data for (data,) in self.read(found, n, part.start, part.stop)]
        return []

    def slot(self, thread: str, index: int) -> bytes | None:
        found = f"SELECT data FROM slots JOIN ({_SLOTS_OF}) ON thread = n WHERE at = ?"
        rows = self.read(found, thread, thread, index)
        return rows[0][0] if rows else None

    def thread_len(self, thread: str) -> int:
        return sum(count for _, count in self.read(_SLOTS_OF, thread, thread))

    def threads_with_slots(self) -> Iterator[str]:
        for table in ("threads", "loose"):
            for _, id in self._pages(f"SELECT n, id FROM {table} WHERE n > ? AND slots > 0"):
                yield id

    def threads(self, conversation: str | None) -> Iterator[ThreadRecord]:
        """All that can be read; then BackendError if something could not."""
        spoilt = ""
        for row in self._threads(conversation):
            record, whole = self._thread(row)
            spoilt = spoilt or ("" if whole else f"the slot {record.slots - 1} of the thread {record.thread}")
            yield record
        if spoilt:
            raise damaged(self._path, "slots", spoilt)

    def _threads(self, conversation: str | None) -> Iterator[Row]:
        if conversation is None:
            return self._pages(_THREADS, key="t.n")
        found = self.read("SELECT c.n FROM threads t JOIN conversations c ON c.n = t.n WHERE t.id = ?", conversation)
        return self._pages(f"{_THREADS} AND t.conversation = ?", found[0][0], key="t.n") if found else iter(())

    def _thread(self, row: Row) -> tuple[ThreadRecord, bool]:
        n, id, conversation, chain, listener, active, waiting, failed, slots, size = row
        state = "active" if active else "waiting" if waiting else "failed" if failed else "done"
        last, whole = self._last(n, slots)
        names = (last.sender, last.to) if last else ("", "")
        return ThreadRecord(id, conversation, chain, listener, state, slots, size, *names), whole

    def _last(self, thread: int, slots: int) -> tuple[Message | None, bool]:
        """The last message of a thread, and whether nothing kept it from being read."""
        rows = self.read("SELECT data FROM slots WHERE thread = ? AND at = ?", thread, slots - 1)
        last = readable(rows[0][0]) if rows else None
        return last, last is not None or not rows

    def conversations(self, running: bool) -> Iterator[ConversationRecord]:
        sql = f"{_CONVERSATIONS} AND c.finish IS NULL" if running else _CONVERSATIONS
        for _, id, chain, runs, faulted, owner, started, ended, outputs, delivered in self._pages(sql, key="c.n"):
            state = "running" if runs else "failed" if faulted else "done"
            yield ConversationRecord(id, chain, state, owner, started, ended, outputs, delivered)

    def entries(self) -> Iterator[tuple[str, str]]:
        """(uuid, chain) of everything registered but the root."""
        for _, uuid, chain in self._pages("SELECT n, uuid, chain FROM bindings WHERE n > ?"):
            yield uuid, chain
        for _, uuid, chain in self._pages(_UNBOUND_THREADS):
            yield uuid, chain

    def joins(self) -> Iterator[tuple[str, int, int]]:
        for _, id, missing, total in self._pages("SELECT n, id, missing, total FROM joins WHERE n > ? AND open = 1"):
            yield id, total - missing, total

    def join(self, id: str) -> JoinRecord | None:
        rows = self.read("SELECT n, total FROM joins WHERE id = ? AND open = 1", id)
        return JoinRecord(id, rows[0][1], self._results(*rows[0])) if rows else None

    def results_of(self, thread: str) -> list[bytes | None]:
        """The results that the join of `thread` has by now."""
        rows = self.read("SELECT j.n, j.total FROM threads t JOIN joins j ON j.n = t.joined WHERE t.id = ?", thread)
        return self._results(*rows[0]) if rows else []

    def _results(self, join: int, total: int) -> list[bytes | None]:
        results: list[bytes | None] = [None] * total
        for at, data in self.read("SELECT at, data FROM results WHERE joined = ?", join):
            results[at] = data
        return results

    def dead_letters(self) -> Iterator[DeadLetter]:
        for _, message, fault, told in self._pages("SELECT n, message, fault, told FROM dead WHERE n > ?"):
            yield DeadLetter(message, fault, bool(told))

    def pumps(self) -> list[PumpRecord]:
        rows = self.read("SELECT id, host, pid, started, expires FROM pumps ORDER BY rowid")
        return [PumpRecord(*row) for row in rows]

    def totals(self) -> BackendTotals:
        return BackendTotals(*self.read(_TOTALS)[0])

    def counts(self) -> tuple[int, int]:
        """How many threads have slots, and how many pairs are registered."""
        return int(self.read("SELECT buffers FROM counters")[0][0]), int(self.read(_ENTRIES)[0][0])

    def uuid_of(self, chain: str, usual: Callable[[str], str]) -> str | None:
        """The uuid that `chain` is bound to; `usual` tells which a thread has that nobody bound from outside."""
        bound = self.read("SELECT uuid FROM bindings WHERE chain = ?", chain)
        if bound:
            return str(bound[0][0])
        id = usual(chain)
        return id if self.chain_of(id) is not None else None

    def chain_of(self, uuid: str) -> str | None:
        rows = self.read("SELECT chain FROM threads WHERE id = ?", uuid)
        rows = rows or self.read("SELECT chain FROM bindings WHERE uuid = ?", uuid)
        return rows[0][0] if rows else None
