"""Puts an organism together: the only module that names concrete backends and executors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from xpipe.config.loading import load_definition
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import BackendError, PayloadError, UsageError, XpipeError
from xpipe.core.messages import DEAD, ENDED, FAULT, ConversationRecord, Event, Injection, Message, decode_message
from xpipe.core.organism import CodeRef, Listener, OrganismDefinition
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, Fault, SequenceStart
from xpipe.ports import SharedBackend
from xpipe.runtime.dispatch import Dispatcher
from xpipe.runtime.frames import WorkerListener
from xpipe.runtime.instructions import usage_instructions
from xpipe.runtime.intake import Intake
from xpipe.runtime.lease import Lease, living
from xpipe.runtime.pool import Pool
from xpipe.runtime.primitives.buffer import Buffer
from xpipe.runtime.primitives.sequence import Sequence
from xpipe.runtime.pump import Pump
from xpipe.runtime.router import Router
from xpipe.runtime.stats import Stats
from xpipe.runtime.threads import ThreadWorkers
from xpipe.runtime.topology import Topology
from xpipe.state import BackendConfig, get_shared_backend
from xpipe.wire.inbound import Inbound


@dataclass(frozen=True, slots=True)
class Output:
    """A reply that reached the initiator of `conversation`: kind response or fault, from the listener `sender`."""

    conversation: str
    kind: str
    sender: str
    type: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a conversation, in state done or failed."""

    conversation: str
    state: str


@dataclass(frozen=True, slots=True)
class Unheard:
    """A fault that nobody was told of: its message became a dead letter."""

    conversation: str
    fault: Any


Happening = Output | Ending | Unheard


def make_backend(definition: OrganismDefinition) -> SharedBackend:
    """The backend that `definition` asks for. Raises BackendError."""
    return get_shared_backend(BackendConfig.from_settings(definition.backend, definition.folder, definition.file))


