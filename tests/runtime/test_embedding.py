"""The embedding API: an organism inside somebody else's event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, fault, inject_many, live, payload, until, write
from xpipe import HandlerResponse, Organism, PayloadError, XpipeError
from xpipe.core.errors import UsageError

CODE = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n, ask.text))

async def waits(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    while not (HERE / "go").exists():
        await asyncio.sleep(0.005)
    return respond(Answer(ask.n))

def thread_waits(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    while not (HERE / "go").exists():
        time.sleep(0.005)
    return respond(Answer(ask.n))

def cpu_waits(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    while not (HERE / "go").exists():
        time.sleep(0.005)
    return respond(Answer(ask.n))

async def calls(ask: Ask | Answer, m: HandlerMetadata):
    return HandlerResponse(Ask(ask.n), to=ask.text) if isinstance(ask, Ask) else respond(ask)

async def step(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(Ask(ask.n - 1), to="step") if ask.n else respond(Answer(0))
"""

LISTENERS: dict[str, dict[str, Any]] = {
    "echo": {},
    "waits": {},
    "thread_waits": {},
    "cpu_waits": {"cpu_bound": True},
    "calls": {},
    "step": {},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, CODE, LISTENERS, process_pool={"workers": 1})


async def echo_back(payload: Any, metadata: Any) -> HandlerResponse:
    del metadata
    return HandlerResponse.respond(payload)


