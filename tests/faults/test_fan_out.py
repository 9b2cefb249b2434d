"""A wide fan-out outlives its run: killed at any point, nothing of it is lost or doubled, and it ends in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from runtime.living import until_true
from runtime.primitive_kit import handled, organism_in

from faults.checks import left_behind, unsound
from faults.points import BACKENDS
from faults.world import Run, World
from xpipe.core.errors import BackendError
from xpipe.core.messages import decode_message
from xpipe.ports import SharedBackend

pytestmark = pytest.mark.slow

ITEMS = 1_000
KILLS = (1, 300, 550, 800)
"""So many items have their results when a run is killed."""


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, request.param)
    yield made
    made.close()


def write_wide(world: World) -> None:
    """One document, which is a fan-out to ITEMS items, of which only few can be done at once."""
    file = world.folder / "organism.yaml"
    organism = json.loads(file.read_text())
    for one in organism["listeners"]:
        one["concurrency"] = 4
    file.write_text(json.dumps(organism))
    world.input.write_text(json.dumps({"to": "spreader", "payload": {"id": 0, "items": ITEMS}}) + "\n")


def present(world: World) -> int:
    """How many items of the Buffer have their results; 0 before it has begun."""
    try:
        with world.look() as backend:
            return sum(count for _, count, _ in backend.joins())
    except BackendError:  # There is no organism yet.
        return 0


def kill_at(world: World, results: int) -> None:
    """A run, killed when so many items have their results."""
    run = world.start(*world.going_on)
    until_true(lambda: present(world) >= results or run.process.poll() is not None, 60.0)
    assert run.kill(), f"the run ended before it could be killed: {world.said(run)}"


def completes(backend: SharedBackend) -> list[dict[str, Any]]:
    """Every BufferComplete that a thread has received."""
    slots = [data for thread in backend.threads() for data in backend.buffer_get_thread(thread.thread)]
    messages = [decode_message(data) for data in slots]
    return [msgspec.msgpack.decode(one.payload) for one in messages if one.type == "BufferComplete"]


def test_a_fan_out_of_a_thousand_killed_again_and_again_has_every_item_once(world: World) -> None:
    # given: one run after the other, each killed further on
    write_wide(world)
    for results in KILLS:
        kill_at(world, results)

    # when
    last = world.start(*world.going_on)

    # then
    assert last.end() == 0, world.said(last)
    assert [(one.kind, one.result) for one in world.printed()] == [("response", sum(n * 3 for n in range(ITEMS)))]
    with world.look() as backend:
        [complete] = completes(backend)
        assert [(one["index"], one["success"]) for one in complete["results"]] == [(n, True) for n in range(ITEMS)]
        items = [one for one in backend.threads() if one.listener == "cruncher"]
        assert (len(items), {(one.state, one.slots) for one in items}) == (ITEMS, {("done", 1)})
        assert unsound(backend) == []
    assert world.collect_all() is None
    assert left_behind(world) == []


def test_a_buffer_ends_in_time_in_another_run_when_its_own_is_killed(world: World) -> None:
    # given: a run that serves, and one that starts a Buffer of which four items never end
    backend = json.loads((world.folder / "organism.yaml").read_text())["backend"]
    organism_in(world.folder, backend)
    server = world.start("--serve")
    options = {"timeout": 6.0, "max_in_flight": 4, "cancel_rest": True}
    fan = json.dumps({"target": "gated", "count": 30, "options": options})
    victim = world.start("--send", f"fan={fan}")
    until_true(lambda: len(handled(world.folder, "begun")) >= 14, 60.0)

    # when
    assert victim.kill()

    # then
    [told] = told_by(world, server)
    assert told["codes"] == [*["fine"] * 10, *["timeout"] * 4, *["cancelled"] * 16]
    server.process.terminate()
    assert server.end() == 0


def told_by(world: World, run: Run) -> list[dict[str, Any]]:
    """The payloads of what `run` prints, once it has printed something."""
    out = world.folder / f"out-{run.number}.jsonl"
    until_true(lambda: run.has_begun, 60.0)
    until_true(lambda: out.read_bytes().endswith(b"\n"), 60.0)
    return [json.loads(line)["payload"] for line in out.read_bytes().splitlines()]
