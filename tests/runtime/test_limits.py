"""Each limit ends in a fault that names it and says what to do, or makes sources wait; the same on every backend."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.living import (
    answer,
    assert_nothing_left,
    count_looks,
    fault,
    inject_many,
    live,
    payload,
    until,
    write,
)
from runtime.stores import on_every_backend, on_lasting_backends, section
from xpipe import Organism
from xpipe.runtime import supervisor

CODE = """
async def ping(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(Ask(1), to="pong")
async def pong(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, "x" * ask.n))
async def left(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="right")
async def right(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="left")
async def itself(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(ask, to="itself")
async def fans(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(BufferStart("pong", [Ask(1)] * ask.n), to="system.buffer")
async def calls(ask: Ask, m: HandlerMetadata):
    return [HandlerResponse(Ask(1), to="pong")] * ask.n
async def waits(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        await asyncio.sleep(0.005)
    return respond(Answer(ask.n))
"""
LISTENERS: dict[str, dict[str, Any]] = {
    name: {} for name in ("ping", "pong", "left", "right", "itself", "fans", "calls", "waits")
}
HOPS = "over limits.hops (100); end the loop or raise it"
SLOTS = "(limits.slots_per_thread, backend.max_slots_per_thread); raise it or start another"
HOUR = 3_600.0


def organism_in(folder: Path, backend: str, **limits: Any) -> Path:
    return write(folder, CODE, LISTENERS, backend=section(backend), limits=limits)


@on_every_backend
@pytest.mark.parametrize(
    ("listener", "n", "limits", "code", "text"),
    [
        ("ping", 0, {"hops": 100}, "too_many_hops", HOPS),
        ("itself", 0, {"hops": 100}, "too_many_hops", HOPS),
        ("left", 0, {"depth": 20}, "too_deep", "longer than limits.depth (20); call less deep or raise it"),
        ("pong", 2_000, {"payload_bytes": 1_000}, "payload_too_large", "(1000); send less or raise it"),
        ("fans", 11, {"fan_out": 10}, "fan_out_too_wide", "11 items, over limits.fan_out (10); split or raise it"),
        ("calls", 11, {"fan_out": 10}, "fan_out_too_wide", "limits.fan_out (10) allows; split or raise it"),
        ("ping", 0, {"slots_per_thread": 20}, "too_many_slots", SLOTS),
        ("itself", 0, {"slots_per_thread": 20}, "too_many_slots", SLOTS),
    ],
    ids=["ping-pong", "self calls", "depth", "payload", "Buffer", "calls at once", "slots", "slots of self calls"],
)
def test_a_limit_ends_in_a_fault_that_names_it_and_says_what_to_do(
    tmp_path: Path, backend: str, listener: str, n: int, limits: dict[str, int], code: str, text: str
) -> None:
    async def scenario(organism: Organism) -> None:
        found = await fault(organism, listener, n=n)
        assert (found.code, found.text[-len(text) :]) == (code, text)
        assert_nothing_left(organism)

    live(organism_in(tmp_path, backend, **limits), scenario)


@on_every_backend
def test_an_endless_ping_pong_leaves_other_conversations_alone(tmp_path: Path, backend: str) -> None:
    async def scenario(organism: Organism) -> None:
        endless = await inject_many(organism, "ping", 3)
        others = await inject_many(organism, "pong", 100)
        assert [(await organism.outputs(one))[0].payload.n for one in others] == list(range(100))
        assert [(await organism.outputs(one))[0].payload.code for one in endless] == ["too_many_hops"] * 3

    live(organism_in(tmp_path, backend, hops=200), scenario)


@on_every_backend
def test_at_the_limit_of_messages_in_flight_a_source_waits_and_then_goes_on(tmp_path: Path, backend: str) -> None:
    async def scenario(organism: Organism) -> None:
        first = [await organism.inject("waits", payload(organism, n=n)) for n in range(3)]
        looks = count_looks(organism)
        late = asyncio.create_task(organism.inject("pong", payload(organism, n=7)))

        await until(lambda: len(looks) > 1 or late.done())
        assert not late.done()
        assert organism.backend.totals().conversations == 3
        (tmp_path / "go").touch()

        assert [(await organism.outputs(one))[0].payload.n for one in (*first, await late)] == [0, 1, 2, 7]
        assert_nothing_left(organism)

    live(organism_in(tmp_path, backend, in_flight=3), scenario)


@on_every_backend
def test_a_conversation_that_takes_too_long_ends_in_a_fault(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOOK", 0.02)

    async def scenario(organism: Organism) -> None:
        found = await fault(organism, "waits")
        assert (found.code, found.text) == (
            "conversation_timeout",
            "the conversation took longer than limits.conversation_duration (200 ms); "
            "raise it or make the work shorter",
        )
        await until(lambda: organism.pump.under_way == 0)
        assert_nothing_left(organism)
        assert (await answer(organism, "pong", n=3)).n == 3

    live(organism_in(tmp_path, backend, conversation_duration="200ms"), scenario)


@on_lasting_backends
def test_the_duration_of_a_conversation_counts_from_its_start_whichever_run_goes_on_with_it(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOOK", 0.02)

    async def scenario(organism: Organism) -> None:
        # given: two conversations of a run that is gone, one begun an hour ago
        asked = [organism.intake.injection("api", "waits", payload(organism))]
        [old] = organism.backend.inject("gone", asked, time.time() - HOUR)
        [young] = organism.backend.inject("gone", asked, time.time())

        assert young in await organism.resume()

        [output] = await organism.outputs(old)
        assert output.payload.code == "conversation_timeout"
        (tmp_path / "go").touch()
        [output] = await organism.outputs(young)
        assert output.kind == "response"
        assert_nothing_left(organism)

    live(organism_in(tmp_path, backend, conversation_duration="30m"), scenario)
