"""The parts of an organism, made from its definition."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
import time
from collections.abc import Callable

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import XpipeError
from xpipe.core.messages import Event
from xpipe.core.organism import Listener, OrganismDefinition, no_handler
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, SequenceStart
from xpipe.ports import SharedBackend
from xpipe.runtime.bookkeeping import Bookkeeping
from xpipe.runtime.dispatch import Dispatcher
from xpipe.runtime.frames import WorkerListener
from xpipe.runtime.instructions import usage_instructions
from xpipe.runtime.intake import Intake
from xpipe.runtime.pool import Pool
from xpipe.runtime.primitives.base import Setting
from xpipe.runtime.primitives.making import make_primitives
from xpipe.runtime.pump import Pump
from xpipe.runtime.router import Router
from xpipe.runtime.threads import ThreadWorkers
from xpipe.runtime.topology import Topology
from xpipe.state import BackendConfig
from xpipe.wire.inbound import Inbound


def backend_config(definition: OrganismDefinition) -> BackendConfig:
    """The configuration of the backend that `definition` asks for."""
    return BackendConfig.from_settings(definition.backend, definition.folder, definition.file)


def slots_per_thread(definition: OrganismDefinition) -> int:
    """How many slots a thread may have: the lower one of the limits of the backend and of the organism."""
    most = definition.limits.slots_per_thread
    return min(definition.backend.options.get("max_slots_per_thread") or most, most)


def make_intake(definition: OrganismDefinition) -> Intake:
    """What takes messages in, with the organism's payload types and its topology."""
    types = PayloadTypes.of(definition)
    topology = Topology([*_system_listeners(), *definition.listeners], types)
    return Intake(topology, types, Inbound(definition.listeners, types), definition.limits)


def _system_listeners() -> list[Listener]:
    return [
        Listener(BUFFER, no_handler, (BufferStart,), "fan-out of items to a listener", timeout=None, inline=True),
        Listener(SEQUENCE, no_handler, (SequenceStart,), "listeners in order", timeout=None, inline=True),
    ]


def make_pool(
    loop: asyncio.AbstractEventLoop,
    definition: OrganismDefinition,
    topology: Topology,
    on_failure: Callable[[XpipeError], None],
) -> Pool | None:
    """The worker processes, not started yet; None when no listener is CPU-bound."""
    listeners = [
        WorkerListener(one.name, one.ref, usage_instructions(one, topology))
        for one in definition.listeners
        if one.cpu_bound and one.ref is not None
    ]
    if not listeners:
        return None
    settings = definition.pool
    workers = settings.workers or _processors()
    types = PayloadTypes.of(definition)
    refs = {types.name_of(cls): ref for cls, ref in definition.payload_types.items()}
    return Pool(loop, workers, settings.max_tasks_per_child, refs, listeners, on_failure)


def _processors() -> int:
    """How many this process may use; macOS knows only how many there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def make_pump(
    loop: asyncio.AbstractEventLoop,
    definition: OrganismDefinition,
    backend: SharedBackend,
    intake: Intake,
    pool: Pool | None,
    on_event: Callable[[Event], None],
    on_progress: Callable[[], None],
    *,
    now: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
    new_id: Callable[[], str] | None = None,
) -> Pump:
    """The pump, with its router, dispatcher and primitives; `backend` is open. For the last three see Router."""
    types, topology, inbound, limits = intake.types, intake.topology, intake.inbound, definition.limits
    router = Router(topology, types, limits, backend.secret(), new_id, now, chance)
    books = Bookkeeping(types, limits.in_flight)
    setting = Setting(router, topology, inbound, backend, limits, books.room, definition.folder, now, chance)
    primitives = make_primitives(setting, definition.listeners)
    instructions = {one.name: usage_instructions(one, topology) for one in definition.listeners}
    dispatcher = Dispatcher(loop, backend, types, pool, ThreadWorkers(loop), instructions.get)
    return Pump(secrets.token_hex(8), backend, topology, books, router, dispatcher, primitives, on_event, on_progress)
