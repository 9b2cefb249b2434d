"""Which conversations are taken over."""

from __future__ import annotations

import asyncio
from typing import Any

from contract_kit import Driver

from xpipe.backends.memory import InMemoryBackend
from xpipe.runtime.lease import pump_record
from xpipe.runtime.line import Line
from xpipe.runtime.takeover import Takeover


class Taker:
    """As much of a pump as is needed to take over."""

    id = "taker"

    def __init__(self) -> None:
        self.line = Line(blocking=False)


def test_a_conversation_of_a_live_pump_does_not_keep_those_behind_it_from_being_taken_over() -> None:
    # given: a conversation of a pump that lives, and a later one of a pump that does not
    backend = InMemoryBackend()
    backend.open("living", 100)
    live, dead = Driver(backend, "live"), Driver(backend, "dead")
    for name in ("live", Taker.id):
        backend.enroll(pump_record(name))
    running = [drive.inject("a") for drive in (live, dead)]
    taker: Any = Taker()

    async def taken() -> list[str]:
        return [record.id async for record, _ in Takeover(backend, taker).all()]

    assert asyncio.run(taken()) == running[1:]


def test_what_is_over_and_printed_is_not_taken_over() -> None:
    # given: of a pump that is dead, one conversation all outputs of which were printed, and one with some that were not
    backend = InMemoryBackend()
    backend.open("living", 100)
    dead = Driver(backend, "dead")
    backend.enroll(pump_record(Taker.id))
    printed, waiting = dead.talk(), dead.talk()
    backend.delivered({printed: 1})
    taker: Any = Taker()

    async def taken() -> list[str]:
        return [record.id async for record, _ in Takeover(backend, taker).all()]

    assert asyncio.run(taken()) == [waiting]


def test_unserved_is_what_runs_and_belongs_to_no_live_pump() -> None:
    backend = InMemoryBackend()
    backend.open("living", 100)
    live, dead = Driver(backend, "live"), Driver(backend, "dead")
    backend.enroll(pump_record("live"))
    dead.talk()
    running = [drive.inject("a") for drive in (live, dead)]
    taker: Any = Taker()

    assert [one.id for one in Takeover(backend, taker).unserved()] == running[1:]
