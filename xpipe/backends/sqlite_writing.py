"""Many rows of a state file by few statements: beginning one takes longer than what it does to a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from xpipe.backends.sqlite_records import Row, marks

MANY, SOME = 128, 16
"""Rows of one statement, if there are as many."""
MOST_ASKED = 250
"""Values that rows are looked up by in one statement."""
MOST_VALUES = 999
"""SQLite before 3.32 takes no more of them."""


def insert(database: sqlite3.Connection, into: str, rows: Sequence[Row]) -> None:
    """Have the statement that begins with `into` insert `rows`. Of few sizes, so that SQLite knows it already."""
    if not rows:
        return
    width, at = len(rows[0]), 0
    for size in (min(MANY, MOST_VALUES // width), SOME):
        while len(rows) - at >= size:
            database.execute(_statement(into, width, size), list(chain.from_iterable(rows[at : at + size])))
            at += size
    if at < len(rows):
        database.executemany(_statement(into, width, 1), rows[at:])


@cache
def _statement(into: str, width: int, rows: int) -> str:
    return f"{into} VALUES {', '.join([f'({marks(width)})'] * rows)}"


def select_in(database: sqlite3.Connection, select: str, values: Sequence[Any]) -> list[Row]:
    """The rows for which what `select` ends with is one of `values`."""
    rows = []
    for some in _parts(values):
        rows += database.execute(f"{select} IN ({marks(len(some))})", some).fetchall()
    return rows


def change_in(database: sqlite3.Connection, change: str, values: Sequence[Any], *first: Any) -> int:
    """Carry out `change` on the rows for which what it ends with is one of `values`; how many there are.

    first: the values of the marks in `change`.
    """
    parts = _parts(values)
    return sum(database.execute(f"{change} IN ({marks(len(some))})", (*first, *some)).rowcount for some in parts)


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[at : at + MOST_ASKED] for at in range(0, len(values), MOST_ASKED))
