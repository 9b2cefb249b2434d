"""What is kept in a state file for callers from outside: slots and bindings of ids that no thread has, collections."""

from __future__ import annotations

import sqlite3

from xpipe.backends.sqlite_records import Counters

_NO_THREAD = "NOT EXISTS (SELECT 1 FROM threads t WHERE t.id = bindings.uuid)"


def append_loose(database: sqlite3.Connection, counters: Counters, id: str, data: bytes) -> None:
    """Append a slot under an id that no thread has."""
    known = database.execute("UPDATE loose SET slots = slots + 1, bytes = bytes + ? WHERE id = ?", (len(data), id))
    if not known.rowcount:
        counters.number += 1
        counters.loose += 1
        counters.buffers += 1
        database.execute("INSERT INTO loose VALUES (?, ?, 1, ?)", (counters.number, id, len(data)))
    database.execute("INSERT INTO slots SELECT n, slots - 1, ? FROM loose WHERE id = ?", (data, id))
    counters.slots += 1


def clear_loose(database: sqlite3.Connection, counters: Counters, id: str) -> bool:
    """Forget the slots recorded under an id that no thread has; whether there were any."""
    row = database.execute("SELECT n, slots FROM loose WHERE id = ?", (id,)).fetchone()
    if row is None:
        return False
    database.execute("DELETE FROM slots WHERE thread = ?", row[:1])
    database.execute("DELETE FROM loose WHERE n = ?", row[:1])
    counters.slots -= row[1]
    counters.buffers -= 1
    counters.loose -= 1
    return True


def bound_id(database: sqlite3.Connection, chain: str) -> str | None:
    """The id that `chain` is bound to."""
    row = database.execute("SELECT uuid FROM bindings WHERE chain = ?", (chain,)).fetchone()
    return row[0] if row else None


def bind(database: sqlite3.Connection, counters: Counters, chain: str, uuid: str) -> None:
    """Bind two that are not bound."""
    database.execute("INSERT INTO bindings (chain, uuid) VALUES (?, ?)", (chain, uuid))
    counters.bindings += 1


def unbind(database: sqlite3.Connection, counters: Counters, uuid: str) -> bool:
    """Undo a binding whose id no thread has."""
    gone = database.execute(f"DELETE FROM bindings WHERE uuid = ? AND {_NO_THREAD}", (uuid,)).rowcount
    counters.bindings -= gone
    return gone == 1


def unbind_all(database: sqlite3.Connection, counters: Counters) -> None:
    """Undo every binding whose id no thread has."""
    counters.bindings -= database.execute(f"DELETE FROM bindings WHERE {_NO_THREAD}").rowcount


def create_collection(database: sqlite3.Connection, kind: str, id: str, head: bytes, size: int) -> bool:
    """Returns whether it was added."""
    insert = "INSERT OR IGNORE INTO collections (kind, id, head, size) VALUES (?, ?, ?, ?)"
    return database.execute(insert, (kind, id, head, size)).rowcount == 1


def add_to_collection(database: sqlite3.Connection, kind: str, id: str, index: int, part: bytes) -> bool:
    """Returns whether the part was added."""
    where = "kind = ? AND id = ? AND ? BETWEEN 0 AND size - 1"
    insert = f"INSERT OR IGNORE INTO collection_parts SELECT n, ?, ? FROM collections WHERE {where}"
    return database.execute(insert, (index, part, kind, id, index)).rowcount == 1


def remove_collection(database: sqlite3.Connection, kind: str, id: str) -> bool:
    """Returns whether it was removed."""
    which = (kind, id)
    parts = "DELETE FROM collection_parts WHERE collection = (SELECT n FROM collections WHERE kind = ? AND id = ?)"
    database.execute(parts, which)
    return database.execute("DELETE FROM collections WHERE kind = ? AND id = ?", which).rowcount == 1
