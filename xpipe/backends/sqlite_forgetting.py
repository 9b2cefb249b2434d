"""Removing what is over from a state file. Works on rows alone: nothing of it may be waiting to be written."""

from __future__ import annotations

import sqlite3
from itertools import takewhile

from xpipe.backends.sqlite_records import Counters

_OVER = "SELECT n FROM conversations WHERE finish IS NOT NULL"


def first_settled(database: sqlite3.Connection) -> int | None:
    """The number of the conversation that has been over the longest, of those whose outputs are delivered."""
    row = database.execute(f"{_OVER} AND delivered >= outputs ORDER BY finish LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def ended_before(database: sqlite3.Connection, before: float, most: int) -> list[int]:
    """The numbers of up to `most` conversations, in the order of their ends, up to one that did not end `before`."""
    ends = "SELECT n, ended FROM conversations WHERE finish IS NOT NULL ORDER BY finish LIMIT ?"
    rows = database.execute(ends, (most,)).fetchall()
    return [n for n, _ in takewhile(lambda row: row[1] < before, rows)]


def forget(database: sqlite3.Connection, counters: Counters, conversation: int) -> list[int]:
    """Remove a conversation that is over, with all that belongs to it; the numbers of its threads."""
    threads = database.execute(
        "SELECT n, slots, joined, chain FROM threads WHERE conversation = ?", (conversation,)
    ).fetchall()
    numbers = [row[:1] for row in threads]
    joins = [row[2:3] for row in threads if row[2] is not None]
    database.executemany("DELETE FROM slots WHERE thread = ?", numbers)
    database.executemany("DELETE FROM threads WHERE n = ?", numbers)
    if joins:
        database.executemany("DELETE FROM results WHERE joined = ?", joins)
        database.executemany("DELETE FROM joins WHERE n = ?", joins)
    if counters.bindings:
        gone = database.executemany("DELETE FROM bindings WHERE chain = ?", [row[3:] for row in threads])
        counters.bindings -= gone.rowcount
    database.execute("DELETE FROM hops WHERE conversation = ?", (conversation,))
    database.execute("DELETE FROM conversations WHERE n = ?", (conversation,))
    counters.conversations -= 1
    counters.threads -= len(threads)
    counters.slots -= sum(row[1] for row in threads)
    counters.buffers -= sum(row[1] > 0 for row in threads)
    return [n for (n,) in numbers]


def clear_slots(database: sqlite3.Connection, counters: Counters) -> None:
    """Forget all slots but those of running conversations, and with them the outputs that were to be delivered."""
    over = f"SELECT n FROM threads WHERE conversation IN ({_OVER})"
    gone = database.execute(f"DELETE FROM slots WHERE thread IN ({over})").rowcount
    gone += database.execute("DELETE FROM slots WHERE thread IN (SELECT n FROM loose)").rowcount
    emptied = database.execute(
        f"UPDATE threads SET slots = 0, bytes = 0 WHERE slots > 0 AND conversation IN ({_OVER})"
    ).rowcount
    emptied += database.execute("DELETE FROM loose").rowcount
    database.execute("UPDATE conversations SET delivered = outputs WHERE finish IS NOT NULL AND delivered < outputs")
    counters.slots -= gone
    counters.buffers -= emptied
    counters.loose = 0
