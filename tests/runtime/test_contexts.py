"""Every handler call begins with the run's context: what an earlier one has set there is gone."""

from __future__ import annotations

import contextvars
import decimal
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, live, payload, write
from xpipe import HandlerResponse, Organism

CODE = """
import decimal

decimal.getcontext().prec = 11  # For the whole run.
MARK = contextvars.ContextVar("mark", default="none")

def look_and_change(n):
    seen = f"{MARK.get()} {decimal.getcontext().prec}"
    MARK.set(f"by {n}")
    decimal.getcontext().prec = 2
    return respond(Answer(n, seen))

async def on_loop(ask: Ask, m: HandlerMetadata):
    return look_and_change(ask.n)

async def after_waiting(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0)
    async def leave_more_behind():
        await asyncio.sleep(0)
        look_and_change(ask.n)
    asyncio.create_task(leave_more_behind())
    return look_and_change(ask.n)

async def kept(ask: Ask, m: HandlerMetadata):
    look_and_change(ask.n)
    await asyncio.sleep(0)
    return respond(Answer(ask.n, f"{MARK.get()} {decimal.getcontext().prec}"))

def in_thread(ask: Ask, m: HandlerMetadata):
    return look_and_change(ask.n)

def on_loop_inline(ask: Ask, m: HandlerMetadata):
    return look_and_change(ask.n)

def in_worker(ask: Ask, m: HandlerMetadata):
    return look_and_change(ask.n)
"""
PLACES: dict[str, dict[str, Any]] = {
    "on_loop": {},
    "after_waiting": {},
    "in_thread": {},
    "on_loop_inline": {"inline": True},
    "in_worker": {"cpu_bound": True},
}


@pytest.mark.parametrize("listener", PLACES)
def test_context_variables_set_in_a_call_do_not_leak_into_the_next(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, CODE, {listener: PLACES[listener]})

    async def scenario(organism: Organism) -> list[str]:
        return [(await answer(organism, listener, n=n)).text for n in range(3)]

    with decimal.localcontext():  # The module changes that of the program that loads it.
        assert live(path, scenario, workers=1) == ["none 11"] * 3


def test_a_call_that_waits_keeps_its_context(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"kept": {}})

    async def scenario(organism: Organism) -> str:
        return str((await answer(organism, "kept", n=1)).text)

    with decimal.localcontext():
        assert live(path, scenario) == "by 1 2"


def test_a_handler_that_wakes_the_pump_does_not_hand_on_its_context(tmp_path: Path) -> None:
    path = write(tmp_path, CODE, {"on_loop": {}})
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")

    async def scenario(organism: Organism) -> Any:
        async def injects(_ask: Any, _metadata: Any) -> None:
            mark.set("leaked")
            inner.append(await organism.inject("sees", payload(organism)))

        async def sees(_ask: Any, _metadata: Any) -> Any:
            return HandlerResponse.respond(organism.types.class_of("Answer")(1, mark.get()))

        inner: list[str] = []
        organism.register_generic_listener("injects", injects)
        organism.register_generic_listener("sees", sees)
        await organism.outputs(await organism.inject("injects", payload(organism)))
        [output] = await organism.outputs(inner[0])
        return output.payload.text

    with decimal.localcontext():
        assert live(path, scenario) == "none"
