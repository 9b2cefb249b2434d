"""What is looked for in a state file is found by an index, a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from contract_kit import PUMP, Driver, answered
from sqlite_kit import opened

from xpipe.backends.sqlite import SQLiteBackend
from xpipe.backends.sqlite_reading import PAGE


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SQLiteBackend]:
    backend = opened(tmp_path / "state.db")
    yield backend
    backend.close()


def test_the_beginning_of_a_listing_reads_no_more_than_a_page(backend: SQLiteBackend) -> None:
    Driver(backend).inject_many(5 * PAGE)
    reads: list[str] = []
    read = backend._file.reading.read

    def counted(sql: str, *arguments: object) -> list[tuple[object, ...]]:
        rows = read(sql, *arguments)
        reads.append(sql)
        assert len(rows) <= PAGE
        return rows

    backend._file.reading.read = counted  # type: ignore[method-assign]
    for listing in (
        backend.conversations(),
        backend.conversations(running=True),
        backend.conversations(owner=PUMP),
        backend.registry_entries(),
        backend.buffer_iter_threads(),
    ):
        reads.clear()
        assert len(list(islice(listing, 50))) == 50
        assert len(reads) <= 2
    assert len(list(backend.threads())) == 10 * PAGE


def test_no_listing_sorts_or_scans(backend: SQLiteBackend) -> None:
    statements: list[str] = []
    assert backend._file.reading._database is not None
    backend._file.reading._database.set_trace_callback(statements.append)
    id = Driver(backend).inject("a")
    for listing in (
        backend.threads(),
        backend.threads(newest=True),
        backend.threads(id),
        backend.threads(id, newest=True),
        backend.find_threads(id[:4], 9),
        backend.registry_entries(),
        backend.conversations(),
        backend.conversations(running=True),
        backend.conversations(owner=PUMP),
        backend.conversations(running=True, owner=PUMP),
        backend.joins(),
        backend.buffer_iter_threads(),
        backend.collection_ids("buffer"),
        backend.dead_letters(),
    ):
        list(listing)
    backend._file.reading._database.set_trace_callback(None)

    for statement in statements:
        for *_, plan in backend._file.check_open().execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert "TEMP B-TREE" not in plan
            assert not plan.startswith("SCAN"), statement


def plan_of(database: sqlite3.Connection, statement: str) -> list[str]:
    return [plan for *_, plan in database.execute(f"EXPLAIN QUERY PLAN {statement}")]


@pytest.mark.parametrize(
    ("verb", "arguments", "index"),
    [("make_room", (), "conversations_settled"), ("forget_ended", (2_000.0, 1), "conversations_finish")],
)
def test_what_is_to_be_forgotten_is_found_by_an_index(
    tmp_path: Path, verb: str, arguments: tuple[float, ...], index: str
) -> None:
    backend = SQLiteBackend(tmp_path / "small.db", max_threads=2)
    backend.open("org", 50)
    drive = Driver(backend)
    id = drive.inject("a")
    drive.commit(answered(drive.claim()))
    backend.delivered({id: 1})
    statements: list[str] = []
    database = backend._file.check_open()
    database.set_trace_callback(statements.append)

    assert getattr(backend, verb)(*arguments)

    database.set_trace_callback(None)
    assert list(backend.conversations()) == []
    [search] = [one for one in statements if one.startswith("SELECT n") and "ORDER BY finish" in one]
    first, *counting = plan_of(database, search)
    assert index in first
    assert all("threads_conversation" in plan for plan in counting if "SUBQUERY" not in plan)
    backend.close()
