"""Random kills, time-outs and failures over thousands of messages: every one ends exactly once, with the right result.

The seed of a run is in its test's name.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from runtime.living import assert_nothing_left, live, payload, until, write

from xpipe import Organism

pytestmark = pytest.mark.slow

CODE = """
import random

@dataclass
class Fan:
    target: str
    count: int
    timeout: float = 0.0

async def fan(ask: Fan | BufferComplete, m: HandlerMetadata):
    if isinstance(ask, Fan):
        items = [Ask(n) for n in range(ask.count)]
        return HandlerResponse(BufferStart(ask.target, items, timeout=ask.timeout), to="system.buffer")
    return respond(ask)

def uneven(ask: Ask, m: HandlerMetadata):
    time.sleep(random.choice([0, 0, 0, 0.001, 0.01, 0.05]))
    return respond(Answer(ask.n * 2, "x" * random.choice([0, 10, 100_000])))

def on_the_edge(ask: Ask, m: HandlerMetadata):
    time.sleep(random.uniform(0.03, 0.07))
    return respond(Answer(ask.n * 2))

edge_in_worker = on_the_edge

async def edge_on_loop(ask: Ask, m: HandlerMetadata):
    try:
        await asyncio.sleep(random.uniform(0.03, 0.07))
    finally:
        await asyncio.sleep(random.choice([0, 0, 0.001]))
    return respond(Answer(ask.n * 2))

def treacherous(ask: Ask, m: HandlerMetadata):
    what = random.random()
    if what < 0.01: os._exit(7)
    if what < 0.02: os.kill(os.getpid(), signal.SIGKILL)
    if what < 0.03: time.sleep(60)
    if what < 0.05: raise ValueError("chance")
    if what < 0.06: sys.exit(1)
    return respond(Answer(ask.n * 2))

NAMES = ["wander", "in_thread", "in_worker"]

def go_on(ask, m):
    what = random.random()
    if isinstance(ask, Fault):
        return respond(Answer(-1)) if what < 0.7 else None
    if isinstance(ask, Answer):
        return respond(ask) if what < 0.8 else HandlerResponse(Ask(1), to=random.choice(NAMES))
    if what < 0.05: raise ValueError("chance")
    if what < 0.08: return None
    if what < 0.10: return HandlerResponse(Ask(1), to="nobody")
    if what < 0.12: return [respond(Answer(1)), respond(Answer(2))]
    if what < 0.14: return HandlerResponse(Answer(1), to="fan")
    if what < 0.16: return HandlerResponse(Ask(ask.n), to=m.own_name)
    if what < 0.18: return "garbage"
    if what < 0.40 and ask.n < 6: return [HandlerResponse(Ask(ask.n + 1), to=random.choice(NAMES)) for _ in range(3)]
    if what < 0.44 and ask.n < 4:
        return HandlerResponse(BufferStart(random.choice(NAMES), [Ask(ask.n + 2)] * 4), to="system.buffer")
    if what < 0.48 and ask.n < 4:
        return HandlerResponse(SequenceStart(["echo", "wander"], Ask(ask.n + 2)), to="system.sequence")
    return respond(Answer(ask.n))

async def wander(ask: Ask | Answer | Fault | BufferComplete | SequenceComplete, m: HandlerMetadata):
    if random.random() < 0.3:
        await asyncio.sleep(random.random() * 0.004)
    return go_on(ask, m)

def in_thread(ask: Ask | Answer | Fault | BufferComplete | SequenceComplete, m: HandlerMetadata):
    return go_on(ask, m)

def in_worker(ask: Ask | Answer | Fault | BufferComplete | SequenceComplete, m: HandlerMetadata):
    if random.random() < 0.01: os._exit(1)
    return go_on(ask, m)

