"""The queues of the listeners in a state file. What is made ready and claimed in one transaction is never written."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from xpipe.backends.sqlite_records import Counters, Row, StoredThread
from xpipe.backends.sqlite_writing import change_in, insert

_SELECT_FIRST = "SELECT place, thread FROM queue WHERE listener = ? ORDER BY place LIMIT ?"
_DELETE_FIRST = "DELETE FROM queue WHERE listener = ? AND place <= ?"


class Lane:
    """A listener's queue: rows in the file, then the threads made ready in this transaction."""

    __slots__ = ("name", "new", "saved", "stored", "turn")

    def __init__(self, name: str, turn: int, stored: int, saved: bool) -> None:
        self.name = name
        self.turn = turn
        self.stored = stored
        self.new: deque[StoredThread] = deque()
        self.saved: Row | None = (turn, stored) if saved else None

    def __len__(self) -> int:
        return self.stored + len(self.new)


class Lanes:
    """`read` finds the threads of these numbers, `flush` writes all that moved."""

    def __init__(
        self,
        database: sqlite3.Connection,
        read: Callable[[Sequence[int]], list[StoredThread]],
        flush: Callable[[], None],
    ) -> None:
        self._database = database
        self._read = read
        self._flush_all = flush
        self._lanes: dict[str, Lane] = {}
        self._gone: list[str] = []
        self._left: dict[str, list[int]] = {}
        self._moved = False

    def load(self) -> None:
        rows = self._database.execute("SELECT listener, turn, ready FROM lanes ORDER BY turn").fetchall()
        self._lanes = {name: Lane(name, turn, ready, saved=True) for name, turn, ready in rows}

    def add(self, thread: StoredThread, first: bool, counters: Counters) -> None:
        lane = self._lanes.get(thread.listener)
        if lane is None:
            counters.turn += 1
            lane = self._lanes[thread.listener] = Lane(thread.listener, counters.turn, 0, saved=False)
        if first:
            counters.head -= 1
            thread.place = counters.head
            lane.new.appendleft(thread)
            self._moved = True
        else:
            counters.tail += 1
            thread.place = counters.tail
            lane.new.append(thread)

    def take(self, room: Mapping[str, int], most: int, counters: Counters) -> list[StoredThread]:
        if self._moved:
            self._flush_all()  # The rows must say what is in front, and what has left.
        taken: list[StoredThread] = []
        for name in list(self._lanes):
            lane = self._lanes[name]
            count = min(len(lane), room.get(name, 0), most - len(taken))
            if count <= 0:
                continue
            taken.extend(self._take(lane, count))
            # As in memory: what was served goes behind the others.
            del self._lanes[name]
            if len(lane):
                counters.turn += 1
                lane.turn = counters.turn
                self._lanes[name] = lane
            elif lane.saved is not None:
                self._gone.append(name)
        return taken

    def _take(self, lane: Lane, count: int) -> list[StoredThread]:
        taken: list[StoredThread] = []
        if lane.stored:
            rows = self._database.execute(_SELECT_FIRST, (lane.name, min(count, lane.stored))).fetchall()
            if rows:
                self._database.execute(_DELETE_FIRST, (lane.name, rows[-1][0]))
            lane.stored -= len(rows)
            taken = self._read([n for _, n in rows])
        while len(taken) < count and lane.new:
            taken.append(lane.new.popleft())
        return taken

    def remove(self, thread: StoredThread) -> None:
        """Take `thread`, which is ready, out of its queue."""
        lane = self._lanes[thread.listener]
        if thread in lane.new:
            lane.new.remove(thread)
        else:
            lane.stored -= 1
            self._left.setdefault(thread.listener, []).append(thread.n)
            self._moved = True
        if not len(lane):
            del self._lanes[thread.listener]
            if lane.saved is not None:
                self._gone.append(thread.listener)

    def _drop_left(self) -> None:
        for name, threads in self._left.items():
            change_in(self._database, "DELETE FROM queue WHERE listener = ? AND thread", threads, name)
        self._left = {}

    def flush(self) -> None:
        """Write who stands in the queues, and how long they are."""
        self._moved = False
        self._drop_left()
        if self._gone:
            gone = [(name,) for name in self._gone]
            self._gone = []
            self._database.executemany("DELETE FROM lanes WHERE listener = ?", gone)
        changed, joined = [], []
        for lane in self._lanes.values():
            if lane.new:
                joined += [(lane.name, thread.place, thread.n) for thread in lane.new]
                lane.stored += len(lane.new)
                lane.new.clear()
            if lane.saved != (lane.turn, lane.stored):
                lane.saved = (lane.turn, lane.stored)
                changed.append((lane.name, lane.turn, lane.stored))
        insert(self._database, "INSERT INTO queue", joined)
        if changed:
            self._database.executemany("INSERT OR REPLACE INTO lanes VALUES (?, ?, ?)", changed)

    def drop(self) -> None:
        """Believe nothing that was read."""
        self._lanes, self._gone, self._left, self._moved = {}, [], {}, False
