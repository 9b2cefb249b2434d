"""Row B19 of docs/semantics.md: Buffers without items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from router_kit import Ping, Pong, World, call, listener, respond

from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import BUFFER, BufferComplete, BufferDispatched, BufferError, BufferStart, Fault, Items

RESULTS = (BufferComplete, BufferDispatched, Fault)
EMPTY_FILES = {
    "nothing.jsonl": "",
    "blank.jsonl": "\n\n",
    "nothing.json": "",
    "list.json": "[]",
    "root.xml": "<messages/>",
    "declared.xml": "<?xml version='1.0'?>\n<messages>\n</messages>\n",
    "nothing.xml": "",
    "unknown": "",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    for name, text in EMPTY_FILES.items():
        (tmp_path / name).write_text(text)
    return World(
        listener("a", Ping, Pong, *RESULTS),
        listener("b"),
        listener("report", *RESULTS),
        listener("find.one", Ping, broadcast=True),
        listener("all", Items, buffer=BufferOptions("b", min_success="90%", on_partial="fault")),
        listener("nested", Items, buffer=BufferOptions("all")),
        folder=str(tmp_path),
    )


def outcome(world: World, request: Any, to: str = BUFFER) -> Any:
    """What comes of `request`, after which nothing is left of it."""
    world.inject("a")
    world.hop("a", call(to, request))
    world.play(a=lambda *_: None, b=lambda *_: respond(Pong()), report=lambda *_: respond(Pong("reported")))
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)
    assert list(world.backend.joins()) == []
    return world.history("a")[-1][1]


@pytest.mark.parametrize("target", ["b", "find"])
def test_B19_a_buffer_of_no_items_is_complete_at_once(world: World, target: str) -> None:
    complete = outcome(world, BufferStart(target, [], timeout=5.0, cancel_rest=True))

    assert complete == BufferComplete(complete.buffer_id, 0, 0, [])
    assert (complete.success, complete.error, complete.failed) == (True, "", 0)
    assert world.backend.totals().dead_letters == 0


@pytest.mark.parametrize("name", EMPTY_FILES)
def test_B19_so_is_one_of_a_file_without_items(world: World, name: str) -> None:
    complete = outcome(world, BufferStart("b", items_from=name))

    assert (complete.total, complete.results, complete.unread) == (0, [], False)


@pytest.mark.parametrize("items", [{}, {"items_from": "blank.jsonl"}, {"items_from": "list.json"}])
def test_B19_without_collect_it_is_dispatched_and_that_is_all(world: World, items: dict[str, Any]) -> None:
    dispatched = outcome(world, BufferStart("b", collect=False, **items))

    assert (type(dispatched), dispatched.total) == (BufferDispatched, 0)


@pytest.mark.parametrize(
    ("minimum", "on_partial", "kind"),
    [
        (0, "fault", BufferComplete),
        (1, "fault", BufferError),
        ("3", "fault", BufferError),
        ("100%", "fault", BufferComplete),
        (1, "complete", BufferComplete),
    ],
)
def test_B19_a_number_of_successes_is_not_met_and_a_percentage_of_nothing_is(
    world: World, minimum: int | str, on_partial: str, kind: type
) -> None:
    found = outcome(world, BufferStart("b", [], min_success=minimum, on_partial=on_partial))

    assert type(found) is kind
    if isinstance(found, BufferError):
        assert found.code == "too_few_successes"
        assert found.text.startswith(f"0 of 0 items succeeded, and min_success is {minimum}")


def test_B19_buffers_in_buffers_may_be_empty(world: World) -> None:
    outer = outcome(world, Items([Items([]), Items([Ping()]), Items(items_from="list.json")]), "nested")

    assert [one.result.total for one in outer.results] == [0, 1, 0]
    assert outer.success


def test_B19_the_result_goes_where_it_is_to_return_to(world: World) -> None:
    assert outcome(world, BufferStart("b", [], return_to="report")) == Pong("reported")
