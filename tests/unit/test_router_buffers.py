"""Rows B8 to B16 of docs/semantics.md: Buffers that send piece by piece, from files, to groups, and end early."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign
import pytest
from router_kit import PUMP, Other, Ping, Pong, World, call, listener, respond

from xpipe.core.limits import Limits
from xpipe.core.messages import Claim
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferError,
    BufferStart,
    Fault,
    Items,
)
from xpipe.runtime.primitives.making import make_primitives

RESULTS = (BufferComplete, BufferDispatched, Fault)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_in(tmp_path)


def world_in(folder: Path, **options: Any) -> World:
    return World(
        listener("a", Ping, Pong, *RESULTS),
        listener("b"),
        listener("fenced", Ping, *RESULTS, peers=frozenset({"all"})),
        listener("find.one", Ping, broadcast=True),
        listener("find.two", Ping, broadcast=True),
        listener("all", Items, buffer=BufferOptions("b", max_in_flight=2, min_success="50%", on_partial="fault")),
        folder=str(folder),
        **options,
    )


def start(world: World, request: Any, caller: str = "a", to: str = BUFFER) -> None:
    """Let `caller` make `request`, and the Buffer take it."""
    world.inject(caller)
    world.hop(caller, call(to, request))
    world.hop(to)


def ping(count: int) -> list[Ping]:
    return [Ping(number) for number in range(count)]


def taken(world: World, listener: str = "b") -> list[Claim]:
    return world.backend.advance(PUMP, [], {listener: 1_000}, 1_000, world.now).claims


def numbers(world: World, claims: list[Claim]) -> list[int]:
    return [world.payload_of(claim.message).n for claim in claims]


def answer(world: World, claims: list[Claim], *broken: int) -> None:
    """Let each of `claims` answer, or fail if its number is in `broken`."""
    for claim in claims:
        failed = world.payload_of(claim.message).n in broken
        world.commit(world.step(claim, ValueError("broken") if failed else respond(Pong())))


def feed(world: World, to: str = BUFFER) -> None:
    """Let the Buffer take what there is for it, until it has to wait for items or is over."""
    while claims := taken(world, to):
        world.commit(*(world.step(claim) for claim in claims))


def last(world: World, tail: str = "a") -> Any:
    return world.history(tail)[-1][1]


def codes(complete: BufferComplete) -> list[str]:
    return [result.code or "fine" for result in complete.results]


def lines(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in values))
    return path


def successor(world: World, folder: Path) -> World:
    """Another process that goes on with the state of `world`."""
    return world_in(folder, backend=world.backend)


def fathom(world: World, request: Any, to: str = BUFFER) -> tuple[list[int], int]:
    """The numbers of all items in the order in which they are sent, and how many were ever under way at once."""
    start(world, request, to=to)
    seen, most = [], 0
    under_way: list[Claim] = []
    while True:
        feed(world, to)
        under_way += taken(world)
        if not under_way:
            return seen, most
        most = max(most, len(under_way))
        seen += numbers(world, under_way[:1])
        answer(world, [under_way.pop(0)])


@pytest.mark.parametrize("window", [1, 2, 3, 7, 16, 100])
def test_B9_never_more_than_max_in_flight_are_under_way(world: World, window: int) -> None:
    seen, most = fathom(world, BufferStart("b", ping(50), max_in_flight=window))

    assert seen == list(range(50))
    assert most == min(window, 50)
    assert (last(world).successful, last(world).total) == (50, 50)


def test_B9_a_buffer_that_says_nothing_has_a_window_too(world: World) -> None:
    seen, most = fathom(world, BufferStart("b", ping(1_300)))

    assert (seen, most) == (list(range(1_300)), 1_000)


def test_B9_no_commit_is_wider_than_a_piece_however_wide_the_window_is(world: World) -> None:
    world.inject("a")
    world.hop("a", call(BUFFER, BufferStart("b", ping(1_000), max_in_flight=5_000)))

    step = world.hop(BUFFER)

    assert len(step.sends) == 256
    feed(world)
    assert len(taken(world)) == 1_000


def test_B9_another_process_goes_on_where_the_first_was(world: World, tmp_path: Path) -> None:
    start(world, BufferStart("b", ping(10), max_in_flight=4))
    feed(world)
    answer(world, taken(world))

    other = successor(world, tmp_path)
    feed(other)
    seen = []
    while claims := taken(other):
        seen += numbers(other, claims)
        answer(other, claims)
        feed(other)

    assert seen == [4, 5, 6, 7, 8, 9]
    assert [result.index for result in last(other).results] == list(range(10))
    assert last(other).success


def test_B9_items_that_are_text_are_sent_as_what_they_say(world: World) -> None:
    items = ["<Ping><n>0</n></Ping>", '{"n": 1}', {"n": 2}, Ping(3)]
    assert fathom(world, BufferStart("b", items, max_in_flight=1))[0] == [0, 1, 2, 3]


def test_B9_items_that_are_not_at_hand_are_read_again_from_the_start_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpipe.runtime.primitives.items.AHEAD_BYTES", 20)
    assert fathom(world, BufferStart("b", ping(30), max_in_flight=3))[0] == list(range(30))


def test_B9_fire_and_forget_keeps_to_its_window_and_sends_all(world: World) -> None:
    seen, most = fathom(world, BufferStart("b", ping(30), collect=False, max_in_flight=3))

    assert (seen, most) == (list(range(30)), 3)
    assert (type(last(world)), last(world).total) == (BufferDispatched, 30)
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_B2_fire_and_forget_sends_all_whatever_would_be_enough(world: World) -> None:
    terms = {"max_in_flight": 2, "min_success": "1", "cancel_rest": True}

    seen, _ = fathom(world, BufferStart("b", ping(8), collect=False, **terms))

    assert seen == list(range(8))


def test_B2_fire_and_forget_sends_all_items(world: World) -> None:
    start(world, BufferStart("b", ping(8), collect=False, max_in_flight=4, timeout=5.0))
    feed(world)
    first = taken(world)
    assert world.advance(most=0).due == 0.0

    world.now += 6.0
    answer(world, first)

    seen = numbers(world, first)
    feed(world)
    while claims := taken(world):
        seen += numbers(world, claims)
        answer(world, claims)
        feed(world)
    assert seen == list(range(8))


def test_B8_a_piece_for_a_buffer_that_is_over_is_not_sent(world: World) -> None:
    start(world, BufferStart("b", ping(8), max_in_flight=4, timeout=5.0))
    feed(world)
    answer(world, taken(world)[:1])
    [more] = taken(world, BUFFER)
    world.now += 6.0
    world.advance(most=0)

    world.commit(world.step(more))
    world.hop(BUFFER)

    assert codes(last(world)) == ["fine", *["timeout"] * 3, *["cancelled"] * 4]
    assert taken(world) == []


def test_B6_without_cancel_rest_what_is_under_way_goes_on_and_is_late(world: World) -> None:
    start(world, BufferStart("b", ping(3), timeout=5.0))
    claims = taken(world)
    world.now += 6.0
    world.advance(most=0)
    world.hop(BUFFER)

    answer(world, claims)

    assert world.late == 3
    assert codes(last(world)) == ["timeout"] * 3


def test_B6_with_cancel_rest_nothing_goes_on(world: World) -> None:
    start(world, BufferStart("b", ping(6), timeout=5.0, cancel_rest=True, max_in_flight=4))
    feed(world)
    zero, one, *_ = taken(world)
    answer(world, [zero])
    world.now += 6.0
    world.advance(most=0)

    feed(world)

    assert world.advance(world.step(one, respond(Pong())), most=0).refused == {0: "stale"}
    assert codes(last(world)) == ["fine", *["timeout"] * 3, *["cancelled"] * 2]
    complete = last(world)
    assert (complete.failed, complete.timed_out, complete.cancelled) == (0, 3, 2)
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_B10_a_line_that_is_no_payload_is_a_failed_item_and_stops_nothing(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": 0}, {"n": "x"}, "{broken", {"n": "\ud800"}, {"n": 4}])
    seen, _ = fathom(world, BufferStart("b", items_from="in.jsonl"))
    world.play(a=lambda *_: None)

    complete = last(world)
    assert seen == [0, 4]
    assert codes(complete) == ["fine", *["bad_payload"] * 3, "fine"]
    assert complete.results[1].error == "items[1]: in.jsonl:2:7: Ping.n: 'x' is not an integer"
    assert [result.listener for result in complete.results] == ["b"] * 5
    assert world.backend.totals().dead_letters == 0


def test_B10_a_line_for_a_listener_that_takes_no_such_payload_fails_alone(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"type": "Other", "payload": {}}, {"to": "a", "payload": {"n": 1}}, {"n": 2}])
    fathom(world, BufferStart("b", items_from="in.jsonl"))
    world.play(a=lambda *_: None)

    assert codes(last(world)) == ["bad_payload", "bad_payload", "fine"]


def test_B10_a_line_over_the_limit_of_a_payload_fails_alone(tmp_path: Path) -> None:
    world = world_in(tmp_path, limits=Limits(payload_bytes=600))
    lines(tmp_path / "in.jsonl", [{"text": "x" * 700}, {"text": "x"}])
    start(world, BufferStart("b", items_from="in.jsonl"))
    world.play(b=lambda *_: respond(Pong()), a=lambda *_: None)

    [first, second] = last(world).results
    assert (first.success, second.success) == (False, True)
    assert "600" in first.error


def test_B10_a_bad_line_of_fire_and_forget_is_a_dead_letter(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": 0}, {"n": "x"}, {"n": 2}])
    seen, _ = fathom(world, BufferStart("b", items_from="in.jsonl", collect=False))
    world.play(a=lambda *_: None)

    assert seen == [0, 2]
    assert world.buried() == ["bad_payload"]
    assert world.endings() == ["done"]


def test_B10_an_item_whose_listener_has_gone_is_a_failed_item(world: World) -> None:
    start(world, BufferStart("b", ping(5), max_in_flight=4))
    feed(world)
    answer(world, taken(world))
    world.topology.remove("b")

    world.play(a=lambda *_: None)

    assert codes(last(world)) == [*["fine"] * 4, "unknown_target"]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("in.jsonl", lambda n: "".join(f'{{"n": {i}}}\n' for i in range(n))),
        ("in.ndjson", lambda n: "\n\n".join(f'{{"n": {i}}}' for i in range(n))),
        ("in.json", lambda n: "[" + ",\n".join(f'{{"n": {i}}}' for i in range(n)) + "]"),
        ("in.json", lambda n: "\n".join(f'{{"n":\n{i}}}' for i in range(n))),
        ("in", lambda n: "\n".join(f'{{"n": {i}}}' for i in range(n))),
        ("in.xml", lambda n: "<messages>" + "\n".join(f"<Ping><n>{i}</n></Ping>" for i in range(n)) + "</messages>"),
        ("in.xml", lambda n: "".join(f"<Ping><n>{i}</n></Ping>" for i in range(n))),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_B9_a_file_is_read_on_by_another_process_from_where_the_first_was(
    world: World, tmp_path: Path, name: str, write: Callable[[int], str], encoding: str
) -> None:
    (tmp_path / name).write_bytes(write(40).encode(encoding))
    start(world, BufferStart("b", items_from=name, max_in_flight=4))
    seen: list[int] = []
    while True:
        feed(world)
        claims = taken(world)
        if not claims:
            break
        seen += numbers(world, claims)
        answer(world, claims)
        world = successor(world, tmp_path)

    assert seen == list(range(40))
    assert (last(world).total, last(world).success, last(world).unread) == (40, True, False)


def test_B9_the_place_of_a_bad_line_is_told_by_whoever_reads_it(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [*({"n": n} for n in range(10)), "", "[", {"n": 11}])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=1))
    for _ in range(10):
        feed(world)
        answer(world, taken(world))
        world = successor(world, tmp_path)
    world.play(b=lambda *_: respond(Pong()), a=lambda *_: None)

    assert codes(last(world)) == [*["fine"] * 10, "bad_payload", "fine"]
    assert last(world).results[10].error.startswith("items[10]: in.jsonl:12:")


def test_B9_json_lines_are_not_read_again_from_their_beginning(world: World, tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", [{"n": n} for n in range(10)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=1))
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"\n" * len('{"n": 0}'))  # It would begin with item 1 now.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    world.commit(world.step(taken(world)[0], respond(Pong())))

    feed(successor(world, tmp_path))

    assert numbers(world, taken(world)) == [1]


def test_B9_a_claim_that_was_lost_sends_the_same_piece_again(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(9)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=1))
    answer(world, taken(world))
    [more] = taken(world, BUFFER)
    first = world.step(more)

    again = world.step(more)

    assert [world.payload_of(one.message) for one in again.sends] == [Ping(1)]
    assert [one.binding for one in again.sends] == [one.binding for one in first.sends]
    assert again.state == first.state


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (
            {"items_from": "no.jsonl"},
            "unreadable_items",
            f"items_from is no.jsonl, which cannot be read: {foreign.NO_FILE}",
        ),
        ({"items_from": "."}, "unreadable_items", "items_from is ., which is no regular file"),
        (
            {"items_from": "a\0b"},
            "unreadable_items",
            "items_from is a\0b, which cannot be read: a path cannot hold a null character",
        ),
        (
            {"items_from": "in.jsonl", "items": [Ping()]},
            "bad_payload",
            "the Buffer has items and items_from; give one of them",
        ),
        (
            {"items": [Ping()], "max_in_flight": -1},
            "bad_payload",
            "the Buffer's max_in_flight is -1; give a number from 0 up, 0 for the default",
        ),
        (
            {"items": [Ping()], "min_success": "most"},
            "bad_payload",
            "the Buffer's min_success is 'most'; give a number, or a percentage such as 90%",
        ),
        (
            {"items": [Ping()], "min_success": "101%"},
            "bad_payload",
            "the Buffer's min_success is '101%'; give a number, or a percentage such as 90%",
        ),
        (
            {"items": [Ping()], "on_partial": "panic", "min_success": 1},
            "bad_payload",
            "the Buffer's on_partial is 'panic'; it is complete or fault",
        ),
        (
            {"items": [Ping()], "on_partial": "fault"},
            "bad_payload",
            "the Buffer's on_partial is fault, and nothing says what is too few; give min_success, 100% for all",
        ),
    ],
)
def test_B3_what_makes_no_sense_is_an_error(world: World, fields: dict[str, Any], code: str, text: str) -> None:
    start(world, BufferStart("b", **fields))

    error = last(world)
    assert (type(error), error.code, error.text) == (BufferError, code, text)
    assert list(world.backend.joins()) == []


def test_B3_a_file_that_may_not_be_opened_is_an_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lines(tmp_path / "in.jsonl", [{"n": 1}])
    opened = open

    def refuse(file: Any, *arguments: Any, **options: Any) -> Any:  # No mode of a file keeps root from reading it.
        if str(file) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return opened(file, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    start(world, BufferStart("b", items_from="in.jsonl"))

    error = last(world)
    assert (type(error), error.code) == (BufferError, "unreadable_items")
    assert error.text == f"items_from is in.jsonl, which cannot be read: {foreign.NOT_ALLOWED}"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.unlink(), f"items_from is in.jsonl, which cannot be read: {foreign.NO_FILE}"),
        (
            lambda path: path.write_text('{"n": 9}\n'),
            "items_from is in.jsonl, which has changed while it was read; start the Buffer again",
        ),
    ],
)
def test_B11_a_file_that_vanished_or_changed_is_an_error_and_ends_the_rest(
    world: World, tmp_path: Path, spoil: Callable[[Path], None], text: str
) -> None:
    path = lines(tmp_path / "in.jsonl", [{"n": n} for n in range(20)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=4))
    feed(world)
    zero, one, *_ = taken(world)
    spoil(path)
    answer(world, [zero])

    world.hop(BUFFER)

    error = last(world)
    assert (type(error), error.code, error.text) == (BufferError, "unreadable_items", text)
    assert world.advance(world.step(one, respond(Pong())), most=0).refused == {0: "stale"}
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_B11_a_file_of_fire_and_forget_that_vanished_is_a_dead_letter_and_the_rest_goes_on(
    world: World, tmp_path: Path
) -> None:
    path = lines(tmp_path / "in.jsonl", [{"n": n} for n in range(20)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=4, collect=False))
    assert last(world).total == -1
    feed(world)
    claims = taken(world)
    path.unlink()
    answer(world, claims[:1])
    world.hop(BUFFER)

    answer(world, claims[1:])

    assert world.buried() == ["unreadable_items"]
    world.hop("a", None)
    assert world.endings() == ["done"]


def test_B11_a_file_with_more_items_than_the_limit_ends_as_soon_as_that_is_known(tmp_path: Path) -> None:
    world = world_in(tmp_path, limits=Limits(fan_out=6))
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(7)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=4))
    feed(world)
    claims = taken(world)
    answer(world, claims[:2])
    feed(world)

    error = last(world)
    assert (error.code, error.text) == (
        "fan_out_too_wide",
        "in.jsonl has 7 items or more, over limits.fan_out (6); split or raise it",
    )
    assert (taken(world), world.backend.load().in_flight) == ([], 1)


def test_B11_a_file_with_just_as_many_items_as_the_limit_is_fine(tmp_path: Path) -> None:
    world = world_in(tmp_path, limits=Limits(fan_out=6))
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(6)])
    fathom(world, BufferStart("b", items_from="in.jsonl", max_in_flight=2))

    assert (last(world).total, last(world).success) == (6, True)


@pytest.mark.parametrize("window", [1, 3, 100])
@pytest.mark.parametrize("from_file", [False, True])
def test_B12_each_item_goes_to_every_member_of_a_group(
    world: World, tmp_path: Path, window: int, from_file: bool
) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(5)])
    items: dict[str, Any] = {"items_from": "in.jsonl"} if from_file else {"items": ping(5)}
    start(world, BufferStart("find", max_in_flight=window, **items))

    world.play(
        find__one=lambda payload, _: respond(Pong(f"one {payload.n}")),
        find__two=lambda payload, _: respond(Pong(f"two {payload.n}")) if payload.n else ValueError("broken"),
        a=lambda *_: None,
    )

    complete = last(world)
    assert (complete.total, complete.successful) == (10, 9)
    assert [one.listener for one in complete.results] == ["find.one", "find.two"] * 5
    assert [one.result and one.result.text for one in complete.results][:4] == ["one 0", None, "one 1", "two 1"]
    assert [one.index for one in complete.results] == list(range(10))


def test_B12_a_group_counts_with_its_members_for_the_limit(tmp_path: Path) -> None:
    world = world_in(tmp_path, limits=Limits(fan_out=5))
    start(world, BufferStart("find", ping(3)))

    assert last(world).text == "the Buffer has 6 items, over limits.fan_out (5); split or raise it"


def test_B12_the_members_are_those_of_the_start(world: World) -> None:
    start(world, BufferStart("find", ping(2), max_in_flight=2))
    world.topology.add(listener("find.three", Ping, broadcast=True))

    world.play(find__one=lambda *_: respond(Pong()), find__two=lambda *_: respond(Pong()), a=lambda *_: None)

    assert [one.listener for one in last(world).results] == ["find.one", "find.two"] * 2


def test_B13_enough_successes_end_the_buffer_and_cancel_the_rest(world: World) -> None:
    start(world, BufferStart("b", ping(20), max_in_flight=8, min_success=2, cancel_rest=True))
    feed(world)
    claims = taken(world)
    answer(world, claims[:3], 1)

    feed(world)

    complete = last(world)
    assert codes(complete) == ["fine", "exception", "fine", *["cancelled"] * 17]
    assert (complete.successful, complete.failed, complete.cancelled) == (2, 1, 17)
    assert world.advance(world.step(claims[3], respond(Pong())), most=0).refused == {0: "stale"}
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


@pytest.mark.parametrize(("on_partial", "kind"), [("complete", BufferComplete), ("fault", BufferError)])
def test_B13_too_many_faults_end_the_buffer_and_cancel_the_rest(world: World, on_partial: str, kind: type) -> None:
    request = BufferStart("b", ping(10), min_success="80%", on_partial=on_partial, cancel_rest=True)
    start(world, request)
    claims = taken(world)
    answer(world, claims[:3], 0, 1, 2)

    world.hop(BUFFER)

    assert type(last(world)) is kind
    assert world.backend.load().in_flight == 1


def test_B13_without_cancel_rest_everything_runs_to_its_end(world: World) -> None:
    start(world, BufferStart("b", ping(4), min_success=1))
    answer(world, taken(world))
    world.hop(BUFFER)

    assert codes(last(world)) == ["fine"] * 4


def test_B13_without_min_success_nothing_ends_early(world: World) -> None:
    start(world, BufferStart("b", ping(4), cancel_rest=True))
    answer(world, taken(world), 0, 1, 2)
    world.hop(BUFFER)

    assert codes(last(world)) == [*["exception"] * 3, "fine"]


def test_B13_the_first_success_is_enough_where_one_is(world: World) -> None:
    start(world, BufferStart("b", ping(6), max_in_flight=4, min_success=1, cancel_rest=True))
    feed(world)

    answer(world, taken(world)[:1])
    feed(world)

    assert codes(last(world)) == ["fine", *["cancelled"] * 5]


@pytest.mark.parametrize("minimum", ["100%", 6])
def test_B13_the_first_fault_is_too_many_where_all_have_to_succeed(world: World, minimum: int | str) -> None:
    start(world, BufferStart("b", ping(6), max_in_flight=4, min_success=minimum, cancel_rest=True))
    feed(world)

    answer(world, taken(world)[:1], 0)
    feed(world)

    assert codes(last(world)) == ["exception", *["cancelled"] * 5]


@pytest.mark.parametrize("minimum", ["50%", 5])
def test_B13_no_fault_is_too_many_while_nobody_knows_how_many_items_a_file_has(
    world: World, tmp_path: Path, minimum: int | str
) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(40)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=8, min_success=minimum, cancel_rest=True))
    feed(world)

    answer(world, taken(world)[:1], 0)
    feed(world)

    assert world.history("a")[1:] == []


def test_B13_a_percentage_counts_all_items(world: World) -> None:
    start(world, BufferStart("b", ping(404), min_success="50%", cancel_rest=True))
    feed(world)
    claims = taken(world)
    answer(world, claims[:201])
    assert taken(world, BUFFER) == []

    answer(world, claims[201:202])
    feed(world)

    assert (last(world).successful, last(world).cancelled) == (202, 202)


def test_B6_B13_missing_items_time_out_while_the_outcome_is_open(world: World) -> None:
    start(world, BufferStart("b", ping(4), min_success=1, cancel_rest=True, timeout=5.0))
    answer(world, taken(world)[:1], 0)
    world.now += 6.0
    world.advance(most=0)

    feed(world)

    assert codes(last(world)) == ["exception", *["timeout"] * 3]


def test_E3_B13_an_item_that_nobody_answers_is_a_fault_among_those_that_decide(world: World) -> None:
    start(world, BufferStart("b", ping(3), min_success="100%", cancel_rest=True))
    zero, *_ = taken(world)

    world.commit(world.step(zero, None))
    feed(world)

    assert codes(last(world)) == ["no_answer", "cancelled", "cancelled"]


def test_E3_B2_an_item_of_fire_and_forget_that_nobody_answers_is_a_dead_letter(world: World) -> None:
    start(world, BufferStart("b", ping(1), collect=False))

    world.commit(world.step(taken(world)[0], None))
    world.hop("a", None)

    assert (world.buried(), world.backend.totals().dead_letters) == (["no_answer"], 1)


def test_B13_a_share_of_a_file_is_certain_once_it_is_read_to_the_end(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(12)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=8, min_success="33%", cancel_rest=True))
    feed(world)
    claims = taken(world)
    answer(world, claims[:4])
    assert world.history("a")[1:] == [], "it may have any number of items yet"

    feed(world)

    assert codes(last(world)) == [*["fine"] * 4, *["cancelled"] * 8]


def test_B13_a_count_of_a_file_is_certain_before_it_is_read_to_the_end(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(100)])
    start(world, BufferStart("b", items_from="in.jsonl", max_in_flight=4, min_success=2, cancel_rest=True))
    feed(world)
    answer(world, taken(world)[:2])
    world.play(a=lambda *_: None)

    complete = last(world)
    assert (complete.unread, complete.success, complete.successful) == (True, False, 2)
    assert complete.total == len(complete.results) < 100


def test_B14_too_few_successes_may_be_a_fault(world: World) -> None:
    start(world, BufferStart("b", ping(4), min_success="75%", on_partial="fault"))
    answer(world, taken(world), 1, 2)
    world.hop(BUFFER)

    error = last(world)
    assert (type(error), error.code) == (BufferError, "too_few_successes")
    assert error.text == (
        "2 of 4 items succeeded, and min_success is 75%: 2 failed, 0 timed out, 0 were cancelled; "
        "the first failure: broken"
    )


@pytest.mark.parametrize(("minimum", "broken"), [("75%", 1), (3, 1), ("3", 1), ("0%", 4), (0, 4), ("74.9%", 1)])
def test_B14_enough_successes_are_a_result(world: World, minimum: int | str, broken: int) -> None:
    start(world, BufferStart("b", ping(4), min_success=minimum, on_partial="fault"))
    answer(world, taken(world), *range(broken))
    world.hop(BUFFER)

    assert (type(last(world)), last(world).successful) == (BufferComplete, 4 - broken)


def test_B14_a_minimum_over_the_number_of_items_is_never_met_and_all_of_them_run(world: World) -> None:
    start(world, BufferStart("b", ping(2), min_success=5, on_partial="fault", cancel_rest=True))
    answer(world, taken(world))
    world.hop(BUFFER)

    assert last(world).text.startswith("2 of 2 items succeeded, and min_success is 5")


def test_B14_a_share_of_a_file_that_was_not_read_to_its_end_is_too_few(world: World, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl", [{"n": n} for n in range(50)])
    request = BufferStart(
        "b", items_from="in.jsonl", max_in_flight=4, min_success="1%", on_partial="fault", timeout=5.0
    )
    start(world, request)
    answer(world, taken(world))
    world.now += 6.0
    world.play(a=lambda *_: None)

    assert "its file was not read to the end" in last(world).text


@pytest.mark.parametrize("to", [BUFFER, "all"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("outside", ["../secret.jsonl", "../organism-b/secret.jsonl", "{}/organism-b/secret.jsonl"])
def test_B15_a_message_from_outside_names_only_files_in_the_folder(
    tmp_path: Path, to: str, nested: bool, outside: str
) -> None:
    folder, sibling = tmp_path / "organism", tmp_path / "organism-b"
    folder.mkdir()
    sibling.mkdir()
    for place in (tmp_path, sibling):
        lines(place / "secret.jsonl", [{"n": 1}])
    world = world_in(folder)
    named = {"items_from": outside.format(tmp_path)}
    request: Any = Items(**named) if to == "all" else BufferStart("b", **named)
    world.inject(*((BUFFER, BufferStart(to, [request])) if nested else (to, request)))

    world.play(b=lambda *_: pytest.fail("nothing is to be read"))

    [output] = world.outputs()
    assert (output.results[0] if nested else output).code == "forbidden_file"


def test_B15_a_message_from_outside_may_name_a_link_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "organism"
    folder.mkdir()
    (folder / "in.jsonl").symlink_to(lines(tmp_path / "else.jsonl", [{"n": 1}]))
    world = world_in(folder)
    world.inject(BUFFER, BufferStart("b", items_from="in.jsonl"))

    world.play(b=lambda *_: respond(Pong()))

    assert world.outputs()[0].success


def test_B15_a_handler_may_name_any_file(tmp_path: Path) -> None:
    folder = tmp_path / "organism"
    folder.mkdir()
    world = world_in(folder)
    for name in (str(lines(tmp_path / "in.jsonl", [{"n": 1}])), "../in.jsonl"):
        start(world, BufferStart("b", items_from=name))
        world.play(b=lambda *_: respond(Pong()), a=lambda payload, _: respond(payload))

    assert [output.success for output in world.outputs()] == [True, True]


def test_B16_a_listener_with_a_buffer_takes_items_and_answers_with_their_results(world: World) -> None:
    seen, most = fathom(world, Items(["<Ping/>", {"n": 1}, Ping(2), Ping(3)]), "all")

    assert (seen, most) == ([0, 1, 2, 3], 2)
    assert (type(last(world)), last(world).successful) == (BufferComplete, 4)


def test_B16_its_options_are_those_of_its_declaration(world: World) -> None:
    start(world, Items(ping(2)), to="all")
    world.play(b=lambda *_: ValueError("broken"), a=lambda *_: None)

    error = last(world)
    assert (type(error), error.code, error.origin) == (BufferError, "too_few_successes", "all")


def test_B6_B16_its_timeout_is_that_of_its_declaration(tmp_path: Path) -> None:
    world = declared(tmp_path, timeout=5.0)
    start(world, Items(ping(2)), to="timed")
    taken(world)

    world.now += 6.0
    world.play(a=lambda *_: None)

    assert codes(last(world)) == ["timeout"] * 2


def test_B13_B16_its_cancel_rest_is_that_of_its_declaration(tmp_path: Path) -> None:
    world = declared(tmp_path, min_success="1", cancel_rest=True)
    start(world, Items(ping(2)), to="timed")

    answer(world, taken(world)[:1])
    feed(world, "timed")

    assert codes(last(world)) == ["fine", "cancelled"]


def declared(folder: Path, **options: Any) -> World:
    """A world whose listener `timed` has a `buffer` of `b` with `options`."""
    return World(
        listener("a", Ping, *RESULTS),
        listener("b"),
        listener("timed", Items, buffer=BufferOptions("b", **options)),
        folder=str(folder),
    )


def test_B16_it_may_call_its_target_whoever_calls_it(world: World) -> None:
    start(world, Items(ping(2)), "fenced", "all")
    world.play(b=lambda *_: respond(Pong()), fenced=lambda *_: None)

    assert last(world, "fenced").success


def test_B16_a_primitive_that_it_calls_keeps_to_the_peers_of_its_caller(tmp_path: Path) -> None:
    world = World(
        listener("fenced", Ping, *RESULTS, peers=frozenset({"all"})),
        listener("b"),
        listener("all", Items, buffer=BufferOptions(BUFFER)),
        folder=str(tmp_path),
    )
    start(world, Items([BufferStart("b", ping(1))]), "fenced", "all")
    world.play(fenced=lambda *_: None)

    assert codes(last(world, "fenced")) == ["forbidden_peer"]


def test_B16_each_call_has_a_thread_of_its_own(world: World) -> None:
    world.inject("a")
    world.hop("a", call("all", Items(ping(2))))
    world.play(b=lambda *_: respond(Pong()), a=lambda *_: call("all", Items(ping(3))) if len(totals) < 3 else None)
    chains = [one.chain for one in world.backend.threads() if one.listener == "all"]
    totals = [payload.total for _, payload in world.history("a")[1:]]

    assert len(set(chains)) == len(chains) == len(totals)


def test_B16_an_organism_may_bear_the_name_of_its_buffer(tmp_path: Path) -> None:
    world = World(listener("b"), listener("org", Items, buffer=BufferOptions("b")), folder=str(tmp_path))
    world.inject("org", Items(ping(1)))
    world.play(b=lambda *_: respond(Pong()))

    assert world.outputs()[0].success


def test_B16_items_that_are_none_are_an_error_of_the_buffer(world: World) -> None:
    start(world, Items([Other()]), to="all")

    assert (last(world).code, last(world).text) == ("bad_payload", "items[0] is a Other; b accepts Ping, Pong")


@pytest.mark.parametrize(
    ("to", "payload"), [(BUFFER, Items([])), (BUFFER, Ping()), (SEQUENCE, Ping()), ("all", Ping())]
)
def test_a_request_that_is_none_is_a_fault(world: World, to: str, payload: Any) -> None:
    world.inject(to, payload)
    world.play()

    assert [output.code for output in world.outputs()] == ["bad_payload"]


def test_every_declared_primitive_is_made_under_its_name(world: World) -> None:
    assert set(make_primitives(world.setting, world.topology)) == {BUFFER, SEQUENCE, "all"}
