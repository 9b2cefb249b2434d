"""A state file in use: its transactions, what is read beside them, and word of what other processes commit."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xpipe.backends.arguments import is_closed
from xpipe.backends.sqlite_errors import explained
from xpipe.backends.sqlite_reading import Reading
from xpipe.backends.sqlite_schema import open_file
from xpipe.backends.sqlite_store import SQLiteStore
from xpipe.core.errors import BackendError

POLL = 0.005
"""Seconds between looks for the commits of other processes."""
RETRY = 0.001


class StateFile:
    """`busy_timeout`: seconds to wait for other processes' commits; `full`: survive a power cut without losing any."""

    def __init__(self, path: Path, busy_timeout: float, full: bool) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._full = full
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._writer: sqlite3.Connection | None = None
        self._place: tuple[int, int] | None = None
        self._patience = busy_timeout
        self._reading: Reading
        self._told: dict[str, int] = {}
        self.store: SQLiteStore

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def open(self, create: bool) -> None:
        """Open it for good, made if `create` says so. Raises BackendError."""
        with self._lock:
            self._writer, reader = open_file(self.path, create, self._busy_timeout, self._full)
            self._place = _place(self.path)
            self._closing.clear()
            self.store = SQLiteStore(self.path, self._writer)
            self._reading = Reading(self.path, reader)

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            if self._writer is not None:
                self._reading.close()
                self._writer.close()
                self._writer = None

    def check_open(self) -> sqlite3.Connection:
        """The connection of the transactions. Raises BackendError when the file is not open."""
        if self._writer is None:
            raise is_closed(str(self.path))
        return self._writer

    @property
    def reading(self) -> Reading:
        """What has been committed. Raises BackendError when the file is not open."""
        self.check_open()
        return self._reading

    @contextmanager
    def transaction(self) -> Iterator[SQLiteStore]:
        """All that is done to the store inside is committed together, or nothing of it if something is raised."""
        with self._lock:
            writer, store = self.check_open(), self.store
            self._check_place()
            try:
                self._begin(writer)
                store.begin()
                yield store
                store.flush()
                writer.execute("COMMIT")
            except BaseException as error:
                self._undo(writer)
                if isinstance(error, sqlite3.Error):
                    raise explained(self.path, error) from None
                raise
            store.settle()

    def _begin(self, writer: sqlite3.Connection) -> None:
        """SQLite's own waiting backs off for so long that processes starve; this looks again after a millisecond."""
        end = 0.0
        while True:
            try:
                writer.execute("BEGIN IMMEDIATE")
                self._patience = self._busy_timeout
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                end = end or time.monotonic() + self._patience
                if time.monotonic() > end:
                    self._patience = 0.0  # The next transaction need not wait for it as long again.
                    raise
            time.sleep(RETRY)

    def _check_place(self) -> None:
        """Others open what is at the path: what is committed to a file that is there no more is seen by nobody."""
        if _place(self.path) != self._place:
            raise BackendError(
                f"{self.path}: the state file was removed or replaced while it was in use; "
                "leave it where it is while anything runs, put it back if it was moved, and run again"
            )

    def _undo(self, writer: sqlite3.Connection) -> None:
        self.store.drop()
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # What went wrong first is what is told.

    def has_seen(self, pump: str) -> None:
        """`pump` knows of all that the transaction which is going on can see."""
        self._told[pump] = self.store.epoch

    def is_gone(self, pump: str) -> None:
        """Nobody waits for `pump` any more."""
        self._told.pop(pump, None)

    def wait(self, pump: str, seconds: float) -> bool:
        """What `SharedBackend.wait` does."""
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
            self.check_open()
            epoch = self.store.poll()
            news = self._told.get(pump, 0) != epoch
            self._told[pump] = epoch
            return news
        except sqlite3.Error as error:
            if _is_busy(error):
                return False
            raise explained(self.path, error) from None
        finally:
            self._lock.release()


def _place(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any other."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
