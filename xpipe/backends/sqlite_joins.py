"""The joins in a state file. Rows are written at once; only its terms and counts wait for the flush."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from xpipe.backends.sqlite_records import StoredJoin
from xpipe.core.messages import Join

if TYPE_CHECKING:
    from xpipe.backends.sqlite_cache import Records

_TERMS = "total, joined, collect, expires, more, low, enough, spare"
_COUNTED = "missing, faults, feeding, more_at"
_SELECT = f"SELECT id, {_TERMS}, n, thread, {_COUNTED}, open FROM joins WHERE n = ?"
_MARKS = ", ".join("?" * 12)
_INSERT = f"INSERT INTO joins (n, id, thread, {_TERMS}, {_COUNTED}, open) VALUES ({_MARKS}, 0, 0, -1, ?)"
_UPDATE = f"UPDATE joins SET {', '.join(f'{name} = ?' for name in f'{_TERMS}, {_COUNTED}'.split(', '))} WHERE n = ?"
MAX_CACHED = 1_000


class Joins:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._cache: dict[int, StoredJoin] = {}
        self._touched: dict[int, StoredJoin] = {}

    def numbered(self, store: Records, n: int) -> StoredJoin | None:
        join = self._cache.get(n)
        if join is None:
            row = self._database.execute(_SELECT, (n,)).fetchone()
            if row is None:
                return None
            id, total, joined, collect, expires, more, low, enough, spare, n, thread, *moving = row
            terms = Join(id, total, joined, bool(collect), expires, more, low, enough, spare)
            join = self._cache[n] = StoredJoin(store, n, terms, thread, tuple(moving))
        self._touched[n] = join
        return join

    def named(self, store: Records, id: str) -> StoredJoin | None:
        row = self._database.execute("SELECT n FROM joins WHERE id = ? AND open = 1", (id,)).fetchone()
        return self.numbered(store, row[0]) if row else None

    def insert(self, n: int, terms: Join, thread: int | None, opened: bool) -> None:
        self._database.execute(_INSERT, (n, terms.id, thread, *astuple(terms)[1:], terms.total, opened))

    def open(self, n: int) -> None:
        self._database.execute("UPDATE joins SET open = 1 WHERE n = ?", (n,))

    def close(self, n: int) -> int:
        return self._database.execute("UPDATE joins SET open = 0 WHERE n = ? AND open = 1", (n,)).rowcount

    def remove(self, n: int) -> int:
        """Forget the join; 1 if it was open."""
        self._cache.pop(n, None)
        self._touched.pop(n, None)
        self._database.execute("DELETE FROM results WHERE joined = ?", (n,))
        opened = self._database.execute("DELETE FROM joins WHERE n = ? AND open = 1", (n,)).rowcount
        self._database.execute("DELETE FROM joins WHERE n = ?", (n,))
        return opened

    def add_result(self, n: int, index: int, result: bytes) -> bool:
        row = (n, index, result)
        return self._database.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", row).rowcount == 1

    def expired(self, store: Records, now: float) -> Iterator[StoredJoin]:
        found = self._database.execute(
            "SELECT n FROM joins WHERE open = 1 AND expires > 0 AND expires <= ? ORDER BY expires, id", (now,)
        ).fetchall()
        for (n,) in found:
            join = self.numbered(store, n)
            if join is not None:
                yield join

    def next_expiry(self) -> float:
        [expires] = self._database.execute("SELECT min(expires) FROM joins WHERE open = 1 AND expires > 0").fetchone()
        return expires or 0.0

    def flush(self) -> None:
        changed = [join for join in self._touched.values() if join.moving() != join.saved]
        if changed:
            self._database.executemany(_UPDATE, [(*join.moving(), join.n) for join in changed])
            for join in changed:
                join.saved = join.moving()

    def settle(self) -> None:
        """The transaction is over."""
        self._touched.clear()
        if len(self._cache) > MAX_CACHED:
            self._cache.clear()

    def drop(self) -> None:
        """Believe nothing that was read."""
        self._cache.clear()
        self._touched.clear()
