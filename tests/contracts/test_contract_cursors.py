"""How far a source has been read: kept by the commit that injects what was read (K6 and K7 of docs/semantics.md)."""

from __future__ import annotations

from threading import Thread

import pytest
from contract_kit import PUMP, Driver

from xpipe.core.messages import Cursor, Injection
from xpipe.ports import SharedBackend

MESSAGE = Injection("in", ["a"], "Ping", b"in")


def test_a_source_that_was_never_read_has_no_cursor(drive: Driver) -> None:
    drive.inject("a")

    assert drive.backend.cursor("in") is drive.backend.cursor("") is None


def test_K6_a_cursor_is_kept_with_the_injection_and_replaced_by_the_next(drive: Driver) -> None:
    first, second = Cursor("/data/a b.jsonl", "f1", 3), Cursor("/data/a b.jsonl", "f2", 2**40)
    drive.backend.inject(PUMP, [MESSAGE] * 3, drive.now, first)
    assert drive.backend.cursor(first.name) == first

    drive.backend.inject("", [MESSAGE], drive.now, second, first)

    assert drive.backend.cursor(first.name) == second


@pytest.mark.parametrize("seen", [None, Cursor("in", "f1", 2), Cursor("in", "f2", 3)])
def test_K7_a_reader_with_an_outdated_cursor_injects_nothing(drive: Driver, seen: Cursor | None) -> None:
    winner = Cursor("in", "f1", 3)
    drive.backend.inject(PUMP, [MESSAGE] * 3, drive.now, winner)
    before = drive.backend.totals()

    assert drive.backend.inject("", [MESSAGE], drive.now, Cursor("in", "f3", 4), seen) == []

    assert (drive.backend.cursor("in"), drive.backend.totals()) == (winner, before)


def test_K7_a_cursor_that_is_not_there_is_not_the_one_that_was_read(drive: Driver) -> None:
    assert drive.backend.inject(PUMP, [MESSAGE], drive.now, Cursor("in", "f", 2), Cursor("in", "f", 1)) == []

    assert (drive.backend.cursor("in"), drive.backend.totals().conversations) == (None, 0)


def test_K6_an_injection_without_a_cursor_leaves_all_as_they_are(drive: Driver) -> None:
    one, other = Cursor("one", "f", 1), Cursor("other", "", 0)
    drive.backend.inject(PUMP, [MESSAGE], drive.now, one)
    drive.backend.inject(PUMP, [MESSAGE], drive.now, other)

    drive.inject("a")

    assert (drive.backend.cursor("one"), drive.backend.cursor("other")) == (one, other)


def test_K6_a_cursor_may_come_without_messages(drive: Driver) -> None:
    assert drive.backend.inject(PUMP, [], drive.now, Cursor("in", "f", 7)) == []

    assert drive.backend.cursor("in") == Cursor("in", "f", 7)
    assert drive.backend.totals().conversations == 0


@pytest.mark.parametrize("name", ["ü*[x]?:{y}", "a%b_c'\"", "%s.5"])
def test_names_of_sources_are_taken_as_they_are(drive: Driver, name: str) -> None:
    drive.backend.inject(PUMP, [MESSAGE], drive.now, Cursor(name, name, 1))

    assert drive.backend.cursor(name) == Cursor(name, name, 1)
    assert drive.backend.cursor(name[:-1]) is None


def test_K6_whoever_sees_a_cursor_sees_what_was_injected_with_it(backend: SharedBackend) -> None:
    def inject_all() -> None:
        seen = None
        for number in range(1, 101):
            moved = Cursor("in", "f", number)
            assert backend.inject("", [MESSAGE], 1.0, moved, seen)
            seen = moved

    writer = Thread(target=inject_all)
    writer.start()
    offset = 0
    while offset < 100:
        cursor = backend.cursor("in")
        offset = cursor.offset if cursor else 0
        assert backend.totals().conversations >= offset
    writer.join()


def test_K7_concurrent_readers_inject_each_document_once(backend: SharedBackend) -> None:
    injected: list[int] = []

    def read() -> None:
        offset = 0
        while offset < 50:
            seen = backend.cursor("in")
            offset = seen.offset if seen else 0
            if offset < 50 and backend.inject("", [MESSAGE], 1.0, Cursor("in", "f", offset + 1), seen):
                injected.append(offset + 1)

    readers = [Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert sorted(injected) == list(range(1, 51))
    assert backend.totals().conversations == 50
