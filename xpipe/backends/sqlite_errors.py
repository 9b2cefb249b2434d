"""What goes wrong with a state file, said in one sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from xpipe.core.errors import BackendError

_LOST_NOTHING = "what was committed before is safe"
_SENTENCES = {
    sqlite3.SQLITE_BUSY: "other processes have kept it locked for too long; look for one that hangs, then run again",
    sqlite3.SQLITE_LOCKED: "other processes have kept it locked for too long; look for one that hangs, then run again",
    sqlite3.SQLITE_FULL: f"there is no room to write to it; make room on that disk and run again, {_LOST_NOTHING}",
    sqlite3.SQLITE_READONLY: "it cannot be written to, which even reading takes with a write-ahead log; give this user "
    "write access to the file and its folder",
    sqlite3.SQLITE_PERM: "access is denied; give this user read and write access to the file and its folder",
    sqlite3.SQLITE_AUTH: "access is denied; give this user read and write access to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; make sure that this user may read and write it and its folder",
    sqlite3.SQLITE_NOTADB: "it is no state file of xpipe; move it away or choose another path",
}


def explained(path: Path, error: Exception) -> BackendError:
    """`error`, which SQLite raised at work on the file `path`, as an error that says what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR:
        return BackendError(f"{path}: the disk failed ({error}); check it and run again, {_LOST_NOTHING}")
    sentence = _SENTENCES.get(code)
    if sentence is not None:
        return BackendError(f"{path}: {sentence}")
    return BackendError(f"{path}: the file is damaged ({error}); restore a copy of it, or move it away to start anew")


def damaged(path: Path, table: str, key: str) -> BackendError:
    """The bytes stored in `table` under `key` are not what xpipe writes there."""
    return BackendError(
        f"{path}: the table {table} holds damaged data, or data of another version, at {key}; "
        "`xpipe gc --verify` lists all such places"
    )
