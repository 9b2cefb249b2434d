"""Removing what is over from a state file. Works on rows alone: nothing of it may be waiting to be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate, takewhile

from xpipe.backends.sqlite_records import Counters
from xpipe.backends.sqlite_writing import change_in, select_in

MOST = 128
"""Conversations forgotten at once."""
_OVER = "SELECT n FROM conversations WHERE finish IS NOT NULL"
_SETTLED = (
    "SELECT n, (SELECT count(*) FROM threads WHERE conversation = c.n) FROM conversations c "
    "WHERE finish IS NOT NULL AND delivered >= outputs ORDER BY finish LIMIT ?"
)


def first_settled(database: sqlite3.Connection, threads: int) -> list[int]:
    """The numbers of those that have been over the longest, of the conversations whose outputs are delivered.

    As many as have so many `threads`; no more than MOST.
    """
    rows = database.execute(_SETTLED, (min(threads, MOST),)).fetchall()
    sums = accumulate(count for _, count in rows)
    return [n for (n, count), so_far in zip(rows, sums, strict=True) if so_far - count < threads]


def ended_before(database: sqlite3.Connection, before: float, most: int) -> list[int]:
    """The numbers of up to `most` conversations, in the order of their ends, up to one that did not end `before`."""
    ends = "SELECT n, ended FROM conversations WHERE finish IS NOT NULL ORDER BY finish LIMIT ?"
    rows = database.execute(ends, (most,)).fetchall()
    return [n for n, _ in takewhile(lambda row: row[1] < before, rows)]


def forget(database: sqlite3.Connection, counters: Counters, conversations: Sequence[int]) -> list[int]:
    """Remove conversations that are over, with all that belongs to them; the numbers of their threads."""
    threads = select_in(database, "SELECT n, slots, joined, chain FROM records WHERE conversation", conversations)
    numbers = [row[0] for row in threads]
    for statement in ("slots WHERE thread", "progress WHERE n", "threads WHERE n"):
        change_in(database, f"DELETE FROM {statement}", numbers)
    joins = [row[2] for row in threads if row[2] is not None]
    for statement in ("results WHERE joined", "joins WHERE n"):
        change_in(database, f"DELETE FROM {statement}", joins)
    if counters.bindings:
        counters.bindings -= change_in(database, "DELETE FROM bindings WHERE chain", [row[3] for row in threads])
    for statement in ("hops WHERE conversation", "conversations WHERE n"):
        change_in(database, f"DELETE FROM {statement}", conversations)
    counters.conversations -= len(conversations)
    counters.threads -= len(threads)
    counters.slots -= sum(row[1] for row in threads)
    counters.buffers -= sum(row[1] > 0 for row in threads)
    return numbers


def clear_slots(database: sqlite3.Connection, counters: Counters) -> None:
    """Forget all slots but those of running conversations, and with them the outputs that were to be delivered."""
    over = f"SELECT n FROM threads WHERE conversation IN ({_OVER})"
    gone = database.execute(f"DELETE FROM slots WHERE thread IN ({over})").rowcount
    gone += database.execute("DELETE FROM slots WHERE thread IN (SELECT n FROM loose)").rowcount
    emptied = database.execute(f"UPDATE progress SET slots = 0, bytes = 0 WHERE slots > 0 AND n IN ({over})").rowcount
    emptied += database.execute("DELETE FROM loose").rowcount
    database.execute("UPDATE conversations SET delivered = outputs WHERE finish IS NOT NULL AND delivered < outputs")
    counters.slots -= gone
    counters.buffers -= emptied
    counters.loose = 0
