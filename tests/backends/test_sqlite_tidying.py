"""What does not belong in a state file is told of, and taken out without harm to the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_kit import Driver, answered, done
from sqlite_kit import change, finish, opened

from xpipe.backends.sqlite import SQLiteBackend
from xpipe.backends.sqlite_reading import PAGE
from xpipe.core.messages import readable
from xpipe.ports import Collection

OTHER_VERSION = "9bA1 78A1 72A1 63A1 61A1 62A1 54C4 00A1 63 01 01 02".replace(" ", "")
JOIN = "INSERT INTO joins VALUES (77, 'j', 99, 2, 1, X'00', 1, 0, {open}, X'', 0, 0, -1, 0, 0, -1)"
RESULT = "INSERT INTO results VALUES (77, 0, X'00')"
EVENT = "INSERT INTO events VALUES (7, 'gone', '', 'ended', X'', '', X'')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SQLiteBackend]:
    backend = opened(path)
    yield backend
    backend.close()


def half_done(drive: Driver) -> None:
    """A Buffer that has one of its two results."""
    drive.inject("buffer")
    claim = drive.claim("buffer")
    sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(2)]
    drive.commit(done(claim, join=drive.join(claim, 2), sends=sends))
    drive.commit(answered(drive.claim("b")))


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["INSERT INTO slots VALUES (999, 0, X'00'), (999, 1, X''), (1000, 0, X'')"], ["slots 999", "slots 1000"]),
        ([RESULT], ["results 77"]),
        ([JOIN.format(open=1), RESULT], ["join j"]),
        ([JOIN.format(open=0)], ["join j"]),
        ([EVENT], ["event 7"]),
        ([EVENT, RESULT], ["results 77", "event 7"]),
    ],
)
def test_what_belongs_to_nothing_is_told_of_and_removed(
    backend: SQLiteBackend, path: Path, statements: list[str], found: list[str]
) -> None:
    drive = Driver(backend)
    half_done(drive)
    change(path, *statements)

    for remove in (False, True):
        assert [f"{one.kind} {one.id}" for one in backend.orphans(remove)] == found

    assert list(backend.orphans()) == []
    assert backend.verify() == []
    assert [one.state for one in finish(backend)] == ["done"]


def test_the_slots_results_and_joins_of_a_thread_that_is_gone_are_removed(backend: SQLiteBackend, path: Path) -> None:
    half_done(Driver(backend))
    threads = {one.thread for one in backend.threads()}
    change(path, *(f"DELETE FROM {name}" for name in ("threads", "progress", "conversations", "lanes", "queue")))
    change(path, "UPDATE counters SET in_flight = 0")

    kinds = [one.kind for one in backend.orphans(remove=True)]

    assert sorted(kinds) == ["join", *["slots"] * (len(threads) - 1)]  # The initiator has none.
    assert backend.verify() == []
    assert backend.totals().slots == backend.totals().joins == 0


def test_more_than_a_page_of_what_belongs_to_nothing_is_removed(backend: SQLiteBackend, path: Path) -> None:
    numbers = ", ".join(f"({number}, 0, X'00')" for number in range(1_000, 1_001 + 2 * PAGE))
    change(path, f"INSERT INTO slots VALUES {numbers}")

    assert len(list(backend.orphans())) == 2 * PAGE + 1
    assert len(list(backend.orphans(remove=True))) == 2 * PAGE + 1
    assert backend.verify() == []


def test_what_was_made_from_outside_belongs_to_itself(backend: SQLiteBackend) -> None:
    backend.registry_set("system.org.outside", "outside")
    backend.buffer_append("loose", b"slot")
    backend.collection_create("buffer", "mine", b"head", 2)
    backend.collection_add("buffer", "mine", 0, b"result")

    assert list(backend.orphans(remove=True)) == []
    assert backend.collection_get("buffer", "mine") == Collection(b"head", {0: b"result"})
    assert backend.buffer_get_thread("loose") == [b"slot"]


@pytest.mark.parametrize("data", ["X'C1C1'", "X''", "7", "'text'", f"X'{OTHER_VERSION}'"])
def test_a_damaged_message_is_named_and_spoils_no_other(backend: SQLiteBackend, path: Path, data: str) -> None:
    drive = Driver(backend)
    spoilt, _ = drive.inject_many(2)
    [_, thread] = backend.threads(spoilt)
    change(path, f"UPDATE slots SET data = {data} WHERE thread = (SELECT n FROM threads WHERE id = '{thread.thread}')")

    [problem] = [one for one in backend.verify() if "damaged data" in one]
    assert "slots" in problem
    assert thread.thread in problem
    assert len(list(backend.threads())) == 4
    assert list(backend.damages(set_aside=True)) == []  # It waits for a pump.
    broken, whole = drive.advance().claims
    assert isinstance(broken.message, bytes)
    assert readable(broken.message) is None
    drive.commit(answered(whole))


@pytest.mark.parametrize("data", ["X'C1C1'", "X''", "7"])
def test_a_file_is_whole_when_its_damages_are_set_aside(backend: SQLiteBackend, path: Path, data: str) -> None:
    drive = Driver(backend)
    drive.inject("a")
    drive.commit(answered(drive.claim()))
    change(path, f"UPDATE slots SET data = {data}")

    assert [one.set_aside for one in backend.damages()] == [False, False]
    assert [one.set_aside for one in backend.damages(set_aside=True)] == [True, True]

    assert list(backend.damages()) == []
    assert backend.verify() == []
    assert len(list(backend.dead_letters())) == 2


def test_a_join_after_a_forgotten_one_starts_afresh(backend: SQLiteBackend) -> None:
    drive = Driver(backend)
    collected = []
    for _ in range(3):
        half_done(drive)
        drive.commit(answered(drive.claim("b")))
        claim = drive.claim("buffer")
        collected.append([result is not None for result in backend.join_results(claim.thread)])
        drive.commit(answered(claim))
        assert backend.forget_ended(drive.now + 1, 10) == 1

    assert collected == [[True, True]] * 3
    assert backend.verify() == []
