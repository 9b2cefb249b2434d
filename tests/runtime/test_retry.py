"""Retries: when a message is tried again, and when no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, fault, live, write
from xpipe import Organism
from xpipe.core.retry import RetryPolicy

COUNTING = """
from xpipe import Reject, Retry

class Flaky(OSError):
    pass

def count(m):
    path = HERE / f"tries-{m.message_id}"
    tries = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(tries))
    assert tries == m.attempt
    return tries
"""


def tries(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("tries-*")]


def test_a_failing_handler_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    code = (
        COUNTING
        + """
async def flaky(ask: Ask, m: HandlerMetadata):
    if count(m) < 3:
        raise Flaky("not yet")
    return respond(Answer(m.attempt))
"""
    )
    path = write(tmp_path, code, {"flaky": {"retry": {"max_attempts": 3, "backoff": 0.01}}})

    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "flaky")).n == 3
        assert (organism.stats.retries, organism.stats.hops, organism.stats.fault_count) == (2, 1, 0)
        assert_nothing_left(organism)

    live(path, scenario)


@pytest.mark.parametrize(
    ("retry", "attempts"),
    [
        ({"on": ["Flaky"]}, 3),
        ({"on": ["handlers.Flaky"]}, 3),
        ({"on": ["OSError"]}, 3),
        ({"on": ["exception"]}, 3),
        ({"on": ["ValueError", "timeout"]}, 1),
        ({"never": ["Flaky"]}, 1),
        ({"never": ["handlers.Flaky"]}, 1),
        ({"on": ["Flaky"], "never": ["Exception"]}, 1),
        ({}, 3),
    ],
)
def test_a_policy_names_what_is_tried_again(tmp_path: Path, retry: dict[str, Any], attempts: int) -> None:
    code = (
        COUNTING
        + """
async def broken(ask: Ask, m: HandlerMetadata):
    count(m)
    raise Flaky("always")
"""
    )
    policy = {"max_attempts": 3, "backoff": 0.01, **retry}
    path = write(tmp_path, code, {"broken": {"retry": policy}})

    async def scenario(organism: Organism) -> None:
        found = await fault(organism, "broken")
        assert (found.code, found.attempt, found.text) == ("exception", attempts, "Flaky: always")
        assert found.causes[:4] == ("Flaky", "handlers.Flaky", "OSError", "builtins.OSError")
        assert tries(tmp_path) == [attempts]
        [letter] = organism.backend.dead_letters()
        assert letter.attempts == attempts

    live(path, scenario)


@pytest.mark.parametrize("options", [{}, {"cpu_bound": True}], ids=["thread", "worker"])
def test_a_handler_may_ask_to_be_tried_again(tmp_path: Path, options: dict[str, Any]) -> None:
    code = (
        COUNTING
        + """
def later(ask: Ask, m: HandlerMetadata):
    if count(m) < 4:
        raise Retry("the printer is busy", after=0.01)
    return respond(Answer(m.attempt))
"""
    )
    path = write(tmp_path, code, {"later": options})

    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "later")).n == 4

    live(path, scenario)


@pytest.mark.parametrize(
    "after", ["-0.0001", "-1e9", "timedelta(seconds=-3)", "timedelta.min", "0", "-0.0"], ids=lambda one: str(one)
)
def test_a_pause_that_is_over_by_now_is_no_pause(tmp_path: Path, after: str) -> None:
    code = (
        COUNTING
        + f"""
from datetime import timedelta

async def later(ask: Ask, m: HandlerMetadata):
    if count(m) < 2:
        raise Retry("the limit has been reset", after={after})
    return respond(Answer(m.attempt))
"""
    )
    path = write(tmp_path, code, {"later": {}})

    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "later")).n == 2

    live(path, scenario)


@pytest.mark.parametrize("how", ["loop", "thread", "worker"])
def test_who_asks_for_no_pause_fails_and_the_others_go_on(tmp_path: Path, how: str) -> None:
    code = (
        COUNTING
        + f"""
{"async def" if how == "loop" else "def"} later(ask: Ask, m: HandlerMetadata):
    if not ask.n:
        raise Retry("busy", after=10**400)
    if ask.n == 1:
        again = Retry("busy")
        again.after = 10**400
        raise again
    return respond(Answer(ask.n))
