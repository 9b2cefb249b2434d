"""What a running organism keeps of conversations that are over, and what it does when there is no room for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_backends import corrupt

from runtime.living import answer, ask, fault, live, payload, until, write
from xpipe import Organism, Output
from xpipe.config.loading import load_definition
from xpipe.core.errors import LimitError
from xpipe.core.messages import ConversationRecord, Injection
from xpipe.runtime import lease
from xpipe.state.factory import make_backend

CODE = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, ask.text))

async def breaks(ask: Ask, m: HandlerMetadata):
    raise ValueError("broken")

async def waits(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        await asyncio.sleep(0.005)
    return respond(Answer(ask.n))
"""
LISTENERS: dict[str, dict[str, Any]] = {"echo": {}, "breaks": {}, "waits": {}}
BACKENDS = ["memory", "sqlite"]


@pytest.fixture
def organism_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes an organism on the backend `type`, with further `options` of its backend."""

    def make(type: str, **options: Any) -> Path:
        place = {"path": "state.db"} if type == "sqlite" else {}
        return write(tmp_path, CODE, LISTENERS, backend={"type": type, **place, **options})

    return make


@pytest.fixture
def quick_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.02)


def record(organism: Organism, conversation: str) -> ConversationRecord:
    [found] = [one for one in organism.backend.conversations() if one.id == conversation]
    return found


def kept(organism: Organism) -> set[str]:
    return {one.id for one in organism.backend.conversations()}


def count_calls(organism: Organism, verb: str) -> list[str]:
    """Grows with each call of `verb` that the backend has answered."""
    calls: list[str] = []
    original = getattr(organism.backend, verb)

    def counted(*arguments: Any) -> Any:
        result = original(*arguments)
        calls.append(verb)
        return result

    setattr(organism.backend, verb, counted)
    return calls


@pytest.mark.usefixtures("quick_upkeep")
@pytest.mark.parametrize("type", BACKENDS)
def test_what_has_been_over_for_longer_than_the_retention_is_forgotten_while_the_organism_runs(
    organism_file: Callable[..., Path], tmp_path: Path, type: str
) -> None:
    async def scenario(organism: Organism) -> None:
        live_one = await organism.inject("waits", payload(organism))
        await answer(organism, "echo")
        await fault(organism, "breaks")
        unasked = await organism.inject("echo", payload(organism, n=7))

        await until(lambda: kept(organism) == {live_one})
        await until(lambda: organism.backend.totals().dead_letters == 0)
        assert organism.backend.totals().threads == 2

        assert [one.payload.n for one in await organism.outputs(unasked)] == [7]
        (tmp_path / "go").touch()
        assert len(await organism.outputs(live_one)) == 1
        await until(lambda: kept(organism) == set())

    live(organism_file(type, retention="200ms"), scenario)


@pytest.mark.usefixtures("quick_upkeep")
@pytest.mark.parametrize("type", BACKENDS)
def test_what_is_younger_than_the_retention_is_kept(organism_file: Callable[..., Path], type: str) -> None:
    async def scenario(organism: Organism) -> None:
        await answer(organism, "echo")
        await fault(organism, "breaks")

        looks = count_calls(organism, "forget_ended")
        await until(lambda: len(looks) > 2)
        assert (organism.backend.totals().conversations, organism.backend.totals().dead_letters) == (2, 1)

    live(organism_file(type, retention="1h"), scenario)


@pytest.mark.parametrize("type", BACKENDS)
def test_conversations_whose_outputs_were_handed_on_make_room_for_more(
    organism_file: Callable[..., Path], type: str
) -> None:
    async def scenario(organism: Organism) -> None:
        for number in range(6):
            assert (await answer(organism, "echo", n=number)).n == number
            assert organism.backend.totals().threads <= 4

    live(organism_file(type, max_threads=3), scenario)


def test_injection_waits_at_max_threads_until_outputs_are_delivered(
    organism_file: Callable[..., Path], tmp_path: Path
) -> None:
    async def scenario(organism: Organism) -> None:
        over, busy = await organism.inject("echo", {"n": 1}), await organism.inject("waits", {"n": 2})
        await until(lambda: record(organism, over).state == "done")
        looks = count_calls(organism, "make_room")
        waiting = asyncio.create_task(organism.inject("echo", {"n": 3}))
        await until(lambda: len(looks) > 1 or waiting.done())
        assert not waiting.done()
        assert kept(organism) == {over, busy}

        assert [one.payload.n for one in await organism.outputs(over)] == [1]
        third = await waiting

        assert kept(organism) == {busy, third}
        (tmp_path / "go").touch()
        assert [one.payload.n for one in await organism.outputs(third)] == [3]

    live(organism_file("sqlite", max_threads=4), scenario)


def test_injection_is_refused_when_nothing_will_ever_make_room(organism_file: Callable[..., Path]) -> None:
    async def scenario(organism: Organism) -> None:
        first, second = await organism.inject("echo", {"n": 1}), await organism.inject("echo", {"n": 2})
        await organism.idle()

        with pytest.raises(LimitError, match=r"keeps 4 threads, as many as backend\.max_threads allows"):
            await organism.inject("echo", {"n": 3})
        assert kept(organism) == {first, second}

        await organism.outputs(first)
        third = await organism.inject("echo", {"n": 3})
        assert kept(organism) == {second, third}

    live(organism_file("sqlite", max_threads=4), scenario)


def test_injection_waits_while_outputs_are_being_printed(organism_file: Callable[..., Path]) -> None:
    definition = load_definition(organism_file("sqlite", max_threads=2))

    async def run() -> None:
        printing, go = asyncio.Event(), asyncio.Event()

        async def printed() -> bool:
            printing.set()
            await go.wait()
            return True

        async with asyncio.timeout(20), Organism(definition, on_happening=lambda _: None, printed=printed) as organism:
            await organism.inject("echo", {"n": 1})
            await printing.wait()
            await organism.idle()
            looks = count_calls(organism, "make_room")
            waiting = asyncio.create_task(organism.inject("echo", {"n": 2}))
            await until(lambda: len(looks) > 1 or waiting.done())
            assert not waiting.done()

            go.set()
            second = await waiting
            assert kept(organism) == {second}

    asyncio.run(run())


def test_outputs_that_were_asked_for_are_delivered_and_others_happen_again_on_a_resume(
    organism_file: Callable[..., Path],
) -> None:
    path = organism_file("sqlite")

    async def first_run(organism: Organism) -> tuple[str, str]:
        asked, unasked = await organism.inject("echo", {"n": 1}), await organism.inject("echo", {"n": 2})
        await organism.outputs(asked)
        await organism.idle()
        await until(lambda: record(organism, asked).delivered == 1)
        assert record(organism, unasked).delivered == 0
        return asked, unasked

    async def second_run(organism: Organism) -> list[Output]:
        assert await organism.resume() == []
        return await organism.outputs(unasked)

    async def third_run(organism: Organism) -> None:
        assert {one.delivered for one in organism.backend.conversations()} == {1}
        await organism.resume()
        assert await organism.outputs(asked) == await organism.outputs(unasked) == []

    asked, unasked = live(path, first_run)
    assert [one.payload.n for one in live(path, second_run)] == [2]
    live(path, third_run)


def test_what_was_handed_on_just_before_the_stop_is_delivered(organism_file: Callable[..., Path]) -> None:
    path = organism_file("sqlite")

    async def ask_and_stop(organism: Organism) -> None:
        assert len(await ask(organism, "echo")) == 1

    async def look(organism: Organism) -> list[int]:
        return [one.delivered for one in organism.backend.conversations()]

    live(path, ask_and_stop)
    assert live(path, look) == [1]


def test_a_message_that_cannot_be_read_is_a_fault_and_the_pump_goes_on(organism_file: Callable[..., Path]) -> None:
    path = organism_file("sqlite")
    organism = Organism.load(path)
    backend = make_backend(organism.config)
    backend.open("living", 100)
    [lost] = backend.inject("", [Injection("send", ["echo"], "Ask", b"\x80")], 1.0)
    corrupt(backend, [one.thread for one in backend.threads(lost)][1], 0, b"garbage")
    backend.close()

    async def scenario(organism: Organism) -> None:
        await organism.resume()
        [output] = await organism.outputs(lost)
        assert (output.kind, output.payload.code, output.payload.origin) == ("fault", "damaged_message", "echo")
        assert (await answer(organism, "echo", n=5)).n == 5
        assert [letter.message for letter in organism.backend.dead_letters()] == [b"garbage"]

    live(path, scenario)
