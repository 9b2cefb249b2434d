"""The file: how it is made and recognised, and what is said when something is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_kit import SLOTS, Driver, answered, done
from sqlite_kit import change, opened

from xpipe.backends.sqlite import SQLiteBackend
from xpipe.backends.sqlite_schema import VERSION
from xpipe.core.errors import BackendError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SQLiteBackend]:
    backend = opened(path)
    yield backend
    backend.close()


def refused(path: Path, text: str) -> None:
    """Opening `path` ends in an error that says `text` and leaves the file as it was."""
    before = path.read_bytes()
    with pytest.raises(BackendError, match=text) as error:
        opened(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_folders_are_made_and_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "state.db"
    mask = os.umask(0)
    try:
        backend = opened(path)
    finally:
        os.umask(mask)
    Driver(backend).inject("a")

    files = list(path.parent.iterdir())
    assert {one.name for one in files} == {"state.db", "state.db-wal", "state.db-shm"}
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    backend.close()
    assert list(path.parent.iterdir()) == [path]


def test_state_survives_closing(path: Path) -> None:
    backend = opened(path)
    secret, id = backend.secret(), Driver(backend).inject("a")
    backend.close()

    again = opened(path)
    assert again.secret() == secret
    drive = Driver(again)
    drive.commit(answered(drive.claim()))
    drive.advance()
    assert drive.outputs() == [b"answer"]
    assert [one.id for one in again.conversations()] == [id]
    again.close()


def test_none_attaches_to_whatever_organism_the_file_holds(backend: SQLiteBackend, path: Path) -> None:
    id = Driver(backend).inject("a")
    other = SQLiteBackend(path)

    other.open(None, SLOTS)

    assert [one.id for one in other.conversations()] == [id]
    assert other.secret() == backend.secret()
    other.close()


def test_none_makes_no_file(path: Path) -> None:
    with pytest.raises(BackendError, match="no state of an organism yet"):
        SQLiteBackend(path).open(None, SLOTS)
    assert not path.exists()


def test_the_file_of_another_organism_is_refused(backend: SQLiteBackend, path: Path) -> None:
    other = SQLiteBackend(path)
    for one in (backend, other):
        with pytest.raises(BackendError, match=r"holds system\.org, not else"):
            one.open("else", SLOTS)
    assert other.root() == "system.org"
    other.close()


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (VERSION + 1, f"a newer xpipe.*version {VERSION + 1}.*upgrade"),
        (VERSION - 1, f"an earlier xpipe.*version {VERSION - 1}.*another path"),
    ],
)
def test_a_file_of_another_version_is_refused(path: Path, version: int, text: str) -> None:
    opened(path).close()
    change(path, f"PRAGMA user_version = {version}")

    refused(path, text)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    change(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")

    refused(path, "not xpipe's")


@pytest.mark.parametrize("content", [b"backend: sqlite\n", b"\0" * 5000, b"SQLite format 3\0" + b"junk" * 2000])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    refused(path, "no state file|damaged")


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder", "folder is a folder; a state file is a regular file, so choose another path"),
        ("file/state.db", "file is a file; every parent of a state file must be a folder, so choose another path"),
        ("fifo", "fifo is a FIFO; a state file is a regular file, so choose another path"),
        ("nowhere", "nowhere is a symbolic link that leads nowhere; correct the link, or choose another path"),
        ("circle", "circle is a symbolic link that leads nowhere; correct the link, or choose another path"),
        ("/dev/null", "/dev/null is a device; a state file is a regular file, so choose another path"),
    ],
)
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str, sentence: str, create: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(BackendError) as error:
        SQLiteBackend(tmp_path / name).open("bench" if create else None, 10)

    assert str(error.value) == (sentence if name[0] == "/" else f"{tmp_path}/{sentence}")


def test_an_empty_file_becomes_one(path: Path) -> None:
    path.touch()

    opened(path).close()

    assert path.stat().st_size > 0


def test_a_file_that_lost_its_journal_mode_gets_it_back(path: Path) -> None:
    opened(path).close()
    change(path, "PRAGMA journal_mode = DELETE")

    opened(path).close()

    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_closed_backend_says_so(path: Path) -> None:
    backend = opened(path)
    backend.close()
    backend.close()

    for verb in (backend.totals, backend.secret, backend.root, backend.load, lambda: Driver(backend).inject("a")):
        with pytest.raises(BackendError, match="is closed"):
            verb()
    assert backend.ping() is False


def test_a_lock_that_is_not_given_up_is_an_error_and_changes_nothing(path: Path) -> None:
    backend = SQLiteBackend(path, busy_timeout=0.05)
    backend.open("org", SLOTS)
    drive = Driver(backend)
    drive.inject("a")
    claim = drive.claim()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(BackendError, match=r"kept it locked.*run again"):
        drive.commit(answered(claim))
    assert backend.totals().in_flight == 1  # Reading goes on.

    other.execute("ROLLBACK")
    drive.commit(answered(claim))
    assert backend.verify() == []
    other.close()
    backend.close()


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_file_that_is_taken_away_while_it_is_in_use_is_an_error(path: Path, what: str) -> None:
    backend = opened(path)
    drive = Driver(backend)
    drive.inject("a")

    path.rename(path.with_suffix(".moved"))
    if what == "replaced":
        path.touch()

    with pytest.raises(BackendError, match="the state file was removed or replaced while it was in use; leave it"):
        drive.inject("a")
    path.with_suffix(".moved").replace(path)
    drive.inject("a")
    assert backend.totals().conversations == 2
    backend.close()


def test_a_full_disk_is_an_error_and_loses_nothing(backend: SQLiteBackend) -> None:
    drive = Driver(backend)
    drive.inject("a")
    claim = drive.claim()
    step = done(claim, sends=[drive.send(claim, "b", payload=b"x" * 1_000_000)])
    writer = backend._file.check_open()
    [pages] = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(BackendError, match=r"no room.*make room"):
        drive.commit(step)
    assert backend.totals().threads == 2
    assert backend.verify() == []

    writer.execute("PRAGMA max_page_count = 1000000")
    drive.commit(step)
    assert len(drive.claim("b").message) > 1_000_000


def test_a_file_that_may_only_be_read_is_an_error(backend: SQLiteBackend) -> None:
    backend._file.check_open().execute("PRAGMA query_only = ON")

    with pytest.raises(BackendError, match="cannot be written to"):
        Driver(backend).inject("a")

    backend._file.check_open().execute("PRAGMA query_only = OFF")
    Driver(backend).inject("a")


def test_an_error_inside_a_commit_undoes_all_of_it(backend: SQLiteBackend) -> None:
    drive = Driver(backend)
    drive.inject_many(2)
    good, bad = drive.advance().claims
    broken = done(bad, sends=[drive.send(bad, "b")])
    broken.sends[0].message = None  # type: ignore[assignment]

    with pytest.raises(TypeError):
        drive.advance(answered(good), broken)

    assert backend.verify() == []
    drive.commit(answered(good), done(bad))


def test_pages_that_are_damaged_are_told_of(path: Path) -> None:
    backend = opened(path)
    Driver(backend).inject_many(300)
    backend.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(path.stat().st_size // 3))

    backend = opened(path)
    assert any("damaged" in problem for problem in backend.verify())
    with pytest.raises(BackendError, match="damaged"):
        read_all(backend)
    backend.close()


def read_all(backend: SQLiteBackend) -> None:
    for thread in backend.threads():
        backend.buffer_get_thread(thread.thread)


def test_tables_that_are_missing_are_told_of(path: Path) -> None:
    opened(path).close()
    change(path, "DROP TABLE threads")

    backend = opened(path)
    with pytest.raises(BackendError, match=r"damaged.*threads"):
        list(backend.threads())
    with pytest.raises(BackendError, match="damaged"):
        Driver(backend).inject("a")
    backend.close()


@pytest.mark.parametrize("column", ["mailbox", "open"])
def test_a_damaged_record_is_named(backend: SQLiteBackend, path: Path, column: str) -> None:
    drive = Driver(backend)
    drive.inject("a")
    [_, thread] = backend.threads()
    change(path, f"UPDATE progress SET {column} = X'C1' WHERE n = (SELECT n FROM threads WHERE id = '{thread.thread}')")

    with pytest.raises(BackendError, match=f"table threads .* {thread.thread}"):
        drive.advance()
    assert any(thread.thread in problem for problem in backend.verify())
    assert [(thread.thread in one.key, one.set_aside) for one in backend.damages(set_aside=True)] == [(True, False)]
    assert len(list(backend.threads())) == 2


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE counters SET in_flight = 7", "in_flight says 7"),
        ("UPDATE counters SET slots = 7", "slots says 7, and there are 2"),
        ("DELETE FROM slots", "says it has 1 slots, and there are 0"),
        ("INSERT INTO slots VALUES (999, 0, X'00')", "1 slots belong to no thread"),
        ("UPDATE progress SET pending = 5 WHERE n IN (SELECT n FROM conversations)", "counts 5 pending"),
        ("DELETE FROM queue", "neither ready nor delayed nor claimed"),
        ("UPDATE lanes SET ready = 5", "queue of a has 2 messages, and says it has 5"),
        ("DELETE FROM conversations", "belongs to no conversation"),
        ("UPDATE conversations SET finish = 1", "messages of it are in flight"),
        ("DELETE FROM threads WHERE parent IS NULL", "no parent"),
        ("DELETE FROM progress", "has lost its progress"),
        ("INSERT INTO results VALUES (9, 0, X'00')", "1 results belong to no join"),
        (
            "INSERT INTO events VALUES (9, 'gone', '', 'ended', X'', '', X'')",
            "1 events are for pumps that are not known",
        ),
        ("UPDATE conversations SET delivered = 3", "has 0 outputs, and 3 of them are delivered"),
    ],
)
def test_tables_that_contradict_each_other_are_told_of(
    backend: SQLiteBackend, path: Path, statement: str, problem: str
) -> None:
    Driver(backend).inject_many(2)
    assert backend.verify() == []

    change(path, statement)

    assert any(problem in one for one in backend.verify())