class Organism:
    """An organism that runs inside a program's own event loop.

        organism = Organism.load("organism.yaml")
        async with organism:
            conversation = await organism.inject("greeter", Greeting("Ada"))
            outputs = await organism.outputs(conversation)

    Outputs are kept until they are asked for. With `on_happening` set, outputs and endings are given to it as they
    happen and are not kept.
    """

    def __init__(
        self,
        definition: OrganismDefinition,
        backend: SharedBackend | None = None,
        on_happening: Callable[[Happening], None] | None = None,
    ) -> None:
        self.definition = definition
        self.backend = backend or make_backend(definition)
        self.types = PayloadTypes(_payload_classes(definition))
        self.topology = Topology([*_system_listeners(), *definition.listeners], self.types)
        inbound = Inbound(definition.listeners, self.types)
        self.intake = Intake(self.topology, self.types, inbound, definition.limits)
        self.pool: Pool | None = None
        self._on_happening = on_happening
        self._pump: Pump | None = None
        self._outputs: dict[str, list[Output]] = {}
        self._running: set[str] = set()
        self._told: dict[str, int] = {}
        self._begin_anew()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        workers: int | None = None,
        environ: Mapping[str, str] | None = None,
        on_happening: Callable[[Happening], None] | None = None,
    ) -> Organism:
        """The organism that the YAML file `path` declares. Raises ConfigError with all that is wrong with it."""
        definition = load_definition(path, environ)
        if workers is not None:
            definition = replace(definition, pool=replace(definition.pool, workers=workers))
        return cls(definition, on_happening=on_happening)

    async def __aenter__(self) -> Organism:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pump(self) -> Pump:
        """The running pump. Raises UsageError before `start`."""
        if self._pump is None:
            raise UsageError("the organism is not started; await start() first, or use it in `async with`")
        return self._pump

    @property
    def stats(self) -> Stats:
        """What has happened since `start`."""
        return self.pump.stats

    async def start(self) -> None:
        """Open the backend, start the pump and, if a listener is CPU-bound, the worker processes."""
        if self._pump is not None:
            raise UsageError("the organism is started already; stop it first")
        self._begin_anew()
        loop = asyncio.get_running_loop()
        limits = self.definition.limits
        slots = self.definition.backend.options.get("max_slots_per_thread") or limits.slots_per_thread
        self.backend.open(self.definition.name, min(slots, limits.slots_per_thread))
        router = Router(self.topology, self.types, limits, self.backend.secret())
        inbound = self.intake.inbound
        primitives = {
            BUFFER: Buffer(router, self.topology, inbound, limits.fan_out, self.backend.join_results, time.time),
            SEQUENCE: Sequence(router, self.topology, inbound),
        }
        self.pool = self._make_pool(loop)
        instructions = {one.name: usage_instructions(one, self.topology) for one in self.definition.listeners}
        dispatcher = Dispatcher(
            loop, self.backend, self.types, self.pool, ThreadWorkers(loop), lambda name: instructions.get(name, "")
        )
        self._pump = Pump(
            secrets.token_hex(8),
            self.backend,
            self.topology,
            self.types,
            router,
            dispatcher,
            primitives,
            self._take,
            self._changed.set,
        )
        self._pump.failed.add_done_callback(lambda _: self._wake_all())
        await self._take_lease(self._pump, loop)

    async def _take_lease(self, pump: Pump, loop: asyncio.AbstractEventLoop) -> None:
        def from_thread(call: Callable[..., None], *args: Any) -> None:
            # The loop may be closed by the time a thread has something to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *args)

        self._lease = Lease(self.backend, pump.id, partial(from_thread, pump.wake), partial(from_thread, self._fail))
        await pump.line.call(self._lease.take)
        for thread in self.backend.threads():
            if thread.state == "active" and self.topology.get(thread.listener) is None:
                self.topology.gone.add(thread.listener)  # Left by an earlier version of the organism.
        pump.wake()  # For what an earlier run, or another one, has left.

    def _begin_anew(self) -> None:
        """Forget who waited for what, in an event loop that may have been another one."""
        self._running.clear()  # What an earlier stop left unfinished ends with nobody waiting.
        # Those who wait for one conversation are told of its end only: thousands may wait.
        self._endings: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._injecting = asyncio.Lock()

    def _make_pool(self, loop: asyncio.AbstractEventLoop) -> Pool | None:
        listeners = [
            WorkerListener(one.name, one.ref, usage_instructions(one, self.topology))
            for one in self.definition.listeners
            if one.cpu_bound and one.ref is not None
        ]
        if not listeners:
            return None
        settings = self.definition.pool
        workers = settings.workers or len(os.sched_getaffinity(0))
        refs = _payload_refs(self.definition)
        pool = Pool(loop, workers, settings.max_tasks_per_child, refs, listeners, self._fail)
        pool.start()
        return pool

    def _fail(self, error: XpipeError) -> None:
        if self._pump is not None:
            self._pump.fail(error)

    async def inject(self, to: str, payload: Any, *, source: str = "api") -> str:
        """Start a conversation with a message to the listener or group `to`; its id.

        `payload` is an instance of a payload class, or a mapping, or XML or JSON text of one. Waits while
        `limits.in_flight` messages are under way. Raises PayloadError.
        """
        return (await self.inject_all([self.intake.injection(source, to, payload)]))[0]

    async def inject_all(self, injections: list[Injection]) -> list[str]:
        """Start a conversation for each of `injections`, in one commit; their ids. Waits as `inject` does."""
        async with self._injecting:  # One looks whether there is room, however many want to inject.
            pump = self.pump
            while await pump.line.call(self.backend.in_flight) >= self.definition.limits.in_flight:
                await self._next_change()
            ids = await pump.inject(injections)
            self._running.update(ids)
            return ids

    async def outputs(self, conversation: str) -> list[Output]:
        """Wait until `conversation` is over; what reached its initiator, in order. May be asked once."""
        while conversation in self._running:
            await self._next_change(self._endings.setdefault(conversation, asyncio.Event()))
        return self._outputs.pop(conversation, [])

    async def idle(self) -> None:
        """Wait until all conversations injected here are over."""
        while self._running:
            await self._next_change()

    async def drain(self, grace: float) -> None:
        """Take no more messages and give the handlers under way up to `grace` seconds to end."""
        self.pump.stop_claiming()
        end = time.monotonic() + grace
        while self.pump.under_way and time.monotonic() < end:
            try:
                await asyncio.wait_for(self._next_change(), end - time.monotonic())
            except TimeoutError:
                return

    async def stop(self) -> None:
        """Stop the pump, end the worker processes and close the backend. Handlers under way are cancelled.

        What they worked on stays unfinished in the backend.
        """
        if self._pump is not None:
            await self.halt()
            self.backend.close()

    async def halt(self) -> None:
        """As `stop`, but the backend stays open: for `confirm`, and to look at it."""
        if self._pump is None:
            return
        pump, self._pump = self._pump, None
        self._wake_all()
        await pump.close()
        # What cannot be handed back now is free when the lease ends.
        with contextlib.suppress(BackendError):
            await pump.line.call(self._lease.give_back)
        pump.line.close()

    def unserved(self) -> list[ConversationRecord]:
        """The unfinished conversations in the backend that no live pump serves."""
        alive = living(self.backend.pumps())
        return [one for one in self.backend.conversations(running=True) if one.owner not in alive]

    async def resume(self) -> list[str]:
        """Take over every unfinished conversation that no live pump serves; their ids.

        First the outputs that no run has printed happen again, those of finished conversations included.
        """
        pump = self.pump
        adopted = []
        alive = living(self.backend.pumps())
        for one in self.backend.conversations():
            if one.owner in alive:
                continue
            if one.state == "running" and await pump.line.call(self.backend.adopt, pump.id, one.id):
                self._running.add(one.id)
                adopted.append(one.id)
            self._tell_undelivered(one)
        pump.wake()
        return adopted

    def _tell_undelivered(self, one: ConversationRecord) -> None:
        self._told[one.id] = one.delivered
        for data in self.backend.buffer_get_thread(one.id, one.delivered, one.outputs):
            self._tell(self._output(decode_message(data)), one.id)

    def confirm(self) -> None:
        """What has happened so far has been printed, and need not happen again on a `resume`. Also after `halt`."""
        for conversation, count in self._told.items():
            self.backend.delivered(conversation, count)
        self._told.clear()

    @property
    def unfinished(self) -> int:
        """How many of the conversations injected here are not over."""
        return len(self._running)

    @property
    def running(self) -> frozenset[str]:
        """The conversations injected here that are not over."""
        return frozenset(self._running)

    def _wake_all(self) -> None:
        """Whoever waits for something is to look how things are now."""
        self._changed.set()
        for event in self._endings.values():
            event.set()

    async def _next_change(self, event: asyncio.Event | None = None) -> None:
        """Wait for `event`, else for a commit. Raises UsageError on a stop meanwhile, and what ended the pump."""
        pump, event = self.pump, event or self._changed
        if pump.failed.done():
            pump.failed.result()
        event.clear()
        await event.wait()
        if self._pump is not pump:
            raise UsageError("the organism was stopped before what was waited for came about")
        if pump.failed.done():
            pump.failed.result()

    def _take(self, event: Event) -> None:
        happening = self._happening(event)
        if isinstance(happening, Ending):
            self._running.discard(event.conversation)
            if (ending := self._endings.pop(event.conversation, None)) is not None:
                ending.set()
        self._tell(happening, event.conversation)

    def _tell(self, happening: Happening, conversation: str) -> None:
        if isinstance(happening, Output) and self.backend.capabilities.persistent:
            self._told[conversation] = self._told.get(conversation, 0) + 1
        if self._on_happening is not None:
            self._on_happening(happening)
        elif isinstance(happening, Output):
            self._outputs.setdefault(conversation, []).append(happening)

    def _happening(self, event: Event) -> Happening:
        if event.kind == ENDED:
            return Ending(event.conversation, event.state)
        if event.kind == DEAD:
            return Unheard(event.conversation, self.types.decode("Fault", event.cause))
        return self._output(decode_message(event.message))

    def _output(self, message: Message) -> Output:
        try:
            payload = self.types.decode(message.type, message.payload)
        except PayloadError as error:
            fault = Fault(error.code, str(error), message.sender, message.hop)
            return Output(message.conversation, FAULT, message.sender, "Fault", fault)
        return Output(message.conversation, message.kind, message.sender, message.type, payload)

    def register_generic_listener(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        accepts: tuple[type, ...] = (object,),
        timeout: float | None = 30.0,
        inline: bool = False,
    ) -> None:
        """Add a listener while the organism runs; by default it takes any payload. Raises UsageError if it exists."""
        if name.startswith("system."):
            raise UsageError(f"{name} is reserved for xpipe; take a name that does not start with system.")
        try:
            self.topology.add(Listener(name, handler, accepts, timeout=timeout, inline=inline))
        except ValueError as error:
            raise UsageError(str(error)) from None

    def unregister_listener(self, name: str) -> None:
        """Remove a listener; what is still sent to it becomes a fault to the sender. Raises UsageError."""
        try:
            self.topology.remove(name)
        except KeyError:
            raise UsageError(f"there is no listener {name}; registered are those of the organism") from None
        if self._pump is not None:
            self._pump.wake()


def _system_listeners() -> list[Listener]:
    def unused(payload: Any, metadata: Any) -> None:  # The primitives of the pump take these messages.
        del payload, metadata

    return [
        Listener(BUFFER, unused, (BufferStart,), "fan-out of items to a listener", timeout=None, inline=True),
        Listener(SEQUENCE, unused, (SequenceStart,), "listeners in order", timeout=None, inline=True),
    ]


def _payload_classes(definition: OrganismDefinition) -> list[type]:
    accepted = [cls for one in definition.listeners for cls in one.accepts if cls is not object]
    return list(dict.fromkeys([*definition.payload_types, *accepted]))


def _payload_refs(definition: OrganismDefinition) -> list[CodeRef]:
    return list(definition.payload_types.values())
