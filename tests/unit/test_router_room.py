"""Rows B8, B17 and B18 of docs/semantics.md: Buffers that have to wait for room, and Buffers that are over by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from router_kit import PUMP, Ping, Pong, World, call, listener, respond

from xpipe.core.limits import Limits
from xpipe.core.messages import MORE, Claim, claimed_message
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import BUFFER, BufferComplete, BufferDispatched, BufferError, BufferStart, Fault, Items

RESULTS = (BufferComplete, BufferDispatched, Fault)


def world_in(folder: Path, in_flight: int = 10_000) -> World:
    return World(
        listener("a", Ping, Pong, *RESULTS),
        listener("b"),
        listener("all", Items, buffer=BufferOptions("b")),
        folder=str(folder),
        limits=Limits(in_flight=in_flight),
    )


def taken(world: World, listener: str, most: int = 1_000) -> list[Claim]:
    return world.backend.advance(PUMP, [], {listener: most}, most, world.now).claims


def start(world: World, request: Any, to: str = BUFFER) -> None:
    world.inject("a")
    world.hop("a", call(to, request))
    feed(world, to)


def feed(world: World, *listeners: str) -> int:
    """Let Buffers take what there is for them, one message after the other; how often they were asked for more."""
    asked = 0
    while claims := [claim for name in listeners for claim in taken(world, name, 1)]:
        for claim in claims:
            asked += claimed_message(claim).kind == MORE
            world.commit(world.step(claim))
    return asked


def last(world: World) -> Any:
    return world.history("a")[-1][1]


@pytest.mark.parametrize("collect", [True, False])
@pytest.mark.parametrize("at_once", [1, 7, 1_000])
def test_B17_a_buffer_sends_no_more_than_there_is_room_for(tmp_path: Path, at_once: int, collect: bool) -> None:
    world = world_in(tmp_path, in_flight=50)
    start(world, BufferStart("b", [Ping(n) for n in range(500)], collect=collect))
    under_way, answered, most = taken(world, "b"), 0, 0

    while under_way:
        most = max(most, world.backend.load().in_flight)
        ready, under_way = under_way[:at_once], under_way[at_once:]
        world.commit(*(world.step(claim, respond(Pong())) for claim in ready))
        answered += len(ready)
        feed(world, BUFFER)
        under_way += taken(world, "b")

    assert answered == 500
    assert 40 <= most <= 51
    world.play(a=lambda *_: None)
    assert last(world).total == 500
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_B17_without_any_room_it_goes_on_with_one_item_and_does_not_look_again_and_again(tmp_path: Path) -> None:
    world = world_in(tmp_path, in_flight=1)
    start(world, BufferStart("b", [Ping(n) for n in range(20)]))

    asked = []
    while claims := taken(world, "b"):
        assert len(claims) == 1
        world.commit(world.step(claims[0], respond(Pong())))
        asked.append(feed(world, BUFFER))

    assert asked == [1] * 19 + [0]
    assert last(world).successful == 20


def test_B17_a_buffer_that_waits_for_room_is_asked_for_more_as_items_end(tmp_path: Path) -> None:
    world = world_in(tmp_path, in_flight=41)
    start(world, BufferStart("b", [Ping(n) for n in range(500)]))
    claims = taken(world, "b")
    assert len(claims) == 40

    def end(count: int) -> int:
        world.commit(*(world.step(claims.pop(), respond(Pong())) for _ in range(count)))
        return feed(world, BUFFER)

    assert end(9) == 0
    assert end(1) == 1


def test_B17_buffers_in_buffers_stay_near_the_limit_and_all_complete(tmp_path: Path) -> None:
    world = world_in(tmp_path, in_flight=50)
    start(world, BufferStart("all", [Items([Ping(n) for n in range(30)]) for _ in range(30)]))
    feed(world, "all")
    most = 0

    def answered(*_: Any) -> Any:
        nonlocal most
        most = max(most, world.backend.load().in_flight)
        return respond(Pong())

    while claims := taken(world, "b", 1):
        world.commit(world.step(claims[0], answered))
        feed(world, BUFFER, "all")
    world.hop("a", None)

    assert most <= 100
    assert [one.result.successful for one in last(world).results] == [30] * 30
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def killed_before_more(world: World, path: Path, **terms: Any) -> Claim:
    """The claim of the message `more` of a Buffer whose time is up by now, and whose file has gone."""
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(20)))
    start(world, BufferStart("b", items_from=path.name, max_in_flight=4, timeout=5.0, **terms))
    world.commit(world.step(taken(world, "b")[0], respond(Pong())))
    [more] = taken(world, BUFFER)
    path.unlink()
    world.now += 6.0
    world.advance(most=0)
    return more


@pytest.mark.parametrize("cancel_rest", [True, False])
def test_B8_a_file_that_is_gone_by_the_end_of_its_buffer_does_not_matter(tmp_path: Path, cancel_rest: bool) -> None:
    world = world_in(tmp_path)
    more = killed_before_more(world, tmp_path / "in.jsonl", cancel_rest=cancel_rest)

    world.commit(world.step(more))
    world.play(a=lambda *_: None)

    assert type(last(world)) is BufferComplete
    assert (last(world).successful, last(world).timed_out, last(world).unread) == (1, 3, True)
    assert world.backend.totals().dead_letters == 0


def test_B8_the_fault_of_a_buffer_that_was_over_is_the_one_that_was_decided(tmp_path: Path) -> None:
    world = world_in(tmp_path)
    more = killed_before_more(world, tmp_path / "in.jsonl", min_success=3, on_partial="fault")

    world.commit(world.step(more))
    world.play(a=lambda *_: None)

    assert (type(last(world)), last(world).code) == (BufferError, "too_few_successes")
    assert (world.buried(), world.backend.totals().dead_letters) == ([], 1)


@pytest.mark.parametrize("on_partial", ["complete", "fault"])
def test_B18_the_end_of_a_buffer_that_has_failed_meanwhile_is_nothing(tmp_path: Path, on_partial: str) -> None:
    # given: a Buffer that finds its file gone in the moment in which its time is up
    world, path = world_in(tmp_path), tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"n": {n}}}\n' for n in range(20)))
    request = BufferStart("b", items_from=path.name, max_in_flight=4, timeout=5.0, min_success=9, on_partial=on_partial)
    start(world, request)
    world.commit(world.step(taken(world, "b")[0], respond(Pong())))
    [more] = taken(world, BUFFER)
    path.unlink()
    step = world.step(more)

    # when: the time is up before that is committed
    world.now += 6.0
    world.advance(most=0)
    world.commit(step)
    world.play(a=lambda *_: None)

    # then: its caller is told once, and so is whoever looks at dead letters
    assert [payload.code for _, payload in world.history("a")[1:]] == ["unreadable_items"]
    assert (world.buried(), world.backend.totals().dead_letters) == ([], 1)
    assert (world.endings(), world.late) == (["done"], 0)
