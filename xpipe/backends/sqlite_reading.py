"""Looking into a state file from outside: one short read after the other, in the order of an index."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xpipe.backends.arguments import is_closed
from xpipe.backends.sqlite_errors import explained
from xpipe.backends.sqlite_records import SELECT_PUMPS, Row, pump_of
from xpipe.core.messages import ConversationRecord, Cursor, DeadLetter, PumpRecord, readable
from xpipe.ledger.records import VERDICTS
from xpipe.ports import BackendTotals, Collection, JoinRecord, Load, RegistryRecord, ThreadRecord

PAGE = 200
_LAST = 2**63 - 1

_THREADS = """
    SELECT t.n, t.id, c.id, t.chain, t.listener, t.mailbox IS NOT NULL,
           t.open IS NOT NULL OR (j.open AND j.collect), t.failed, t.slots, t.bytes, t.touched
    FROM records t JOIN conversations c ON c.n = t.conversation LEFT JOIN joins j ON j.n = t.joined
    WHERE
"""
_FOUND = f"{_THREADS} t.id >= CAST(? AS TEXT) AND t.id < CAST(? AS TEXT) ORDER BY t.id LIMIT ?"
_CONVERSATIONS = """
    SELECT c.n, c.id, t.chain, c.finish IS NULL, c.verdict, c.owner, c.started, c.ended, c.outputs, c.delivered,
           (SELECT count(*) FROM threads m WHERE m.conversation = c.n), c.retried_from
    FROM conversations c JOIN threads t ON t.n = c.n
    WHERE {page}
"""
_BINDINGS = """
    SELECT n, uuid, chain, EXISTS (SELECT 1 FROM threads t WHERE t.id = b.uuid) FROM bindings b WHERE {page}
"""
_UNBOUND_THREADS = """
    SELECT n, id, chain FROM threads t WHERE {page} AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.uuid = t.id)
"""
_JOINS = "SELECT n, id, missing, total FROM joins WHERE {page} AND open = 1"
_DEAD = "SELECT n, message, fault, told, thread, attempts, at FROM dead WHERE {page}"
_COLLECTION = """
    SELECT head, at, data FROM collections LEFT JOIN collection_parts ON collection = n WHERE kind = ? AND id = ?
