"""A pump that others took for dead misses nothing of what they did meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtime.living import live, payload, until, write
from xpipe import Organism, Output
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.config.loading import load_definition
from xpipe.runtime import lease

CODE = """
async def slow(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    while not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return respond(Answer(ask.n))


async def quick(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return respond(Answer(ask.n))


async def both_slow(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return await slow(ask, metadata)


async def both_quick(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    return respond(Answer(-ask.n))
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.2)


def organism_in(folder: Path) -> Path:
    group = {"both.slow": {"broadcast": True}, "both.quick": {"broadcast": True}}
    listeners = {"slow": {"concurrency": 1}, "quick": {}, **group}
    return write(folder, CODE, listeners, backend={"type": "sqlite", "path": "state.db"})


async def buried(organism: Organism, folder: Path) -> str:
    """Do as a pump does that takes `organism` for dead; its id until then."""
    old = organism.pump.id
    other = SQLiteBackend(folder / "state.db")
    other.open(None, 100)
    await asyncio.to_thread(other.bury_pump, old)
    other.close()
    return old


async def renamed(organism: Organism, old: str) -> None:
    while organism.pump.id == old:  # noqa: ASYNC110  # Its lease is another thread's.
        await asyncio.sleep(0.01)


def test_a_conversation_goes_on_and_is_answered_once(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("slow", payload(organism, n=7))
        await renamed(organism, await buried(organism, tmp_path))
        (tmp_path / "go").touch()

        outputs = await organism.outputs(conversation)

        assert [one.payload.n for one in outputs] == [7]

    live(organism_in(tmp_path), scenario)


def test_what_others_answered_while_it_was_unknown_is_told(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversations = [await organism.inject("slow", payload(organism, n=n)) for n in range(3)]
        organism.pump.stop_claiming()
        other = Organism.load(tmp_path / "organism.yaml")
        old = await buried(organism, tmp_path)
        async with other:
            (tmp_path / "go").touch()
            while other.backend.load().in_flight:  # noqa: ASYNC110  # Another process would do it.
                await asyncio.sleep(0.01)
        await renamed(organism, old)

        answers = [[one.payload.n for one in await organism.outputs(one)] for one in conversations]

        assert answers == [[0], [1], [2]]

    live(organism_in(tmp_path), scenario)


def test_what_another_run_took_over_is_waited_for_no_longer(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("slow", payload(organism, n=1))
        old = await buried(organism, tmp_path)
        other = SQLiteBackend(tmp_path / "state.db")
        other.open(None, 100)
        assert other.adopt("another", conversation, old) is not None

        await organism.idle()

        other.close()

    live(organism_in(tmp_path), scenario)


def test_what_it_serves_for_a_sender_is_told_too(tmp_path: Path) -> None:
    told: list[object] = []

    async def run() -> None:
        definition = load_definition(organism_in(tmp_path))
        serving = Organism(definition, on_happening=told.append, serves=True)
        async with asyncio.timeout(20), serving:
            sent = serving.intake.injection("send", "slow", payload(serving, n=5))
            serving.backend.inject(serving.pump.id, [sent], 1.0)
            serving.pump.stop_claiming()
            old = await buried(serving, tmp_path)
            (tmp_path / "go").touch()
            async with Organism.load(tmp_path / "organism.yaml") as other:
                while other.backend.load().in_flight:  # noqa: ASYNC110  # Another process would do it.
                    await asyncio.sleep(0.01)
            await renamed(serving, old)
            while not told:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert [one.payload.n for one in told if isinstance(one, Output)] == [5]


def answers(outputs: list[object]) -> list[int]:
    return [one.payload.n for one in outputs if isinstance(one, Output)]


def test_an_output_from_before_is_collected_once(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("both", payload(organism, n=7))
        await until(lambda: organism.stats.hops == 1)
        await renamed(organism, await buried(organism, tmp_path))
        (tmp_path / "go").touch()

        assert answers(await organism.outputs(conversation)) == [-7, 7]

    live(organism_in(tmp_path), scenario)


def test_an_output_that_was_handed_over_before_is_not_handed_over_again(tmp_path: Path) -> None:
    told: list[object] = []

    async def run() -> None:
        serving = Organism(load_definition(organism_in(tmp_path)), on_happening=told.append)
        async with asyncio.timeout(20), serving:
            await serving.inject("both", payload(serving, n=7))
            await until(lambda: answers(told) == [-7])
            await renamed(serving, await buried(serving, tmp_path))
            (tmp_path / "go").touch()
            await serving.idle()

    asyncio.run(run())
    assert answers(told) == [-7, 7]
