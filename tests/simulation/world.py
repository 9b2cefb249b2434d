"""One simulated run: real pumps, routers and a memory backend in virtual time, and everything that can go wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from simulation.handlers import Handlers
from simulation.plans import Plan, expected, random_plan
from simulation.virtual import Stuck, VirtualLoop, VirtualTime
from xpipe.assembly.building import make_intake, make_pump
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.limits import Limits
from xpipe.core.messages import Injection, PumpRecord, Step, decode_message, end_fault
from xpipe.core.organism import OrganismDefinition
from xpipe.ports import Advanced
from xpipe.runtime import dispatch, supervisor
from xpipe.runtime import pump as pump_module
from xpipe.runtime.pump import Pump

MOST_CRASHES = 8
"""A message that takes its pump down more often is given up on, which is another test's business."""
PATIENCE = 100_000.0
"""Virtual seconds after which a run is taken for hung."""


class Crash(BaseException):
    """The process of a pump is gone."""


class CrashingBackend(InMemoryBackend):
    """The memory backend, on which the process that calls may die before or after a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.doomed: dict[str, str] = {}

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        moment = self.doomed.pop(pump, "")
        if moment == "before":
            raise Crash
        advanced = super().advance(pump, finished, room, most, now)
        if moment == "after":
            raise Crash
        return advanced


class World:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._backend = CrashingBackend()
        handlers = Handlers(Random(seed + 1))
        listeners = tuple(handlers.listeners())
        self._definition = OrganismDefinition("simulated", ".", limits=Limits(), listeners=listeners)
        self._intake = make_intake(self._definition)
        self._backend.open("simulated", 10_000)
        self._pumps: list[Pump] = []
        self._numbers = count(1)
        self._ids = count(1)
        self._plans: dict[str, Plan] = {}
        self._cancelled: set[str] = set()
        self._crashes = 0
        self.happened: Counter[str] = Counter()

    async def run(self) -> None:
        """Inject, trouble, wait for the end, check."""
        self._loop = asyncio.get_running_loop()
        for _ in range(self._random.randint(1, 3)):
            self._start_pump()
        for _ in range(self._random.randint(5, 25)):
            self._inject()
            await self._trouble()
        await self._until_over()
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
        self._enroll(pump)
        self._pumps.append(pump)
        pump.wake()

    def _enroll(self, pump: Pump) -> None:
        pump.id = f"pump-{next(self._numbers)}"
        self._backend.enroll(PumpRecord(pump.id, "here", 1, 1, self._loop.time() + 10))

    def _inject(self) -> None:
        plan = random_plan(self._random)
        type, payload = self._intake.types.encode(plan)
        [id] = self._backend.inject("", [Injection("sim", ["odd"], type, payload)], self._loop.time())
        self._plans[id] = plan
        self._wake_all()

    def _wake_all(self) -> None:
        for pump in self._pumps:
            pump.wake()

    async def _trouble(self) -> None:
        await asyncio.sleep(self._random.choice((0.0, 0.0, self._random.uniform(0.0, 5.0), 40.0)))
        trouble = self._random.choice((self._crash, self._crash_at_commit, self._lose_lease, self._cancel, None, None))
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
        self._backend.doomed.pop(pump.id, None)
        await pump.close()
        await asyncio.sleep(self._random.choice((0.0, self._random.uniform(0.0, 10.0))))
        self._backend.bury_pump(pump.id)
        self._start_pump()

    async def _until_over(self) -> None:
        end = self._loop.time() + PATIENCE
        while self._backend.totals().conversations_active:
            await self._bury_crashed()
            await asyncio.sleep(1.0)
            self._wake_all()  # As the lease's thread does from time to time.
            if self._loop.time() > end:
                raise Stuck(f"still under way: {[(one.chain, one.state) for one in self._backend.threads()]}")

    def _check(self) -> None:
        totals = self._backend.totals()
        assert (totals.in_flight, totals.joins) == (0, 0), totals
        assert not self._backend.ready_listeners()
        for record in self._backend.conversations():
            self._check_outputs(record.id)
            for thread in self._backend.threads(record.id):
                self._check_slots(thread.thread)

    def _check_outputs(self, id: str) -> None:
        outputs = [decode_message(slot) for slot in self._backend.buffer_get_thread(id)]
        wanted = expected(self._plans[id])
        if id in self._cancelled and [self._code(one) for one in outputs] == ["cancelled"]:
            return
        kinds = {"sum": ["response"], "fault": ["fault"], "silence": []}[wanted.kind]
        assert [one.kind for one in outputs] == kinds, (self._plans[id], wanted, outputs)
        if wanted.kind == "sum":
            value = self._intake.types.decode(outputs[0].type, outputs[0].payload).value
            assert wanted.least <= value <= wanted.most, (self._plans[id], wanted, value)
        self.happened[wanted.kind] += 1

    def _code(self, output: Any) -> str:
        return str(self._intake.types.decode(output.type, output.payload).code) if output.kind == "fault" else ""

    def _check_slots(self, thread: str) -> None:
        ids = Counter(decode_message(slot).id for slot in self._backend.buffer_get_thread(thread))
        assert max(ids.values(), default=1) == 1, f"a message stands twice in {thread}: {ids}"


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
        world = World(seed)
        loop.run_until_complete(world.run())
        return world.happened
    finally:
        for module, one in zip(modules, real, strict=True):
            module.time = one  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        loop.close()