def test_outputs_are_those_of_the_conversation_in_order(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        first, second = await organism.inject("echo", {"n": 1}), await organism.inject("echo", '{"n": 2}')
        assert [(one.payload.n, one.conversation) for one in await organism.outputs(second)] == [(2, second)]
        [output] = await organism.outputs(first)
        assert (output.kind, output.sender, output.type, output.payload.n) == ("response", "echo", "Answer", 1)
        assert await organism.outputs(first) == []
        assert await organism.outputs("unknown") == []

    live(path, scenario)


def test_many_may_wait_for_one_conversation_and_for_idleness(path: Path, tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("waits", payload(organism, n=5))
        waiting = [asyncio.create_task(organism.idle()) for _ in range(5)]
        waiting_outputs = asyncio.create_task(organism.outputs(conversation))
        await until((tmp_path / "began").exists)
        assert not any(task.done() for task in waiting)
        (tmp_path / "go").touch()
        await asyncio.gather(*waiting)
        assert (await waiting_outputs)[0].payload.n == 5

    live(path, scenario)


def test_starting_twice_is_a_usage_error(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        with pytest.raises(UsageError, match="the organism is started already; stop it first"):
            await organism.start()
        assert (await answer(organism, "echo", n=1)).n == 1

    live(path, scenario)


def test_nothing_goes_in_before_start_or_after_stop(path: Path) -> None:
    async def run() -> None:
        organism = Organism.load(path)
        for _ in range(2):
            with pytest.raises(UsageError, match="the organism is not started"):
                await organism.inject("echo", {"n": 1})
            async with organism:
                assert (await answer(organism, "echo", n=1)).n == 1
        await organism.stop()  # Once more does no harm.

    asyncio.run(run())


@pytest.mark.parametrize(
    ("to", "what", "code"),
    [
        ("ehco", {"n": 1}, "unknown_target"),
        ("echo", {"n": "seven"}, "bad_payload"),
        ("echo", {"m": 1}, "bad_payload"),
        ("echo", "<Ask><n>x</n></Ask>", "bad_payload"),
        ("echo", "garbage", "bad_payload"),
        ("echo", 7, "unknown_type"),
        ("echo", None, "unknown_type"),
        ("echo", object(), "unknown_type"),
    ],
)
def test_what_cannot_be_injected_is_a_payload_error(path: Path, to: str, what: Any, code: str) -> None:
    async def scenario(organism: Organism) -> str:
        with pytest.raises(PayloadError) as caught:
            await organism.inject(to, what)
        assert organism.unfinished == 0
        assert (await answer(organism, "echo", n=1)).n == 1
        return caught.value.code

    assert live(path, scenario) == code


def test_an_injected_payload_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, LISTENERS, limits={"payload_bytes": 1_000})

    async def scenario(organism: Organism) -> str:
        with pytest.raises(PayloadError) as caught:
            await organism.inject("echo", payload(organism, text="x" * 2_000))
        return caught.value.code

    assert live(path, scenario) == "payload_too_large"


@pytest.mark.parametrize("listener", ["waits", "thread_waits", "cpu_waits"])
def test_stop_in_the_middle_of_work_is_quick_and_tells_who_waits(path: Path, tmp_path: Path, listener: str) -> None:
    async def run() -> None:
        organism = Organism.load(path)
        await organism.start()
        conversation = await organism.inject(listener, payload(organism))
        waiting = [asyncio.create_task(organism.outputs(conversation)), asyncio.create_task(organism.idle())]
        await until((tmp_path / "began").exists)
        await organism.stop()
        for task in waiting:
            with pytest.raises(UsageError, match="the organism was stopped"):
                await asyncio.wait_for(task, 1.0)
        assert organism.unfinished == 1
        # Started again, it serves, and does not wait for what was left.
        async with asyncio.timeout(10), organism:
            assert (await answer(organism, "echo", n=3)).n == 3
            await organism.idle()
        (tmp_path / "go").touch()

    asyncio.run(run())


def test_stop_cancels_handlers_and_leaves_their_messages_unfinished(tmp_path: Path) -> None:
    code = """
async def tidy(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    try:
        await asyncio.sleep(30)
    finally:
        (HERE / "tidied").touch()
"""
    path = write(tmp_path, code, {"tidy": {}})

    async def run() -> None:
        organism = Organism.load(path)
        async with organism:
            await organism.inject("tidy", payload(organism))
            await until((tmp_path / "began").exists)
        assert (tmp_path / "tidied").exists()
        assert organism.backend.totals().in_flight == 1
        assert organism.backend.totals().dead_letters == 0

    asyncio.run(run())


def test_a_handler_that_ignores_its_end_does_not_keep_stop(tmp_path: Path) -> None:
    code = """
async def stubborn(ask: Ask, m: HandlerMetadata):
    (HERE / "began").touch()
    while not (HERE / "go").exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass
"""
    path = write(tmp_path, code, {"stubborn": {}})

    async def run() -> None:
        organism = Organism.load(path)
        await organism.start()
        await organism.inject("stubborn", payload(organism))
        await until((tmp_path / "began").exists)
        await organism.stop()
        (tmp_path / "go").touch()

    asyncio.run(run())


def test_drain_lets_those_under_way_end_and_takes_no_more(path: Path, tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("waits", payload(organism, n=1))
        await until((tmp_path / "began").exists)
        draining = asyncio.create_task(organism.drain(10.0))
        await asyncio.sleep(0)
        later = await organism.inject("echo", payload(organism, n=2))
        (tmp_path / "go").touch()
        await draining
        assert [output.payload.n for output in await organism.outputs(conversation)] == [1]
        assert organism.running == {later}

    live(path, scenario)


def test_drain_gives_up_after_its_grace(path: Path) -> None:
    async def scenario(organism: Organism) -> float:
        await organism.inject("waits", payload(organism, n=1))
        await until(lambda: organism.pump.under_way == 1)
        started = time.monotonic()
        await organism.drain(0.2)
        return time.monotonic() - started

    assert live(path, scenario) >= 0.2


def test_never_more_in_flight_than_the_limit_and_one_batch(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, LISTENERS, limits={"in_flight": 10})

    async def scenario(organism: Organism) -> int:
        most = 0

        async def feed(n: int) -> None:
            nonlocal most
            conversation = await organism.inject("calls", payload(organism, n=n, text="echo"))
            most = max(most, organism.backend.load().in_flight)
            assert (await organism.outputs(conversation))[0].payload.n == n

        await asyncio.gather(*(feed(n) for n in range(500)))
        batch = [organism.intake.injection("api", "echo", payload(organism, n=n)) for n in range(20)]
        for _ in range(10):
            await organism.inject_all(batch)
            assert organism.backend.load().in_flight < 10 + 20
        await organism.idle()
        assert_nothing_left(organism)
        return most

    assert 1 < live(path, scenario) <= 10


def test_handlers_may_inject_into_their_own_organism(path: Path) -> None:
    async def scenario(organism: Organism) -> list[int]:
        begun: list[str] = []

        async def starts(ask: Any, metadata: Any) -> HandlerResponse:
            del metadata
            begun.append(await organism.inject("echo", ask))
            return HandlerResponse.respond(ask)

        organism.register_generic_listener("starts", starts)
        assert (await answer(organism, "starts", n=4)).n == 4
        return [(await organism.outputs(one))[0].payload.n for one in begun]

    assert live(path, scenario) == [4]


def test_a_generic_listener_serves_as_soon_as_it_is_registered(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        assert (await fault(organism, "calls", text="guest", n=1)).code == "unknown_target"
        organism.register_generic_listener("guest", lambda ask, _: HandlerResponse.respond(ask), inline=True)
        [output] = await ask(organism, "guest", n=2)
        assert (output.type, output.payload.n) == ("Ask", 2)
        with pytest.raises(UsageError, match="the listener guest exists already"):
            organism.register_generic_listener("guest", echo_back)
        with pytest.raises(UsageError, match=r"system\.guest is reserved for xpipe"):
            organism.register_generic_listener("system.guest", echo_back)
        with pytest.raises(UsageError, match=r"the name 'gu\\udc80est' has characters that cannot be printed"):
            organism.register_generic_listener("gu\udc80est", echo_back)
        organism.unregister_listener("guest")
        with pytest.raises(UsageError, match="there is no listener guest"):
            organism.unregister_listener("guest")
        assert (await fault(organism, "calls", text="guest", n=3)).code == "unknown_target"

    live(path, scenario)


def test_messages_that_wait_for_a_listener_that_goes_become_faults(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        release = asyncio.Event()
        begun = []

        async def holds(ask: Any, metadata: Any) -> HandlerResponse:
            del metadata
            begun.append(ask.n)
            await release.wait()
            return HandlerResponse.respond(payload(organism, "Answer", n=ask.n))

        # Given a listener with a thousand handlers at work and more messages waiting
        organism.register_generic_listener("holds", holds)
        called = [await organism.inject("calls", payload(organism, n=n, text="holds")) for n in range(1_050)]
        await until(lambda: len(begun) == 1_000)
        # When it is unregistered
        organism.unregister_listener("holds")
        # Then those at work still answer, the others are told
        faulted = called[1_000:]
        codes = {(await organism.outputs(one))[0].payload.code for one in faulted}
        assert codes == {"unknown_target"}
        release.set()
        assert [(await organism.outputs(one))[0].payload.n for one in called[:1_000]] == list(range(1_000))
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_listener_replaced_while_its_messages_wait_serves_them(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        def replace(ask: Any, metadata: Any) -> HandlerResponse:
            # From within a handler: others of the batch are claimed and not begun.
            del metadata
            if ask.n == 3:
                organism.unregister_listener("swap")
                organism.register_generic_listener("swap", newer)
            return HandlerResponse.respond(payload(organism, "Answer", n=-1))

        async def newer(ask: Any, metadata: Any) -> HandlerResponse:
            del metadata
            await asyncio.sleep(0)
            return HandlerResponse.respond(payload(organism, "Answer", n=ask.n))

        organism.register_generic_listener("swap", replace, inline=True)
        ids = await inject_many(organism, "swap", 10)
        assert [(await organism.outputs(one))[0].payload.n for one in ids] == [-1] * 4 + list(range(4, 10))

    live(path, scenario)


def test_listeners_that_come_and_go_all_the_time_lose_no_message(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        organism.register_generic_listener("guest", echo_back)
        called = [await organism.inject("calls", payload(organism, n=n, text="guest")) for n in range(300)]
        for _ in range(100):
            organism.unregister_listener("guest")
            await asyncio.sleep(0)
            organism.register_generic_listener("guest", echo_back)
            await asyncio.sleep(0)
        for one in called:
            assert len(await organism.outputs(one)) == 1
        assert_nothing_left(organism)

    live(path, scenario)


def test_two_organisms_run_side_by_side(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        code = CODE + f"\ndef cpu(ask: Ask, m: HandlerMetadata): return respond(Answer(ask.n, {name!r}))\n"
        paths.append(write(tmp_path / name, code, {**LISTENERS, "cpu": {"cpu_bound": True}}))

    async def run() -> list[list[str]]:
        first, second = (Organism.load(path, workers=1) for path in paths)
        async with asyncio.timeout(20), first, second:
            ids = [(organism, await inject_many(organism, "cpu", 50)) for organism in (first, second)]
            return [[(await organism.outputs(one))[0].payload.text for one in many] for organism, many in ids]

    assert asyncio.run(run()) == [["one"] * 50, ["two"] * 50]


def test_an_organism_can_run_in_a_thread_that_is_not_the_main_one(path: Path) -> None:
    async def scenario(organism: Organism) -> int:
        return int((await answer(organism, "echo", n=6)).n)

    async def outer() -> int:
        return await asyncio.to_thread(live, path, scenario)

    assert asyncio.run(outer()) == 6


def test_happenings_are_told_as_they_happen(path: Path) -> None:
    async def run() -> list[str]:
        told: list[Any] = []
        organism = Organism(Organism.load(path).definition, on_happening=told.append)
        async with organism:
            await organism.inject("echo", payload(organism, n=1))
            await organism.inject("calls", payload(organism, n=1, text="nobody"))
            await organism.idle()
        return sorted(f"{type(one).__name__} {getattr(one, 'kind', '') or getattr(one, 'state', '')}" for one in told)

    assert asyncio.run(run()) == ["Ending done", "Ending failed", "Output fault", "Output response"]


def test_a_long_conversation_and_many_short_ones_share_the_loop(path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        long = await organism.inject("step", payload(organism, n=5_000))
        for n in range(200):
            assert (await answer(organism, "echo", n=n)).n == n
        assert len(await organism.outputs(long)) == 1

    live(path, scenario)


def test_nothing_of_asyncio_complains(path: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        await inject_many(organism, "waits", 20)
        await inject_many(organism, "thread_waits", 20)
        await inject_many(organism, "cpu_waits", 20)
        await until((tmp_path / "began").exists)
        for name in ("echo", "calls"):
            await ask(organism, name, text="nobody")

    with caplog.at_level(logging.WARNING, "asyncio"):
        live(path, scenario)
        gc.collect()
    (tmp_path / "go").touch()
    assert caplog.records == []


def test_an_organism_of_a_broken_file_is_one_error_with_all_findings(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"echo": {"peers": ["nobody"]}, "absent": {}})
    with pytest.raises(XpipeError) as caught:
        Organism.load(path)
    assert len(str(caught.value).splitlines()) == 2


def test_an_organism_can_be_started_again_in_another_event_loop(path: Path) -> None:
    organism = Organism.load(path)

    async def run() -> None:
        async with asyncio.timeout(20), organism:
            assert (await answer(organism, "echo", n=3)).n == 3
            waiting = [asyncio.create_task(ask(organism, "echo")) for _ in range(20)]
            await organism.idle()
            await asyncio.gather(*waiting)

    asyncio.run(run())
    asyncio.run(run())


def test_a_loaded_organism_can_tell_its_outputs_instead_of_keeping_them(path: Path) -> None:
    told: list[Any] = []

    async def run() -> None:
        async with asyncio.timeout(20), Organism.load(path, on_happening=told.append) as organism:
            conversation = await organism.inject("echo", payload(organism, n=3))
            assert await organism.outputs(conversation) == []

    asyncio.run(run())
    assert [type(one).__name__ for one in told] == ["Output", "Ending"]


def test_more_wait_to_inject_than_may_be_in_flight(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"echo": {}}, limits={"in_flight": 3})

    async def scenario(organism: Organism) -> None:
        answers = await asyncio.gather(*(answer(organism, "echo", n=n) for n in range(2_000)))
        assert [one.n for one in answers] == list(range(2_000))
        assert_nothing_left(organism)

    live(path, scenario)


def test_what_was_under_way_at_a_stop_goes_on_after_the_next_start(tmp_path: Path) -> None:
    code = """
async def waits(ask: Ask, m: HandlerMetadata):
    (HERE / f"began-{ask.n}").touch()
    while not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return respond(Answer(ask.n))
"""
    path = write(tmp_path, code, {"waits": {}}, limits={"in_flight": 3})

    async def scenario(organism: Organism) -> None:
        await inject_many(organism, "waits", 3)
        await until((tmp_path / "began-0").exists)
        await organism.stop()
        (tmp_path / "go").touch()
        await organism.start()
        assert (await answer(organism, "waits", n=7)).n == 7
        assert_nothing_left(organism)

    live(path, scenario)