async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Ask(ask.n))
"""


async def fan_out(organism: Organism, target: str, count: int) -> Any:
    outputs = await organism.outputs(await organism.inject("fan", payload(organism, "Fan", target=target, count=count)))
    assert [output.kind for output in outputs] == ["response"], outputs
    return outputs[0].payload


async def kill_workers(organism: Organism, chance: random.Random, pause: float) -> None:
    """Kill workers of `organism` at random times, now and then one that has just been started, until cancelled.

    Between two kills some work is done: a pool whose workers are all killed before they are up gives up, and should.
    """
    assert organism.pool is not None
    while True:
        hops = organism.stats.hops
        await asyncio.sleep(chance.uniform(0, 2 * pause))
        await until(lambda hops=hops: organism.stats.hops > hops, deadline=100)  # type: ignore[misc]
        pids = organism.pool.pids()  # The oldest first.
        os.kill(pids[0], signal.SIGKILL)
        if chance.random() < 0.2:
            os.kill(pids[-1], signal.SIGKILL)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_tasks", [0, 7])
def test_workers_killed_at_random_lose_no_item(tmp_path: Path, seed: int, max_tasks: int) -> None:
    pool = {"workers": 3, "max_tasks_per_child": max_tasks}
    path = write(tmp_path, CODE, {"fan": {}, "uneven": {"cpu_bound": True}}, process_pool=pool)

    async def scenario(organism: Organism) -> None:
        killer = asyncio.create_task(kill_workers(organism, random.Random(seed), 0.3))
        complete = await fan_out(organism, "uneven", 600)
        killer.cancel()
        failed = [one for one in complete.results if not one.success]
        # An item fails only by bad luck: its worker was killed in each of three attempts.
        assert {one.code for one in failed} <= {"worker_lost"}
        assert len(failed) <= 2
        assert all(one.result.n == one.index * 2 for one in complete.results if one.success)
        assert organism.stats.fault_count == len(failed)
        assert_nothing_left(organism)

    live(path, scenario, deadline=100)


@pytest.mark.parametrize("listener", ["on_the_edge", "edge_in_worker", "edge_on_loop"])
def test_handlers_that_end_just_at_their_timeout_end_once(tmp_path: Path, listener: str) -> None:
    options = {"timeout": 0.05, "cpu_bound": listener == "edge_in_worker"}
    path = write(tmp_path, CODE, {"fan": {}, listener: options}, process_pool={"workers": 2})
    count = 60 if listener == "edge_in_worker" else 1_000

    async def scenario(organism: Organism) -> None:
        complete = await fan_out(organism, listener, count)
        codes = {one.code for one in complete.results}
        assert codes == {"", "timeout"}
        assert all(one.result.n == one.index * 2 for one in complete.results if one.success)
        assert organism.stats.retries == 0
        assert organism.stats.late == 0
        assert_nothing_left(organism)

    live(path, scenario, deadline=100)


@pytest.mark.parametrize("seed", range(2))
def test_handlers_that_crash_hang_and_fail_at_random_blame_nobody_else(tmp_path: Path, seed: int) -> None:
    code = CODE + f"\nrandom.seed(os.getpid() * 1000 + {seed})\n"
    options = {"timeout": 0.3, "cpu_bound": True}
    path = write(tmp_path, code, {"fan": {}, "treacherous": options}, process_pool={"workers": 3})

    async def scenario(organism: Organism) -> None:
        complete = await fan_out(organism, "treacherous", 1_500)
        assert {one.code for one in complete.results} <= {"", "exception", "timeout", "worker_lost"}
        assert complete.successful > 1_200
        assert all(one.result.n == one.index * 2 for one in complete.results if one.success)
        assert_nothing_left(organism)

    live(path, scenario, deadline=110)


@pytest.mark.parametrize("seed", range(4))
def test_every_conversation_of_a_wild_organism_ends(tmp_path: Path, seed: int) -> None:
    code = CODE + f"\nrandom.seed({seed})\n"
    listeners: dict[str, dict[str, Any]] = {
        "fan": {},
        "wander": {"timeout": 5},
        "in_thread": {"timeout": 5},
        "in_worker": {"timeout": 5, "cpu_bound": True},
        "echo": {},
    }
    limits = {"hops": 60, "depth": 25, "slots_per_thread": 40, "in_flight": 300}
    path = write(tmp_path, code, listeners, limits=limits, process_pool={"workers": 2, "max_tasks_per_child": 200})

    async def scenario(organism: Organism) -> None:
        killer = asyncio.create_task(kill_workers(organism, random.Random(seed), 1.0))
        ids = [await organism.inject("wander", payload(organism, n=n % 5)) for n in range(1_000)]
        for one in ids:
            # At most one reply reaches the initiator, whatever happens below.
            assert len(await organism.outputs(one)) <= 1
        killer.cancel()
        assert organism.stats.hops > 2_000
        assert_nothing_left(organism)

    live(path, scenario, deadline=110)
