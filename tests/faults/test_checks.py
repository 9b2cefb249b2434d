"""The checks of the fault tests find what they are there for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from faults.checks import Verdict, left_behind
from faults.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, "sqlite")
    made.add_documents(8)
    assert made.start(*made.going_on).end() == 0
    yield made
    made.close()


def change(world: World, *statements: str) -> None:
    with closing(sqlite3.connect(world.file)) as database, database:
        for sql in statements:
            database.execute(sql)


def wrong(world: World) -> str:
    return "\n".join(Verdict(world).wrong())


def test_an_undisturbed_run_has_nothing_wrong(world: World) -> None:
    assert wrong(world) == ""
    assert any("threads" in left for left in left_behind(world))


def test_documents_that_are_injected_twice_are_found(world: World) -> None:
    assert world.start("--input", world.input).end() == 0

    assert "document 3 belongs to the conversations" in wrong(world)


def test_a_document_that_is_left_out_is_found(world: World) -> None:
    world.documents += 1

    assert "the answer 11 to document 8 was never printed" in wrong(world)
    assert "8 conversations for 9 documents" in wrong(world)


def test_a_slot_that_is_missing_is_found(world: World) -> None:
    last = "(SELECT thread FROM slots ORDER BY thread DESC, at DESC LIMIT 1)"
    change(
        world, f"DELETE FROM slots WHERE thread = {last}", f"UPDATE progress SET slots = 0, bytes = 0 WHERE n = {last}"
    )

    assert "its threads are" in wrong(world)
    assert "the total of slots is" in wrong(world)


def test_a_message_that_was_not_acknowledged_is_found(world: World) -> None:
    change(world, "UPDATE counters SET in_flight = 1")

    assert "something is left" in wrong(world)


def test_an_answer_that_was_not_printed_is_found(world: World) -> None:
    out = world.folder / "out-0.jsonl"
    _, *rest = out.read_text().splitlines(keepends=True)
    out.write_text("".join(rest))

    assert "was never printed" in wrong(world)
