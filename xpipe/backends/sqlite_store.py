"""A ledger's records in a state file. Between transactions they stay cached for as long as nobody else wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from xpipe.backends import sqlite_outside as outside
from xpipe.backends.sqlite_cache import SELECT_SLOT, SELECT_THREAD, Records
from xpipe.backends.sqlite_events import Events
from xpipe.backends.sqlite_forgetting import clear_slots, ended_before, first_settled, forget
from xpipe.backends.sqlite_lanes import Lanes
from xpipe.backends.sqlite_orphans import Kind, remove
from xpipe.backends.sqlite_records import (
    COUNTERS,
    SELECT_PUMPS,
    Counters,
    Row,
    StoredConversation,
    StoredJoin,
    StoredThread,
    pump_of,
)
from xpipe.core.messages import (
    LOST_HOP,
    ConversationRecord,
    Cursor,
    DeadLetter,
    Event,
    PumpRecord,
    damaged_letter,
    readable,
    readable_hop,
    tombstone,
)
from xpipe.ledger.memory import MAX_DEAD_LETTERS
from xpipe.ledger.records import Conversation, JoinState, Thread
from xpipe.ports import Orphan

_UPDATE_COUNTERS = f"UPDATE counters SET {' = ?, '.join(COUNTERS)} = ?"
_COUNT_THREADS = "SELECT count(*) FROM threads WHERE conversation = ?"
_INSERT_DEAD = "INSERT INTO dead (message, fault, told, thread, attempts, at, n) VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_PUMP = (
    "INSERT INTO pumps (id, host, pid, started, expires, serves) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET host = excluded.host, pid = excluded.pid, started = excluded.started, "
    "expires = excluded.expires, serves = excluded.serves"
)
_REPLACE_SLOT = "UPDATE slots SET data = ? WHERE thread = ? AND at = ?"
_BYTES = "SELECT sum(length(data)) FROM slots WHERE thread = ?"
_RUNS = "conversation IN (SELECT n FROM conversations WHERE finish IS NULL)"


class SQLiteStore(Records):
    """The Store of a ledger in the transactions of one connection: `begin`, the work, `flush`, commit, `settle`."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        super().__init__(path, database)
        self.in_flight = 0
        self.epoch = 0
        """Rises when another connection has written."""
        self._version = -1
        self._loaded = False
        self._lanes = Lanes(database, self.all_numbered, self.flush)
        self._events = Events(database)
        self._numbers: dict[str, int] = {}
        self._moved_numbers: set[str] = set()
        self._saved_counters: Row = ()
        self._pumps: set[str] | None = None
        self._delayed: bool | None = None

    def poll(self) -> int:
        """The epoch now."""
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self.drop()
            self._version = version
            self.epoch += 1
        return self.epoch

    def begin(self) -> None:
        """A transaction has begun: see whether what is cached still holds."""
        self.poll()
        if not self._loaded:
            row = self._database.execute(f"SELECT {', '.join(COUNTERS)} FROM counters").fetchone()
            self._saved_counters = tuple(row)
            self.counters = Counters(*row)
            self.in_flight = self.counters.in_flight
            self._lanes.load()
            self._loaded = True

    def flush(self) -> None:
        """Write all that moved since `begin`."""
        if not self._loaded:
            return
        self._flush_records()
        self._lanes.flush()
        self._events.flush()
        self._flush_numbers()
        self.counters.in_flight = self.in_flight
        counters = msgspec.structs.astuple(self.counters)
        if counters != self._saved_counters:
            self._database.execute(_UPDATE_COUNTERS, counters)
            self._saved_counters = counters

    def settle(self) -> None:
        """The transaction is committed."""
        self._forget_touched()
        self._moved_numbers.clear()
        self._joins.settle()
        self._evict()

    def drop(self) -> None:
        """Believe nothing that was read or changed: another connection wrote, or the transaction was undone."""
        self._loaded = False
        self._forget_records()
        self._numbers, self._moved_numbers = {}, set()
        self._lanes.drop()
        self._events.drop()
        self._pumps = None
        self._delayed = None

    @property
    def thread_count(self) -> int:
        return self.counters.threads

    def next_number(self, source: str) -> int:
        number = self._numbers.get(source)
        if number is None:
            row = self._database.execute("SELECT number FROM numbers WHERE source = ?", (source,)).fetchone()
            number = row[0] if row else 0
        self._numbers[source] = number + 1
        self._moved_numbers.add(source)
        return number + 1

    def set_cursor(self, cursor: Cursor) -> None:
        row = (cursor.name, cursor.fingerprint, cursor.offset)
        self._database.execute("INSERT OR REPLACE INTO cursors (name, fingerprint, place) VALUES (?, ?, ?)", row)

    def set_identity(self, organism: str, secret: bytes) -> None:
        """The file holds `organism` from now on."""
        self._database.execute("INSERT INTO organism VALUES (?, ?)", (organism, secret))

    def _flush_numbers(self) -> None:
        if self._moved_numbers:
            rows = [(source, self._numbers[source]) for source in self._moved_numbers]
            self._database.executemany("INSERT OR REPLACE INTO numbers VALUES (?, ?)", rows)

    def describe(self, one: StoredConversation) -> ConversationRecord:
        """The conversation as others see it; its threads as the rows have them."""
        [threads] = self._database.execute(_COUNT_THREADS, (one.n,)).fetchone()
        chain, times = self.numbered(one.n).chain, (one.started, one.ended)
        counts = one.outputs, one.delivered, threads
        return ConversationRecord(one.id, chain, one.state, one.owner, *times, *counts, one.retried_from)

    def note_end(self, conversation: Conversation) -> None:
        assert isinstance(conversation, StoredConversation)
        self.counters.finish += 1
        self.counters.running -= 1
        conversation.finish = self.counters.finish

    def note_settled(self, conversation: Conversation) -> None:
        """An index of the rows knows."""

    def forget_settled(self, threads: int) -> bool:
        self.flush()
        settled = first_settled(self._database, threads)
        self.forget(settled)
        return bool(settled)

    def forget_ended(self, before: float, most: int) -> int:
        """Forget up to `most` conversations that ended before `before`; how many."""
        self.flush()
        old = ended_before(self._database, before, most)
        self.forget(old)
        return len(old)

    def forget(self, conversations: Sequence[int]) -> None:
        """Remove the conversations of these numbers, which are over."""
        self.flush()
        for thread in forget(self._database, self.counters, conversations):
            self._touched.pop(thread, None)
            known = self._threads.pop(thread, None)
            if known is not None:
                del self._ids[known.id]
        for n in conversations:
            self._conversations.pop(n, None)
            self._talks.pop(n, None)

    def clear_slots(self) -> None:
        """Forget all slots but those of running conversations."""
        self.flush()
        clear_slots(self._database, self.counters)
        self.flush()
        self.drop()

    def remove_orphans(self, kind: Kind) -> list[Orphan]:
        """Remove some of what belongs to nothing; [] when nothing of that kind is left."""
        self.flush()
        removed = remove(self._database, self.counters, kind)
        self.flush()
        self.drop()
        return removed

    def set_aside(self, id: str, at: int, now: float) -> bool:
        """Make a dead letter of a slot that cannot be read; False if it can, or waits to be handled."""
        thread = self.thread(id)
        if thread is None or at in (thread.mailbox or ()):
            return False
        row = self._database.execute(SELECT_SLOT, (thread.n, at)).fetchone()
        if row is None or readable(row[0]) is not None:
            return False
        self.bury(damaged_letter(row[0], f"slot {at} of the thread {id}", id, now))
        self._database.execute(_REPLACE_SLOT, (tombstone(id), thread.n, at))
        [thread.slots.bytes] = self._database.execute(_BYTES, (thread.n,)).fetchone()
        self._forget_fresh()
        return True

    def set_hop_aside(self, id: str, number: int, key: str, now: float) -> bool:
        """Make a dead letter of the hop `number`, which cannot be read; False if it is not there or can be read."""
        row = self._database.execute("SELECT CAST(data AS BLOB) FROM hops WHERE n = ?", (number,)).fetchone()
        if row is None or readable_hop(row[0]) is not None:
            return False
        self.bury(damaged_letter(row[0], key, id, now))
        self._database.execute("UPDATE hops SET data = ? WHERE n = ?", (LOST_HOP, number))
        return True

    # -- what is kept under an id that no thread may have: slots and bindings

    def append(self, id: str, data: bytes) -> None:
        """Append a slot to the thread `id`, known or not."""
        thread = self.thread(id)
        if thread is not None:
            self.record(thread, data)
        else:
            outside.append_loose(self._database, self.counters, id, data)

    def clear_thread(self, id: str) -> bool:
        """Forget the slots of a thread, unless its conversation runs; whether there were any."""
        thread = self.thread(id)
        if thread is None:
            return outside.clear_loose(self._database, self.counters, id)
        slots = thread.slots
        if not slots.count or not thread.conversation.ended:
            return False
        self._database.execute("DELETE FROM slots WHERE thread = ?", (thread.n,))
        self.counters.slots -= slots.count
        self.counters.buffers -= 1
        slots.count = slots.bytes = 0
        self._forget_fresh()
        return True

    def bound_id(self, chain: str) -> str | None:
        if not self.counters.bindings:
            return None
        return outside.bound_id(self._database, chain)

    def bind(self, chain: str, uuid: str) -> None:
        """Bind two that are not bound."""
        outside.bind(self._database, self.counters, chain, uuid)

    def unbind(self, uuid: str) -> bool:
        """Undo a binding whose id no thread has."""
        return outside.unbind(self._database, self.counters, uuid)

    def unbind_all(self) -> None:
        outside.unbind_all(self._database, self.counters)

    def create_collection(self, kind: str, id: str, head: bytes, size: int) -> bool:
        return outside.create_collection(self._database, kind, id, head, size)

    def add_to_collection(self, kind: str, id: str, index: int, part: bytes) -> bool:
        return outside.add_to_collection(self._database, kind, id, index, part)

    def remove_collection(self, kind: str, id: str) -> bool:
        return outside.remove_collection(self._database, kind, id)

    # -- queues, events, joins, pumps

    def make_ready(self, thread: Thread, first: bool = False) -> None:
        assert isinstance(thread, StoredThread)
        self._lanes.add(thread, first, self.counters)

    def take_ready(self, room: Mapping[str, int], most: int) -> list[Thread]:
        taken: list[Thread] = []
        taken += self._lanes.take(room, most, self.counters)
        return taken

    def drop_ready(self, threads: Collection[Thread]) -> None:
        for thread in threads:
            assert isinstance(thread, StoredThread)
            self._lanes.remove(thread)

    def delay(self, thread: Thread) -> None:
        assert thread.due  # Its row says it.
        self._delayed = True

    def take_due(self, now: float) -> Iterable[Thread]:
        if not self._has_delayed():
            return []
        self.flush()
        rows = self._database.execute(f"{SELECT_THREAD} WHERE due > 0 AND due <= ? ORDER BY due, n", (now,))
        return [self._of_row(row) for row in rows.fetchall()]

    def _has_delayed(self) -> bool:
        if self._delayed is None:
            self._delayed = self._next_delayed() > 0.0
        return self._delayed

    def _next_delayed(self) -> float:
        self._flush_threads()
        [due] = self._database.execute("SELECT min(due) FROM threads WHERE due > 0").fetchone()
        return due or 0.0

    def younger(self, thread: Thread) -> Iterable[Thread]:
        assert isinstance(thread, StoredThread)
        self.flush()
        sql = f"{SELECT_THREAD} WHERE conversation = ? AND n > ? ORDER BY n"
        for row in self._database.execute(sql, (thread.conversation_n, thread.n)).fetchall():
            yield self._of_row(row)

    def claimed_by(self, pump: str) -> Iterable[Thread]:
        self.flush()
        rows = self._database.execute(f"{SELECT_THREAD} WHERE owner = ? AND {_RUNS} ORDER BY n", (pump,))
        return [self._of_row(row) for row in rows.fetchall()]

    def is_enrolled(self, pump: str) -> bool:
        if self._pumps is None:
            self._pumps = {id for (id,) in self._database.execute("SELECT id FROM pumps")}
        return pump in self._pumps

    def tell(self, pump: str, event: Event) -> None:
        self._events.add(pump, event)

    def take_events(self, pump: str) -> list[Event]:
        return self._events.take(pump)

    def bury(self, letter: DeadLetter) -> None:
        self.counters.buried += 1
        letter.number = self.counters.buried
        row = (letter.message, letter.fault, letter.told, letter.thread, letter.attempts, letter.at, letter.number)
        self._database.execute(_INSERT_DEAD, row)
        self.counters.dead += 1
        if self.counters.dead > MAX_DEAD_LETTERS:
            self._database.execute("DELETE FROM dead WHERE n = (SELECT min(n) FROM dead)")
            self.counters.dead -= 1

    def drop_dead_before(self, time: float) -> int:
        """Forget the dead letters given up before `time`; how many."""
        return self._count_dropped(self._database.execute("DELETE FROM dead WHERE at < ?", (time,)).rowcount)

    def drop_dead(self, numbers: Iterable[int]) -> int:
        """Forget the dead letters of these numbers; how many there were."""
        rows = [(number,) for number in numbers]
        return self._count_dropped(self._database.executemany("DELETE FROM dead WHERE n = ?", rows).rowcount)

    def _count_dropped(self, gone: int) -> int:
        self.counters.dead -= gone
        return gone

    def changed(self, thread: Thread) -> None:
        """A flush looks at every record that was read."""

    def note_result(self, join: JoinState, index: int) -> None:
        """Its results are rows of their own, written as they come."""

    def note_delivered(self, conversation: Conversation) -> None:
        """As `changed`."""

    def add_join(self, join: JoinState) -> None:
        assert isinstance(join, StoredJoin)
        join.open = True
        self._joins.open(join.n)
        self.counters.joins += 1

    def join(self, id: str) -> StoredJoin | None:
        return self._joins.named(self, id)

    def drop_join(self, join: JoinState) -> None:
        assert isinstance(join, StoredJoin)
        self.counters.joins -= self._joins.close(join.n)

    def expired_joins(self, now: float) -> Iterable[JoinState]:
        return self._joins.expired(self, now) if self.counters.joins else ()

    def next_due(self) -> float:
        expiry = self._joins.next_expiry() if self.counters.joins else 0.0
        due = self._next_delayed() if self._has_delayed() else 0.0
        self._delayed = due > 0.0
        return min(filter(None, (expiry, due)), default=0.0)

    def pumps(self) -> Iterable[PumpRecord]:
        return [pump_of(row) for row in self._database.execute(SELECT_PUMPS).fetchall()]

    def put_pump(self, pump: PumpRecord) -> None:
        self._database.execute(_PUT_PUMP, msgspec.structs.astuple(pump))
        self._pumps = None

    def drop_pump(self, id: str) -> None:
        self._events.take(id)
        self._database.execute("DELETE FROM pumps WHERE id = ?", (id,))
        self._pumps = None

    def renew(self, id: str, expires: float) -> bool:
        """Whether the pump was known, and has a longer lease now."""
        return self._database.execute("UPDATE pumps SET expires = ? WHERE id = ?", (expires, id)).rowcount == 1
