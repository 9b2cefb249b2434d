"""Who keeps the event loop is named, and only who does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xpipe
from runtime.living import inject_many, live, payload, until_true, write
from xpipe import Organism
from xpipe.runtime.watchdog import Watchdog, stuck

CODE = """
def block():
    while not (HERE / "warned").exists():
        time.sleep(0.005)

async def at_once(ask: Ask, m: HandlerMetadata):
    block()

async def after_waiting(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0)
    block()

async def in_a_task(ask: Ask, m: HandlerMetadata):
    async def task():
        block()
    await asyncio.create_task(task())

def on_loop_inline(ask: Ask, m: HandlerMetadata):
    block()

async def patient(ask: Ask, m: HandlerMetadata):
    await asyncio.Event().wait()
"""
INLINE = {"on_loop_inline": {"inline": True}}


@pytest.mark.parametrize("listener", ["at_once", "after_waiting", "in_a_task", "on_loop_inline"])
def test_the_handler_that_blocks_the_event_loop_is_named_with_its_own_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listener: str
) -> None:
    # Given handlers of another listener that wait as they should
    path = write(tmp_path, CODE, {"patient": {}, listener: INLINE.get(listener, {})})
    heard = threading.Thread(target=lambda: (until_true(lambda: bool(caplog.records)), (tmp_path / "warned").touch()))

    async def scenario(organism: Organism) -> None:
        await inject_many(organism, "patient", 3)
        heard.start()
        await organism.outputs(await organism.inject(listener, payload(organism)))

    with caplog.at_level(logging.WARNING, "xpipe.watchdog"):
        live(path, scenario)
    heard.join()

    [record] = caplog.records
    assert record.getMessage().startswith(f"a handler of {listener} has blocked the event loop for ")
    assert "in block\n    time.sleep(0.005)\n" in record.getMessage()


def made_of(code: str, file: str) -> Any:
    """The function `work` of `code`, as if it stood in `file`."""
    names: dict[str, Any] = {"time": time}
    exec(compile(code, file, "exec"), names)
    return names["work"]


OURS = str(Path(xpipe.__file__).parent / "runtime" / "something.py")
WORK = "def work(over):\n    while not over():\n        time.sleep(0.001)\n"


@pytest.mark.parametrize(("file", "blamed"), [(OURS, False), ("/home/somebody/handlers.py", True)])
def test_work_of_xpipe_on_the_event_loop_is_blamed_on_no_handler(
    caplog: pytest.LogCaptureFixture, file: str, blamed: bool
) -> None:
    work: Callable[[Callable[[], bool]], None] = made_of(WORK, file)
    found: list[str] = []
    begun = threading.Event()

    async def scenario() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), patience=0.02)
        # Given work on the loop that lasts for many looks
        looks = threading.Thread(target=lambda: (begun.wait(), found.append(stuck(main, 0.1))))
        asyncio.get_running_loop().call_soon(work, lambda: bool(begun.set() or found))
        looks.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        looks.join()
        watchdog.stop()

    main = threading.get_ident()
    with caplog.at_level(logging.WARNING, "xpipe.watchdog"):
        asyncio.run(scenario())

    assert [bool(one) for one in found] == [blamed]
    assert bool(caplog.records) == blamed


def test_many_short_calls_are_not_a_blocking_one(caplog: pytest.LogCaptureFixture) -> None:
    work: Any = made_of("def work():\n    time.sleep(0.001)\n", "/home/somebody/handlers.py")

    async def scenario() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), patience=0.02)
        for _ in range(100):  # All in one round of the loop.
            asyncio.get_running_loop().call_soon(work)
        await asyncio.sleep(0)
        watchdog.stop()

    with caplog.at_level(logging.WARNING, "xpipe.watchdog"):
        asyncio.run(scenario())

    assert not caplog.records
