"""Work that could be done and is not is told of; work that waits its turn is not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.living import assert_nothing_left, inject_many, live, payload, until, write
from xpipe import Organism
from xpipe.backends.memory import InMemoryBackend
from xpipe.config.loading import load_definition
from xpipe.core.messages import Step
from xpipe.ports import Advanced
from xpipe.runtime.supervisor import Supervisor

CODE = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def waits(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        await asyncio.sleep(0.005)
    return respond(Answer(ask.n))
"""
STALLED = 0.05


class Withholding(InMemoryBackend):
    """A memory backend that hands out no message of `echo`, though it has some, once it is told so."""

    withholds = False

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        if self.withholds:
            room = {name: free for name, free in room.items() if name != "echo"}
        return super().advance(pump, finished, room, most, now)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the supervisor has warned of so far."""
    caplog.set_level(logging.WARNING, "xpipe.supervisor")
    return lambda: [one.getMessage() for one in caplog.records if one.name == "xpipe.supervisor"]


def look(organism: Organism, watching: Supervisor) -> None:
    watching.watch_progress(organism.backend.ready_listeners())


async def look_for_long(organism: Organism, watching: Supervisor) -> None:
    """Look again and again for several times as long as a stall may last."""
    end = time.monotonic() + 5 * STALLED
    while time.monotonic() < end:
        look(organism, watching)
        await asyncio.sleep(STALLED / 10)


def test_messages_that_could_be_handled_and_are_not_are_told_of_with_where_everything_waits(
    tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    path = write(tmp_path, CODE, {"echo": {}, "waits": {}})
    backend = Withholding()

    async def scenario(organism: Organism) -> None:
        backend.withholds = True
        ids = [await organism.inject(name, payload(organism)) for name in ("waits", "echo")]
        await until(lambda: organism.pump.running == {"waits": 1})
        watching = Supervisor(organism.pump, backend, 0.0, STALLED)

        await until(lambda: look(organism, watching) or bool(warnings()))

        [told] = warnings()
        assert told.startswith("no progress for ")
        assert "although messages are ready for echo; under way here: waits (1); `xpipe threads --state active`" in told
        backend.withholds = False
        (tmp_path / "go").touch()
        organism.pump.wake()
        assert [len(await organism.outputs(one)) for one in ids] == [1, 1]
        assert_nothing_left(organism)

    async def run() -> None:
        async with asyncio.timeout(20), Organism(load_definition(path), backend) as organism:
            await scenario(organism)

    asyncio.run(run())


@pytest.mark.parametrize("options", [{"concurrency": 1}, {}], ids=["none free", "nothing ready"])
def test_messages_behind_a_handler_that_takes_long_are_not_a_stall(
    tmp_path: Path, warnings: Callable[[], list[str]], options: dict[str, Any]
) -> None:
    path = write(tmp_path, CODE, {"waits": options})

    async def scenario(organism: Organism) -> None:
        ids = await inject_many(organism, "waits", 3)
        await until(lambda: organism.pump.under_way == options.get("concurrency", 3))

        await look_for_long(organism, Supervisor(organism.pump, organism.backend, 0.0, STALLED))

        assert warnings() == []
        (tmp_path / "go").touch()
        assert [len(await organism.outputs(one)) for one in ids] == [1, 1, 1]

    live(path, scenario)