"""
    )
    path = write(tmp_path, code, {"later": {"cpu_bound": how == "worker"}})

    async def scenario(organism: Organism) -> None:
        for number in (0, 1):
            found = await fault(organism, "later", n=number)
            assert (found.code, found.attempt) == ("exception", 1)
            assert found.text.startswith("ValueError: the after of a Retry is not from 0 to 36,500 days")
            assert "in later" in found.traceback
        assert (await answer(organism, "later", n=2)).n == 2

    live(path, scenario, workers=1)


def test_who_asks_too_often_gets_a_fault_with_the_reason(tmp_path: Path) -> None:
    code = (
        COUNTING
        + """
async def later(ask: Ask, m: HandlerMetadata):
    count(m)
    raise Retry("the printer is busy", after=0)
"""
    )
    path = write(tmp_path, code, {"later": {"retry": {"max_attempts": 2}}})

    async def scenario(organism: Organism) -> None:
        found = await fault(organism, "later")
        assert (found.code, found.text, found.attempt) == ("retries_exhausted", "the printer is busy", 2)

    live(path, scenario)


@pytest.mark.parametrize("options", [{}, {"cpu_bound": True}], ids=["loop", "worker"])
def test_what_a_handler_rejects_is_not_tried_again(tmp_path: Path, options: dict[str, Any]) -> None:
    code = (
        COUNTING
        + """
def picky(ask: Ask, m: HandlerMetadata):
    count(m)
    raise Reject("no such account")
"""
    )
    path = write(tmp_path, code, {"picky": {"retry": {"max_attempts": 5, "on": ["rejected", "exception"]}, **options}})

    async def scenario(organism: Organism) -> None:
        found = await fault(organism, "picky")
        assert (found.code, found.text, found.attempt) == ("rejected", "no such account", 1)
        assert tries(tmp_path) == [1]

    live(path, scenario)


def test_a_timeout_is_tried_again_if_the_policy_says(tmp_path: Path) -> None:
    code = (
        COUNTING
        + """
async def slow_once(ask: Ask, m: HandlerMetadata):
    if count(m) == 1:
        await asyncio.sleep(30)
    return respond(Answer(m.attempt))
"""
    )
    path = write(tmp_path, code, {"slow_once": {"timeout": 0.05, "retry": {"backoff": 0.01, "on": ["timeout"]}}})

    async def scenario(organism: Organism) -> None:
        assert (await answer(organism, "slow_once")).n == 2

    live(path, scenario)


def test_others_go_on_while_a_message_waits_for_its_next_attempt(tmp_path: Path) -> None:
    code = (
        COUNTING
        + """
async def later(ask: Ask, m: HandlerMetadata):
    if ask.n == 1 and count(m) == 1:
        raise Retry(after=3600)
    return respond(Answer(ask.n))
"""
    )
    path = write(tmp_path, code, {"later": {"concurrency": 1}})

    async def scenario(organism: Organism) -> None:
        waiting = await organism.inject("later", organism.types.class_of("Ask")(1))
        assert (await ask(organism, "later", n=2)) is not None
        assert waiting in organism.running
        assert await organism.cancel(waiting)
        [output] = await organism.outputs(waiting)
        assert output.payload.code == "cancelled"

    live(path, scenario)


def test_the_pause_doubles_up_to_its_bound_and_jitter_shortens_it() -> None:
    policy = RetryPolicy(max_attempts=9, backoff=1.0, max_backoff=10.0, jitter=0.5)

    assert [policy.delay(attempt, lambda: 0.0) for attempt in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert policy.delay(3, lambda: 1.0) == 2.0
    assert policy.delay(10_000, lambda: 0.0) == 10.0
