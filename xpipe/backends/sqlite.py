"""The SQLite backend: one file, durable, several processes, no server."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xpipe.backends.ledger import Ledger
from xpipe.backends.sqlite_errors import closed, explained
from xpipe.backends.sqlite_reading import Reading
from xpipe.backends.sqlite_schema import open_file
from xpipe.backends.sqlite_store import SQLiteStore
from xpipe.backends.sqlite_verify import problems
from xpipe.core import chains
from xpipe.core.errors import BackendError, LimitError
from xpipe.core.messages import ConversationRecord, DeadLetter, Injection, Join, PumpRecord, Step
from xpipe.ports import Advanced, BackendTotals, Capabilities, JoinRecord, ThreadRecord

CAPABILITIES = Capabilities(cross_process=True, persistent=True, cross_host=False, expiry=False, blocking=True)
POLL = 0.005
"""Seconds between looks for the commits of other processes."""
RETRY = 0.001


class SQLiteBackend:
    """`busy_timeout`: seconds to wait for other processes' commits; `full`: survive a power cut without losing any."""

    capabilities = CAPABILITIES

    def __init__(
        self, path: str | Path, max_threads: int = 100_000, busy_timeout: float = 30.0, full: bool = False
    ) -> None:
        self._path = Path(path).absolute()
        self._max_threads = max_threads
        self._busy_timeout = busy_timeout
        self._full = full
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._writer: sqlite3.Connection | None = None
        self._told: dict[str, int] = {}
        self._store: SQLiteStore
        self._reading: Reading
        self._ledger: Ledger

    # -- opening, transactions

    def open(self, organism: str | None, slots_per_thread: int) -> None:
        with self._lock:
            if self._writer is not None:
                self._check(organism, self._ledger.root)
                return
            self._writer, reader = open_file(self._path, organism is not None, self._busy_timeout, self._full)
            self._closing.clear()
            self._store = SQLiteStore(self._path, self._writer)
            self._reading = Reading(self._path, reader)
            try:
                name, secret = self._identity(organism)
            except BaseException:
                self.close()
                raise
            self._ledger = Ledger(self._store, name, secret, slots_per_thread, self._max_threads)

    def _identity(self, organism: str | None) -> tuple[str, bytes]:
        """Name and secret of the organism that the file holds; the first one to come sets both."""
        found = self._reading.read("SELECT name, secret FROM organism")
        if not found:
            if organism is None:
                raise BackendError(f"{self._path}: it holds no organism yet; run one with this backend first")
            with self._transaction():
                found = self._reading.read("SELECT name, secret FROM organism")
                if not found:
                    found = [(organism, secrets.token_bytes(32))]
                    self._execute("INSERT INTO organism VALUES (?, ?)", *found[0])
        [(name, secret)] = found
        self._check(organism, chains.root(name))
        return name, secret

    def _check(self, organism: str | None, root: str) -> None:
        if organism is not None and chains.root(organism) != root:
            raise BackendError(f"{self._path}: this file holds {root}, not {organism}; give each organism its own")

    @contextmanager
    def _transaction(self) -> Iterator[SQLiteStore]:
        """All that is done to the store inside is committed together, or nothing of it if something is raised."""
        with self._lock:
            writer = self._open_writer()
            store = self._store
            try:
                self._begin(writer)
                store.begin()
                yield store
                store.flush()
                writer.execute("COMMIT")
            except BaseException as error:
                self._undo(writer)
                if isinstance(error, sqlite3.Error):
                    raise explained(self._path, error) from None
                raise
            store.settle()

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            raise closed(self._path)
        return self._writer

    def _begin(self, writer: sqlite3.Connection) -> None:
        """SQLite's own waiting backs off for so long that processes starve; this looks again after a millisecond."""
        end = 0.0
        while True:
            try:
                writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                end = end or time.monotonic() + self._busy_timeout
                if time.monotonic() > end:
                    raise
            time.sleep(RETRY)

    def _undo(self, writer: sqlite3.Connection) -> None:
        self._store.drop()
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # What went wrong first is what is told.

    def _execute(self, sql: str, *arguments: Any) -> int:
        return self._open_writer().execute(sql, arguments).rowcount

    @property
    def _read(self) -> Reading:
        self._open_writer()
        return self._reading

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            if self._writer is not None:
                self._reading.close()
                self._writer.close()
                self._writer = None

    # -- the work of a pump

    def secret(self) -> bytes:
        self._open_writer()
        return self._ledger.secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        with self._transaction() as store:
            advanced = self._ledger.exchange(pump, finished, room, most, now)
            self._told[pump] = store.epoch
        return advanced

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        with self._transaction():
            return [self._ledger.inject(pump, message, now) for message in messages]

    def in_flight(self) -> int:
        return self._read.in_flight()

    def wait(self, pump: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._news(pump):
            rest = end - time.monotonic()
            if rest <= 0 or self._closing.wait(min(POLL, rest)):
                return False
        return True

    def _news(self, pump: str) -> bool:
        """Whether others have committed since `pump` advanced, or was told of it."""
        if not self._lock.acquire(blocking=False):
            return False  # This process is at work itself and will see it.
        try:
            self._open_writer()
            epoch = self._store.poll()
            news = self._told.get(pump, 0) != epoch
            self._told[pump] = epoch
            return news
        except sqlite3.Error as error:
            if _is_busy(error):
                return False
            raise explained(self._path, error) from None
        finally:
            self._lock.release()

    def enroll(self, pump: PumpRecord) -> None:
        with self._transaction() as store:
            store.put_pump(pump)

    def retire(self, pump: str) -> None:
        self._release(pump, lost=False)

    def bury_pump(self, pump: str) -> int:
        return self._release(pump, lost=True)

    def _release(self, pump: str, lost: bool) -> int:
        with self._transaction() as store:
            released = self._ledger.release(pump, lost)
            store.drop_pump(pump)
            self._told.pop(pump, None)
            return released

    def renew(self, pump: str, expires: float) -> bool:
        with self._transaction():
            return self._execute("UPDATE pumps SET expires = ? WHERE id = ?", expires, pump) == 1

    def pumps(self) -> list[PumpRecord]:
        return self._read.pumps()

    # -- slots

    def buffer_append(self, thread: str, slot: bytes) -> int:
        with self._transaction() as store:
            length = self._read.thread_len(thread)
            if length >= self._ledger.slots_per_thread:
                raise LimitError(f"the thread {thread} is full ({length} slots); raise limits.slots_per_thread")
            store.append(thread, slot)
            return length

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        return self._read.slots(thread, start, stop)

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        return self._read.slot(thread, index)

    def buffer_thread_len(self, thread: str) -> int:
        return self._read.thread_len(thread)

    def buffer_thread_exists(self, thread: str) -> bool:
        return self.buffer_thread_len(thread) > 0

    def buffer_delete_thread(self, thread: str) -> bool:
        with self._transaction() as store:
            return store.clear_thread(thread)

    def buffer_list_threads(self) -> Iterator[str]:
        return self._read.threads_with_slots()

    def buffer_clear(self) -> None:
        with self._transaction() as store:
            store.clear_slots()

    # -- joins

    def join_results(self, thread: str) -> list[bytes | None]:
        return self._read.results_of(thread)

    def joins(self) -> Iterator[tuple[str, int, int]]:
        return self._read.joins()

    def join_create(self, id: str, total: int) -> bool:
        with self._transaction() as store:
            if store.join(id) is not None:
                return False
            store.keep_join(Join(id, total, b""), None, opened=True)
            return True

    def join_get(self, id: str) -> JoinRecord | None:
        return self._read.join(id)

    def join_record(self, id: str, index: int, result: bytes) -> bool:
        with self._transaction() as store:
            join = store.join(id)
            return join is not None and join.thread_n is None and join.record(index, result)

    def join_remove(self, id: str) -> bool:
        with self._transaction() as store:
            join = store.join(id)
            if join is None or join.thread_n is not None:
                return False
            store.remove_join(join.n)
            return True

    # -- the registry

    def registry_set(self, chain: str, uuid: str) -> str:
        bound = self.registry_get_uuid(chain)
        if bound is not None:
            return bound
        with self._transaction() as store:
            bound = self.registry_get_uuid(chain)
            if bound is not None:
                return bound
            other = self.registry_get_chain(uuid)
            if other is not None:
                raise LimitError(f"the id {uuid} is bound to the chain {other} already; take another id")
            store.bind(chain, uuid)
            return uuid

    def registry_get_uuid(self, chain: str) -> str | None:
        read, ledger = self._read, self._ledger
        if chain == ledger.root:
            return ledger.root_id
        return read.uuid_of(chain, lambda chain: chains.thread_id(ledger.secret, chain))

    def registry_get_chain(self, uuid: str) -> str | None:
        read = self._read
        return self._ledger.root if uuid == self._ledger.root_id else read.chain_of(uuid)

    def registry_delete(self, uuid: str) -> bool:
        with self._transaction() as store:
            return store.unbind(uuid)

    def registry_clear(self) -> None:
        with self._transaction() as store:
            store.unbind_all()

    def registry_list_all(self) -> Iterator[tuple[str, str]]:
        read = self._read
        yield self._ledger.root_id, self._ledger.root
        yield from read.entries()

    # -- conversations, and what is seen from outside

    def threads(self, conversation: str | None = None) -> Iterator[ThreadRecord]:
        return self._read.threads(conversation)

    def conversations(self, running: bool = False) -> Iterator[ConversationRecord]:
        return self._read.conversations(running)

    def adopt(self, pump: str, conversation: str) -> bool:
        with self._transaction() as store:
            found = store.conversation(conversation)
            if found is None or found.ended:
                return False
            found.owner = pump
            return True

    def delivered(self, conversation: str, outputs: int) -> None:
        with self._transaction() as store:
            found = store.conversation(conversation)
            if found is not None:
                found.delivered = max(found.delivered, outputs)

    def forget(self, conversation: str) -> bool:
        with self._transaction() as store:
            found = store.conversation(conversation)
            if found is None or not found.ended:
                return False
            store.forget(found.n)
            return True

    def dead_letters(self) -> Iterator[DeadLetter]:
        return self._read.dead_letters()

    def totals(self) -> BackendTotals:
        return self._read.totals()

    def info(self) -> dict[str, Any]:
        threads, entries = self._read.counts()
        counts = {"buffer_threads": threads, "registry_entries": entries, "ttl_seconds": 0}
        return {"type": "sqlite", "place": str(self._path), **counts, **asdict(self.totals())}

    def verify(self) -> list[str]:
        """What is wrong with the file, a sentence each; [] when it is whole."""
        with self._transaction():  # Nobody commits meanwhile.
            return list(problems(self._path, self._read.read))

    def ping(self) -> bool:
        try:
            return bool(self._read.read("SELECT 1 FROM organism"))
        except BackendError:
            return False


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
