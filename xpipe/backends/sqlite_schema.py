"""The tables of a state file, and how one is opened, made and recognised."""

from __future__ import annotations

import errno
import fcntl
import operator
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from xpipe.backends.sqlite_errors import explained
from xpipe.core.errors import BackendError, EmptyBackendError
from xpipe.core.messages import readable

APPLICATION_ID = 0x78706970
VERSION = 5
POLL = 0.005

# The sqlite3 module looks for an adapter of each bytes, bool and None that it binds, and is slow to find none. These
# are the fastest that there are.
sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(bool, operator.index)
sqlite3.register_adapter(type(None), {None: None}.get)

# Threads go by number inside the file: small keys, in the order of creation. A conversation has the number of its
# initiator; `joined` is the join that the thread waits for or had. What every hop changes of a thread is a row of its
# own, which is short and in no index. Rows are appended to the tables, so that a commit writes few pages.
_TABLES = """
CREATE TABLE organism (name TEXT NOT NULL, secret BLOB NOT NULL);
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    threads INTEGER, conversations INTEGER, running INTEGER, in_flight INTEGER, slots INTEGER, buffers INTEGER,
    joins INTEGER, dead INTEGER, bindings INTEGER, loose INTEGER,
    number INTEGER, tail INTEGER, head INTEGER, turn INTEGER, finish INTEGER, buried INTEGER
);
INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE conversations (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    started REAL NOT NULL,
    owner TEXT NOT NULL, ended REAL NOT NULL, outputs INTEGER NOT NULL, delivered INTEGER NOT NULL,
    verdict INTEGER NOT NULL, finish INTEGER, retried_from TEXT NOT NULL
);
CREATE INDEX conversations_finish ON conversations (finish) WHERE finish IS NOT NULL;
CREATE INDEX conversations_unsettled ON conversations (n) WHERE finish IS NULL OR delivered < outputs;
CREATE INDEX conversations_settled ON conversations (finish) WHERE finish IS NOT NULL AND delivered >= outputs;
CREATE TABLE threads (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL,
    parent INTEGER,
    chain TEXT NOT NULL, listener TEXT NOT NULL, caller TEXT NOT NULL, place INTEGER NOT NULL,
    attempt INTEGER NOT NULL, deliveries INTEGER NOT NULL, failed INTEGER NOT NULL, no_answer INTEGER NOT NULL,
    state BLOB NOT NULL, joined INTEGER, due REAL NOT NULL
);
CREATE INDEX threads_conversation ON threads (conversation);
CREATE INDEX threads_due ON threads (due) WHERE due > 0;
CREATE TABLE progress (
    n INTEGER PRIMARY KEY,
    call TEXT NOT NULL, fence INTEGER NOT NULL, mailbox BLOB, open BLOB, owner TEXT NOT NULL,
    pending INTEGER NOT NULL, slots INTEGER NOT NULL, bytes INTEGER NOT NULL, touched REAL NOT NULL
);
CREATE VIEW records AS SELECT * FROM threads JOIN progress USING (n);
CREATE TABLE slots (thread INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL);
CREATE UNIQUE INDEX slots_thread ON slots (thread, at);
CREATE TABLE hops (n INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX hops_conversation ON hops (conversation);
CREATE TABLE loose (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, slots INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE bindings (n INTEGER PRIMARY KEY, chain TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL UNIQUE);
CREATE TABLE lanes (listener TEXT PRIMARY KEY, turn INTEGER NOT NULL, ready INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queue (listener TEXT, place INTEGER, thread INTEGER NOT NULL, PRIMARY KEY (listener, place)) WITHOUT ROWID;
CREATE TABLE numbers (source TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE joins (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    thread INTEGER,
    total INTEGER NOT NULL, missing INTEGER NOT NULL, joined BLOB NOT NULL, collect INTEGER NOT NULL,
    expires REAL NOT NULL, open INTEGER NOT NULL,
    more BLOB NOT NULL, low INTEGER NOT NULL, enough INTEGER NOT NULL, spare INTEGER NOT NULL,
    faults INTEGER NOT NULL, feeding INTEGER NOT NULL, more_at INTEGER NOT NULL
);
CREATE INDEX joins_open ON joins (id) WHERE open = 1;
CREATE INDEX joins_waiting ON joins (n) WHERE open = 1;
CREATE INDEX joins_expires ON joins (expires) WHERE open = 1 AND expires > 0;
CREATE TABLE results (joined INTEGER, at INTEGER, data BLOB NOT NULL, PRIMARY KEY (joined, at)) WITHOUT ROWID;
CREATE TABLE events (
    n INTEGER PRIMARY KEY, pump TEXT NOT NULL,
    conversation TEXT NOT NULL, kind TEXT NOT NULL, message BLOB NOT NULL, state TEXT NOT NULL, cause BLOB NOT NULL
);
CREATE INDEX events_pump ON events (pump);
CREATE TABLE dead (
    n INTEGER PRIMARY KEY, message BLOB NOT NULL, fault BLOB NOT NULL, told INTEGER NOT NULL,
    thread TEXT NOT NULL, attempts INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX dead_at ON dead (at);
CREATE TABLE pumps (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL, expires REAL NOT NULL,
    serves INTEGER NOT NULL
);
"""


