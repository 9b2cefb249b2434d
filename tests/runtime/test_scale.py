"""What must not grow with the number of messages, calls, listeners and of those who wait."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from runtime.living import answer, ask, assert_nothing_left, inject_many, live, payload, write
from xpipe import Organism

CODE = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def works(ask: Ask, m: HandlerMetadata):
    end = time.monotonic() + 0.005
    while time.monotonic() < end:
        pass
    return respond(Answer(ask.n))

async def calls_many(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return [HandlerResponse(Ask(n), to="echo") for n in range(ask.n)]

async def waits(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        await asyncio.sleep(0.05)
    return respond(Answer(ask.n))
"""


async def turns_during(work: asyncio.Task[Any]) -> int:
    """How often the event loop came round while `work` was under way."""
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


def test_a_batch_of_handlers_that_do_not_wait_lets_the_event_loop_go_round(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"works": {}})

    async def scenario(organism: Organism) -> None:
        await inject_many(organism, "works", 200)  # One batch: a second of work.
        assert await turns_during(asyncio.create_task(organism.idle())) > 50
        assert_nothing_left(organism)

    live(path, scenario)


def test_what_is_done_is_told_before_the_rest_of_the_batch_is(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"works": {}})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "works", 200)
        await organism.outputs(ids[0])
        assert organism.unfinished > 100

    live(path, scenario)


def test_a_batch_cut_short_claims_no_more_than_threads_can_take(tmp_path: Path) -> None:
    code = (
        CODE
        + """
def in_thread(ask: Ask, m: HandlerMetadata):
    time.sleep(0.1)
    return respond(Answer(threading.active_count()))
"""
    )
    path = write(tmp_path, code, {"works": {}, "in_thread": {}})

    async def scenario(organism: Organism) -> None:
        others = threading.active_count()
        works = await inject_many(organism, "works", 100)
        ids = await inject_many(organism, "in_thread", 300)
        await asyncio.gather(*(organism.outputs(one) for one in works))
        most = max([(await organism.outputs(one))[0].payload.n for one in ids])
        assert most <= others + 32 + 5
        assert_nothing_left(organism)

    live(path, scenario)


def test_thousands_of_calls_of_one_handler_get_a_thread_each(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"calls_many": {}, "echo": {}})

    async def scenario(organism: Organism) -> None:
        await ask(organism, "calls_many", n=9_000)
        chains = {chain.rpartition(".")[2] for chain in organism.backend.registry_list_all().values()}
        assert {"echo", "echo~2", "echo~9000"} <= chains
        assert_nothing_left(organism)

    live(path, scenario, deadline=100)


def test_each_of_those_who_wait_is_told_of_the_end_of_its_conversation(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"waits": {}, "echo": {}})

    async def scenario(organism: Organism) -> None:
        one = await organism.inject("waits", payload(organism))
        waiting = [asyncio.create_task(organism.outputs(one)) for _ in range(3_000)]
        for n in range(100):
            await answer(organism, "echo", n=n)
        assert not any(task.done() for task in waiting)
        (tmp_path / "go").touch()
        assert sum([len(outputs) for outputs in await asyncio.gather(*waiting)]) == 1

    live(path, scenario)


def test_listeners_that_came_and_went_leave_nothing_to_look_at(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"echo": {}})

    async def reply(asked: Any, metadata: Any) -> None:
        del asked, metadata

    async def scenario(organism: Organism) -> None:
        for number in range(200):
            organism.register_generic_listener(f"reply-{number}", reply)
            await ask(organism, f"reply-{number}")
            organism.unregister_listener(f"reply-{number}")
        await answer(organism, "echo")
        assert organism.topology.gone == set()
        assert organism.pump.running == {}
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_message_made_for_a_listener_that_has_gone_since_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"echo": {}})

    async def scenario(organism: Organism) -> None:
        organism.register_generic_listener("guest", lambda *_: None, inline=True)
        late = organism.intake.injection("api", "guest", payload(organism))
        organism.unregister_listener("guest")
        await answer(organism, "echo")  # Nothing is in flight after it.
        [conversation] = await organism.inject_all([late])
        [output] = await organism.outputs(conversation)
        assert output.payload.code == "unknown_target"

    live(path, scenario)