"""
_DATA = "SELECT CAST(data AS BLOB) FROM slots"
_SLOTS_OF = "SELECT n, slots FROM records WHERE id = ? UNION ALL SELECT n, slots FROM loose WHERE id = ?"
_ENTRIES = """
    SELECT (SELECT count(*) FROM organism) + threads
           + (SELECT count(*) FROM bindings WHERE uuid NOT IN (SELECT id FROM threads))
    FROM counters
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
                raise is_closed(str(self._path))
            try:
                return self._database.execute(sql, arguments).fetchall()
            except sqlite3.Error as error:
                raise explained(self._path, error) from None

    def pages(self, sql: str, *arguments: Any, key: str = "n", newest: bool = False) -> Iterator[Row]:
        """All rows that `sql` selects, in the order of their first column `key`; {page} in it is one page of them."""
        page, order, after = (f"{key} < ?", "DESC", _LAST) if newest else (f"{key} > ?", "ASC", 0)
        query = f"{sql.format(page=page)} ORDER BY {key} {order} LIMIT {PAGE}"
        while rows := self.read(query, after, *arguments):
            yield from rows
            after = rows[-1][0]

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def identity(self) -> tuple[str, bytes] | None:
        """Name and secret of the organism that the file holds."""
        rows = self.read("SELECT name, secret FROM organism")
        return (rows[0][0], rows[0][1]) if rows else None

    def load(self, max_threads: int) -> Load:
        [(in_flight, threads)] = self.read("SELECT in_flight, threads FROM counters")
        return Load(in_flight, max_threads - threads)

    def ready_listeners(self) -> list[str]:
        return [name for (name,) in self.read("SELECT listener FROM lanes ORDER BY turn")]

    def cursor(self, name: str) -> Cursor | None:
        rows = self.read("SELECT name, fingerprint, place FROM cursors WHERE name = ?", name)
        return Cursor(*rows[0]) if rows else None

    def slots(self, thread: str, start: int, stop: int | None) -> list[bytes]:
        """The slots of a thread, as a slice of them all."""
        for n, count in self.read(_SLOTS_OF, thread, thread):
            part = range(count)[start:stop]
            found = f"{_DATA} WHERE thread = ? AND at >= ? AND at < ? ORDER BY at"
            return [data for (data,) in self.read(found, n, part.start, part.stop)]
        return []

    def slot(self, thread: str, index: int) -> bytes | None:
        found = f"{_DATA} JOIN ({_SLOTS_OF}) ON thread = n WHERE at = ?"
        rows = self.read(found, thread, thread, index)
        return rows[0][0] if rows else None

    def thread_len(self, thread: str) -> int:
        return sum(count for _, count in self.read(_SLOTS_OF, thread, thread))

    def threads_with_slots(self) -> Iterator[str]:
        for table in ("records", "loose"):
            for _, id in self.pages(f"SELECT n, id FROM {table} WHERE {{page}} AND slots > 0"):
                yield id

    def threads(self, conversation: str | None, newest: bool) -> Iterator[ThreadRecord]:
        for row in self._threads(conversation, newest):
            yield self._thread(row)

    def _threads(self, conversation: str | None, newest: bool) -> Iterator[Row]:
        sql = f"{_THREADS} {{page}}"
        if conversation is None:
            return self.pages(sql, key="t.n", newest=newest)
        found = self.read("SELECT c.n FROM threads t JOIN conversations c ON c.n = t.n WHERE t.id = ?", conversation)
        if not found:
            return iter(())
        return self.pages(f"{sql} AND t.conversation = ?", found[0][0], key="t.n", newest=newest)

    def hops(self, conversation: str, start: int) -> Iterator[bytes]:
        """The encoded HopRecords of `conversation` from the one numbered `start`."""
        found = self.read("SELECT n FROM threads WHERE id = ? AND parent IS NULL", conversation)
        sql = "SELECT n, CAST(data AS BLOB) FROM hops WHERE conversation = ? AND n > ? ORDER BY n LIMIT ? OFFSET ?"
        after, skipped = 0, start
        while found and (rows := self.read(sql, found[0][0], after, PAGE, skipped)):
            yield from (data for _, data in rows)
            after, skipped = rows[-1][0], 0

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        start = prefix.encode(errors="surrogatepass")
        end = start + b"\xff"  # Behind all that begins with it: no text has that byte.
        return [self._thread(row) for row in self.read(_FOUND, start, end, most)]

    def _thread(self, row: Row) -> ThreadRecord:
        n, id, conversation, chain, listener, active, waiting, failed, slots, size, touched = row
        state = "active" if active else "waiting" if waiting else "failed" if failed else "done"
        rows = self.read(f"{_DATA} WHERE thread = ? AND at = ?", n, slots - 1)
        last = readable(rows[0][0]) if rows else None
        names = (last.sender, last.to) if last else ("", "")
        return ThreadRecord(id, conversation, chain, listener, state, slots, size, *names, touched)

    def conversations(self, running: bool, owner: str | None, unsettled: bool) -> Iterator[ConversationRecord]:
        sql = f"{_CONVERSATIONS} AND c.finish IS NULL" if running else _CONVERSATIONS
        sql = f"{sql} AND (c.finish IS NULL OR c.delivered < c.outputs)" if unsettled else sql
        sql, owners = (sql, ()) if owner is None else (f"{sql} AND c.owner = ?", (owner,))
        yield from map(_conversation, self.pages(sql, *owners, key="c.n"))

    def conversation(self, id: str) -> ConversationRecord | None:
        rows = self.read(_CONVERSATIONS.format(page="t.id = ?"), id)
        return _conversation(rows[0]) if rows else None

    def entries(self) -> Iterator[RegistryRecord]:
        """Everything registered but the root."""
        for _, uuid, chain, has_thread in self.pages(_BINDINGS):
            yield RegistryRecord(uuid, chain, "thread" if has_thread else "bound")
        for _, uuid, chain in self.pages(_UNBOUND_THREADS):
            yield RegistryRecord(uuid, chain, "thread")

    def joins(self) -> Iterator[tuple[str, int, int]]:
        for _, id, missing, total in self.pages(_JOINS):
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

    def collection(self, kind: str, id: str) -> Collection | None:
        rows = self.read(_COLLECTION, kind, id)
        return Collection(rows[0][0], {at: data for _, at, data in rows if at is not None}) if rows else None

    def collection_ids(self, kind: str) -> Iterator[str]:
        for _, id in self.pages("SELECT n, id FROM collections WHERE {page} AND kind = ?", kind):
            yield id

    def dead_letters(self) -> Iterator[DeadLetter]:
        for number, message, fault, told, thread, attempts, at in self.pages(_DEAD):
            yield DeadLetter(message, fault, bool(told), thread, attempts, at, number)

    def pumps(self) -> list[PumpRecord]:
        return [pump_of(row) for row in self.read(SELECT_PUMPS)]

    def totals(self) -> BackendTotals:
        return BackendTotals(*self.read(_TOTALS)[0])

    def counts(self) -> tuple[int, int]:
        """How many threads have slots, and how many pairs are registered."""
        return int(self.read("SELECT buffers FROM counters")[0][0]), int(self.read(_ENTRIES)[0][0])

    def uuid_bound_to(self, chain: str) -> str | None:
        """The uuid that `chain` was bound to from outside."""
        bound = self.read("SELECT uuid FROM bindings WHERE chain = ?", chain)
        return bound[0][0] if bound else None

    def uuid_of_thread(self, id: str) -> str | None:
        """`id`, if there is such a thread."""
        return id if self.chain_of(id) is not None else None

    def chain_of(self, uuid: str) -> str | None:
        rows = self.read("SELECT chain FROM threads WHERE id = ?", uuid)
        rows = rows or self.read("SELECT chain FROM bindings WHERE uuid = ?", uuid)
        return rows[0][0] if rows else None


def _conversation(row: Row) -> ConversationRecord:
    _, id, chain, runs, verdict, *rest = row
    return ConversationRecord(id, chain, "running" if runs else VERDICTS[verdict], *rest)