_COLLECTIONS = """
CREATE TABLE IF NOT EXISTS collections (
    n INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, head BLOB NOT NULL, size INTEGER NOT NULL,
    UNIQUE (id, kind)
);
CREATE INDEX IF NOT EXISTS collections_kind ON collections (kind);
CREATE TABLE IF NOT EXISTS collection_parts (
    collection INTEGER, at INTEGER, data BLOB NOT NULL, PRIMARY KEY (collection, at)
) WITHOUT ROWID;
"""
"""Beside the others, and added to files that were made before: an xpipe that does not know them leaves them alone."""


def open_file(path: Path, create: bool, timeout: float, full: bool) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection that writes and one that reads, to the state file `path`, which is made if `create` says so."""
    try:
        _check_kind(path)
        if not _is_prepared(path, timeout):
            if not create:
                raise EmptyBackendError(
                    f"{path}: there is no state of an organism yet; run one with this backend first"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path, timeout):
                if not _is_prepared(path, timeout):
                    _prepare(path, timeout)
        return _connect_writer(path, timeout, full), _connect_reader(path, timeout)
    except (sqlite3.Error, OSError) as error:
        raise _explained(path, error) from None


def _check_kind(path: Path) -> None:
    """Check that `path` is a regular file or does not exist. Raises BackendError."""
    if path.is_symlink() and not path.exists():
        raise BackendError(f"{path} is a symbolic link that leads nowhere; correct the link, or choose another path")
    for one in (path, *path.parents):
        try:
            mode = one.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISREG(mode) if one is path else stat.S_ISDIR(mode):
            return
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        wanted = "a state file is a regular file" if one is path else "every parent of a state file must be a folder"
        raise BackendError(f"{one} is {kinds.get(stat.S_IFMT(mode), 'a device')}; {wanted}, so choose another path")


def _explained(path: Path, error: Exception) -> BackendError:
    if isinstance(error, sqlite3.Error):
        return explained(path, error)
    return BackendError(f"{path}: it cannot be opened or made ({error}); choose another path or make this one usable")


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=256)


def _connect_writer(path: Path, timeout: float, full: bool) -> sqlite3.Connection:
    connection = _connect(path, timeout)
    connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB: a page is often written again before.
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA secure_delete = FAST")  # Some builds write zeros over all that is deleted.
    for statement in _COLLECTIONS.split(";\n"):
        connection.execute(statement)
    connection.execute("PRAGMA busy_timeout = 0")  # Who begins a transaction waits in a way of its own.
    return connection


def _connect_reader(path: Path, timeout: float) -> sqlite3.Connection:
    connection = _connect(path, timeout)
    connection.execute("PRAGMA query_only = ON")
    connection.create_function("damaged", 1, lambda data: readable(data) is None, deterministic=True)
    return connection


def _is_prepared(path: Path, timeout: float) -> bool:
    """Whether `path` is a state file of this version in WAL mode; False when it is empty or not there.

    Raises BackendError for any other file.
    """
    if not path.exists() or path.stat().st_size == 0:
        return False
    with closing(_connect(path, timeout)) as connection:
        connection.execute("BEGIN")  # One look: another process may be about to make the tables.
        mark, version, tables = (
            connection.execute(sql).fetchone()[0]
            for sql in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        )
        connection.execute("COMMIT")
        if mark == APPLICATION_ID and version != VERSION:
            raise _of_another_version(path, version)
        if mark != APPLICATION_ID and (mark or version or tables):
            raise BackendError(f"{path}: this database is not xpipe's; choose another path for the state")
        journal: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        return mark == APPLICATION_ID and journal == "wal"


def _of_another_version(path: Path, version: int) -> BackendError:
    age, remedy = ("a newer", "upgrade xpipe") if version > VERSION else ("an earlier", "finish its work with that one")
    return BackendError(
        f"{path}: it was written by {age} xpipe (state version {version}, this one knows {VERSION}); "
        f"{remedy} or choose another path"
    )


def _prepare(path: Path, timeout: float) -> None:
    """Make the file for its owner alone, as it holds the secret; tables and version in one transaction."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(_connect(path, timeout)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")


@contextmanager
def _alone(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock on the folder of `path`: one on the file itself would undo SQLite's own locks when it is closed."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        _lock(folder, path, timeout)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() > end:
            raise BackendError(f"{path}: another program keeps the folder locked; end it or choose another folder")
        time.sleep(POLL)
