"""How long a conversation may take counts from its start, also when its run was killed and another goes on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.living import until_true, write

from faults.points import BACKENDS
from faults.world import World

pytestmark = pytest.mark.slow

CODE = """
async def waits(ask: Ask, m: HandlerMetadata):
    (HERE / "begun").touch()
    await asyncio.sleep(3_600)
"""


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, request.param)
    yield made
    made.close()


def test_a_conversation_that_was_begun_too_long_ago_by_a_killed_run_ends_in_the_next_one(world: World) -> None:
    # given: a run of an hour ago, killed in the middle
    backend = json.loads((world.folder / "organism.yaml").read_text())["backend"]
    limits = {"conversation_duration": "30m"}
    write(world.folder, CODE, {"waits": {"timeout": 0}}, backend=backend, limits=limits)
    victim = world.start_long_ago("--send", "waits={}")
    until_true((world.folder / "begun").exists, 60.0)
    assert victim.kill()

    # when
    resumed = world.start("--resume")

    # then
    assert resumed.end() == 1, world.said(resumed)
    [output] = [json.loads(line) for line in (world.folder / f"out-{resumed.number}.jsonl").read_bytes().splitlines()]
    assert (output["kind"], output["payload"]["code"]) == ("fault", "conversation_timeout")
