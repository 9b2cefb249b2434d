"""What belongs to nothing in a state file. A commit leaves nothing of the kind; a bug or somebody else's hand may."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from xpipe.backends.sqlite_reading import PAGE, Reading
from xpipe.backends.sqlite_records import COUNTED, Counters, Row
from xpipe.ports import Orphan


class Kind(NamedTuple):
    """Rows of `table` that lack something. `key` numbers what they are rows of, which people know as `id`."""

    name: str
    table: str
    key: str
    id: str
    lacks: str
    where: str
    parts: str = ""
    """A statement that removes what goes with the number."""

    @property
    def select(self) -> str:
        return f"SELECT DISTINCT {self.key}, {self.id} FROM {self.table} WHERE {self.where}"

    @property
    def delete(self) -> str:
        return f"DELETE FROM {self.table} WHERE {self.key} = ?"

    def orphan(self, row: Row) -> Orphan:
        return Orphan(self.name, str(row[1]), self.lacks)


KINDS = (
    Kind(
        name="join",
        table="joins",
        key="n",
        id="id",
        lacks="the thread that waits for it",
        where="thread IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM threads t WHERE t.n = joins.thread AND t.joined = joins.n)",
        parts="DELETE FROM results WHERE joined = ?",
    ),
    Kind(
        name="results",
        table="results",
        key="joined",
        id="joined",
        lacks="their join",
        where="NOT EXISTS (SELECT 1 FROM joins j WHERE j.n = results.joined)",
    ),
    Kind(
        name="slots",
        table="slots",
        key="thread",
        id="thread",
        lacks="their thread",
        where="NOT EXISTS (SELECT 1 FROM threads t WHERE t.n = slots.thread) "
        "AND NOT EXISTS (SELECT 1 FROM loose l WHERE l.n = slots.thread)",
    ),
    Kind(
        name="event",
        table="events",
        key="n",
        id="n",
        lacks="the pump it is for",
        where="NOT EXISTS (SELECT 1 FROM pumps p WHERE p.id = events.pump)",
    ),
)


def find(reading: Reading, kind: Kind) -> Iterator[Orphan]:
    for row in reading.pages(f"{kind.select} AND {{page}}", key=kind.key):
        yield kind.orphan(row)


def remove(database: sqlite3.Connection, counters: Counters, kind: Kind) -> list[Orphan]:
    """Remove what there is of `kind`, up to PAGE of them, and count anew; what has been removed."""
    rows = database.execute(f"{kind.select} LIMIT {PAGE}").fetchall()
    numbers = [row[:1] for row in rows]
    for statement in filter(None, (kind.parts, kind.delete)):
        database.executemany(statement, numbers)
    for name, sql in COUNTED.items() if rows else ():
        setattr(counters, name, database.execute(sql).fetchone()[0])
    return [kind.orphan(row) for row in rows]
