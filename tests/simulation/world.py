"""One simulated run: real pumps, routers and a memory backend in virtual time, and everything that can go wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from simulation.checking import Checker
from simulation.distance import DistantLine
from simulation.handlers import Handlers
from simulation.organism import NAME, organism
from simulation.plans import Plan, Planner, payload_of
from simulation.virtual import Stuck, VirtualLoop, VirtualTime
from simulation.watching import Crash, WatchedBackend
from xpipe.assembly.building import make_intake, make_pump
from xpipe.core.messages import Injection, PumpRecord, end_fault
from xpipe.runtime import dispatch, supervisor
from xpipe.runtime import pump as pump_module
from xpipe.runtime.calls import Calls
from xpipe.runtime.pump import Pump

MOST_CRASHES = 8
"""A message that takes its pump down more often is given up on, which is another test's business."""
PATIENCE = 20_000.0
"""Virtual seconds after which a run is taken for hung."""
OWNER = "owner"
"""Who is told what becomes of the conversations; it handles nothing."""


class World:
    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self._loop = loop
        self._random = Random(seed)
        self._planner = Planner(Random(seed + 1))
        self._handlers = Handlers(Random(seed + 2))
        self._backend = WatchedBackend(loop.time)
        self._definition = organism(self._handlers)
        self._intake = make_intake(self._definition)
        self._backend.open(NAME, 10_000)
        self._backend.enroll(PumpRecord(OWNER, "here", 1, 1, PATIENCE))
        self._pumps: list[Pump] = []
        self._numbers = count(1)
        self._ids = count(1)
        self._plans: dict[str, Plan] = {}
        self._cancelled: set[str] = set()
        self._crashes = 0
        self.happened: Counter[str] = Counter()

    async def run(self) -> None:
        """Inject, trouble, wait for the end, check."""
        for _ in range(self._random.randint(1, 3)):
            self._start_pump()
        for _ in range(self._random.randint(3, 15)):
            self._inject()
            await self._trouble()
            self._backend.check_counts()
        await self._until_over()
        await asyncio.sleep(10.0)  # Handlers that cannot be cancelled answer now.
        assert self.happened["lease lost"] or not self._handlers.running, "a handler runs, and nobody waits for it"
        for pump in self._pumps:
            await pump.close()
        self._check()

    def _start_pump(self) -> None:
        pump = make_pump(
            self._loop,
            self._definition,
            self._backend,
            self._intake,
            None,
            on_event=lambda _: None,
            on_progress=lambda: None,
            now=self._loop.time,
            chance=self._random.random,
            new_id=lambda: f"m{next(self._ids)}",
        )
        if self._random.random() < 0.5:
            self.happened["distant pump"] += 1
            pump.line, pump._calls = DistantLine(self._loop, self._random), Calls(remote=True, early=2)
        self._enroll(pump)
        self._pumps.append(pump)
        pump.wake()

    def _enroll(self, pump: Pump) -> None:
        pump.id = f"pump-{next(self._numbers)}"
        self._backend.enroll(PumpRecord(pump.id, "here", 1, 1, self._loop.time() + 10))

    def _inject(self) -> None:
        plan = self._planner.plan()
        type, payload = self._intake.types.encode(payload_of(plan))
        members = list(self._intake.topology.members(plan.to))
        [id] = self._backend.inject(OWNER, [Injection("sim", members, type, payload)], self._loop.time())
        self._plans[id] = plan
        self._wake_all()

    def _wake_all(self) -> None:
        for pump in self._pumps:
            pump.wake()

    async def _trouble(self) -> None:
        await asyncio.sleep(self._random.choice((0.0, 0.0, self._random.uniform(0.0, 5.0), 40.0)))
        troubles = (self._crash, self._crash_at_commit, self._commit_twice, self._lose_lease, self._cancel, None, None)
        trouble = self._random.choice(troubles)
        if trouble is not None:
            await trouble()
        await self._bury_crashed()
        self._wake_all()

    async def _crash(self) -> None:
        """A process is killed while its handlers wait."""
        if self._crashes < MOST_CRASHES:
            await self._replace(self._random.choice(self._pumps))

    async def _crash_at_commit(self) -> None:
        """A process is killed right before or right after its next commit."""
        if self._crashes < MOST_CRASHES:
            pump = self._random.choice(self._pumps)
            self._backend.doomed[pump.id] = self._random.choice(("before", "after"))
            pump.wake()
            await asyncio.sleep(self._random.uniform(0.0, 5.0))

    async def _commit_twice(self) -> None:
        """What a pump has finished reaches the backend twice."""
        self.happened["commit twice"] += 1
        self._backend.doomed.setdefault(self._random.choice(self._pumps).id, "twice")

    async def _lose_lease(self) -> None:
        """Others take a pump for dead that lives: what it has claimed is handled twice."""
        if self._crashes < MOST_CRASHES:
            self._crashes += 1
            self.happened["lease lost"] += 1
            pump = self._random.choice(self._pumps)
            self._backend.bury_pump(pump.id)
            self._wake_all()
            await asyncio.sleep(self._random.choice((0.0, self._random.uniform(0.0, 10.0))))
            self._enroll(pump)

    async def _cancel(self) -> None:
        running = [one.id for one in self._backend.conversations(running=True)]
        if running:
            id = self._random.choice(running)
            self.happened["cancel"] += 1
            if self._backend.cancel(id, end_fault("cancelled", "simulated"), self._loop.time()):
                self._cancelled.add(id)

    async def _bury_crashed(self) -> None:
        for pump in list(self._pumps):
            if pump.failed.done():
                with suppress(Crash):
                    pump.failed.result()
                await self._replace(pump)

    async def _replace(self, pump: Pump) -> None:
        self._crashes += 1
        self.happened["crash"] += 1
        self._pumps.remove(pump)
        self._backend.goes_down(pump.id)
        self._backend.doomed.pop(pump.id, None)
        await pump.close()
        await asyncio.sleep(self._random.choice((0.0, self._random.uniform(0.0, 10.0))))
        self._backend.bury_pump(pump.id)
        self._start_pump()

    async def _until_over(self) -> None:
        end = self._loop.time() + PATIENCE
        look = self._random.choice((1.0, 30.0))
        while self._backend.totals().conversations_active:
            await self._bury_crashed()
            await asyncio.sleep(look)
            self._backend.check_counts()
            self._wake_all()  # As the lease's thread does from time to time.
            if self._loop.time() > end:
                raise Stuck(f"still under way: {[(one.chain, one.state) for one in self._backend.threads()]}")

    def _check(self) -> None:
        events = self._backend.advance(OWNER, [], {}, 0, self._loop.time()).events
        checker = Checker(self._backend, self._intake.types, self._handlers, self._plans, self._cancelled)
        checker.check(events)
        self.happened += checker.happened


def simulate(seed: int) -> Counter[str]:
    """Run the world of `seed`; what happened in it. Raises AssertionError."""
    loop = VirtualLoop()
    time: Any = VirtualTime(loop)
    modules = (dispatch, pump_module, supervisor)
    real = [module.time for module in modules]
    asyncio.set_event_loop(loop)
    try:
        for module in modules:
            module.time = time  # type: ignore[attr-defined]
        world = World(seed, loop)
        loop.run_until_complete(world.run())
        return world.happened
    finally:
        for module, one in zip(modules, real, strict=True):
            module.time = one  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        loop.close()
