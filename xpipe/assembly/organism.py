"""An organism that runs inside a program's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from xpipe.assembly.building import backend_config, make_intake, make_pool, make_pump, slots_per_thread
from xpipe.config.handlers import complain_about_handler
from xpipe.config.loading import load_definition
from xpipe.core.durations import is_duration
from xpipe.core.errors import BackendError, UsageError, XpipeError
from xpipe.core.messages import ConversationRecord, Cursor, Injection, cancelled
from xpipe.core.organism import Listener, OrganismDefinition
from xpipe.ports import SharedBackend
from xpipe.runtime.admission import Admission
from xpipe.runtime.confirmation import Confirmation
from xpipe.runtime.current import is_loading
from xpipe.runtime.happenings import Happening, Output
from xpipe.runtime.lease import Lease
from xpipe.runtime.outcomes import Outcomes
from xpipe.runtime.pool import Pool
from xpipe.runtime.pump import Pump
from xpipe.runtime.stats import Stats
from xpipe.runtime.supervisor import Supervisor
from xpipe.runtime.takeover import Taken, Takeover
from xpipe.state.factory import make_backend

log = logging.getLogger("xpipe.organism")

LOOK = 1.0
"""Seconds between two looks at what other processes may have changed."""
ADOPT = 3.0
"""Seconds between two looks for conversations that nobody serves; LOOKING times as long as a look took, if longer."""
LOOKING = 50


async def _at_once() -> bool:
    """What was given counts as delivered."""
    return True


class Organism:
    """The embedding API.

        organism = Organism.load("organism.yaml")
        async with organism:
            conversation = await organism.inject("greeter", Greeting("Ada"))
            outputs = await organism.outputs(conversation)

    Outputs are kept until they are asked for. With `on_happening` set, outputs and endings are given to it as they
    happen and are not kept. What was given counts as delivered once `printed` returns True; with None only after
    `confirm`. With `serves` it takes over conversations that nobody serves for as long as it runs.
    """

    def __init__(
        self,
        definition: OrganismDefinition,
        backend: SharedBackend | None = None,
        on_happening: Callable[[Happening], None] | None = None,
        printed: Callable[[], Awaitable[bool]] | None = _at_once,
        serves: bool = False,
    ) -> None:
        self.definition = definition
        self.config = backend_config(definition)
        self.backend = backend or make_backend(self.config)
        self.serves = serves
        self.intake = make_intake(definition)
        self.types = self.intake.types
        self.topology = self.intake.topology
        self.pool: Pool | None = None
        lasts = self.backend.capabilities.persistent
        self._outcomes = Outcomes(self.types, on_happening, at_once=not lasts)
        self._printed = printed if lasts else _at_once
        self._pump: Pump | None = None
        self._lease: Lease | None = None
        self._upkeep: list[asyncio.Task[None]] = []
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
        if is_loading.is_set():
            raise UsageError(
                "a worker process imports this program for its handlers, and must not run it; "
                'put what runs it below `if __name__ == "__main__":`'
            )
        self._begin_anew()
        loop = asyncio.get_running_loop()
        limits = self.definition.limits
        self.backend.open(self.definition.name, slots_per_thread(self.definition))
        self.pool = make_pool(loop, self.definition, self.topology, self._fail)
        if self.pool is not None:
            self.pool.start()
        self._pump = make_pump(
            loop, self.definition, self.backend, self.intake, self.pool, self._outcomes.take, self._waiting.note_change
        )
        self._pump.failed.add_done_callback(lambda _: self._waiting.wake_all())
        self._takeover = Takeover(self.backend, self._pump)
        self._supervisor = Supervisor(self._pump, self.backend, limits.conversation_duration)
        self._admission = Admission(
            self.backend, self._pump.line, self._takeover, limits.in_flight, self.config.max_threads
        )
        await self._take_lease(self._pump, loop)
        self._upkeep = [loop.create_task(self._see_to(duty), name="xpipe-upkeep") for duty in self._duties()]

    def _duties(self) -> list[Callable[[], Awaitable[None]]]:
        duties: list[Callable[[], Awaitable[None]]] = [self._look_at_the_ready_for_ever]
        duties += [self._supervisor.end_overdue] if self.definition.limits.conversation_duration else []
        duties += [lambda: self._confirmation.run(self.pump.line)] if self._confirmation.is_automatic else []
        if self.serves:
            duties.append(self._adopt_for_ever)
        return duties

    async def _see_to(self, duty: Callable[[], Awaitable[None]]) -> None:
        try:
            await duty()
        except XpipeError as error:
            self._fail(error)

    async def _take_lease(self, pump: Pump, loop: asyncio.AbstractEventLoop) -> None:
        def from_thread(call: Callable[..., None], *args: Any) -> None:
            # The loop may be closed by the time a thread has something to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call, *args)

        self._lease = Lease(
            self.backend,
            pump.id,
            self.config.retention,
            self.serves,
            on_news=partial(from_thread, pump.wake),
            on_renamed=partial(from_thread, self._note_new_name),
            on_lost=partial(from_thread, self._fail),
        )
        await pump.line.call(self._lease.take)
        await self._serve_the_gone(pump, await pump.line.call(self.backend.ready_listeners))
        pump.wake()  # For what an earlier run, or another one, has left.

    async def _serve_the_gone(self, pump: Pump, ready: list[str]) -> None:
        """See to messages for listeners that only an earlier version of the organism had: they become faults."""
        gone = [name for name in ready if self.topology.get(name) is None]
        if gone and not await self._takeover.others():
            self.topology.gone.update(gone)
            pump.wake()

    async def _look_at_the_ready_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            ready = await self.pump.line.call(self.backend.ready_listeners)
            await self._serve_the_gone(self.pump, ready)
            self._supervisor.watch_progress(ready)

    def _begin_anew(self) -> None:
        """What an earlier stop left unfinished ends with nobody waiting."""
        self._outcomes.begin_anew()
        self._waiting = self._outcomes.waiting
        self._injecting = asyncio.Lock()
        self._renaming = asyncio.Lock()
        self._confirmation = Confirmation(
            self.backend, self._outcomes.delivery, self._printed, self._waiting.note_change
        )

    def _fail(self, error: XpipeError) -> None:
        if self._pump is not None:
            self._pump.fail(error)

    async def inject(self, to: str, payload: Any, *, source: str = "api") -> str:
        """Start a conversation with a message to the listener or group `to`; its id.

        `payload` is an instance of a payload class, or a mapping, or XML or JSON text of one. Waits while
        `limits.in_flight` messages are under way. Raises PayloadError.
        """
        return (await self.inject_all([self.intake.injection(source, to, payload)]))[0]

    async def inject_all(
        self, injections: list[Injection], cursor: Cursor | None = None, seen: Cursor | None = None
    ) -> list[str]:
        """Start a conversation for each of `injections`, in one commit; their ids. Waits as `inject` does.

        The same commit moves the cursor of their source from `seen` to `cursor`; nothing is done, and the answer is
        empty, if another reader has moved it meanwhile.
        """
        async with self._injecting:  # One looks whether there is room, however many want to inject.
            pump = self.pump
            wanted = sum(max(1, len(one.to)) for one in injections)
            while not await self._admission.is_open(wanted, self._seek_room):
                await self._next_change(LOOK)
            return await pump.line.unbroken(self._inject(pump, injections, cursor, seen))

    async def _inject(
        self, pump: Pump, injections: list[Injection], cursor: Cursor | None, seen: Cursor | None
    ) -> list[str]:
        ids = await pump.inject(injections, cursor, seen)
        self._waiting.begin(ids)
        return ids

    async def cursor(self, name: str) -> Cursor | None:
        """The cursor of the source `name`."""
        return await self.pump.line.call(self.backend.cursor, name)

    def _seek_room(self) -> bool:
        """Have what may go soon go at once; whether there is, or may come to be, any such thing."""
        self._confirmation.hurry()
        return bool(self._waiting.running) or self._confirmation.is_due

    async def cancel(self, conversation: str, reason: str = "it was asked for") -> bool:
        """End `conversation` and all that is under way in it; its initiator gets the fault `cancelled`.

        False if it is over already, or unknown.
        """
        did = await self.pump.line.call(self.backend.cancel, conversation, cancelled(reason), time.time())
        self.pump.wake()
        return did

    async def outputs(self, conversation: str) -> list[Output]:
        """Wait until `conversation` is over; what reached its initiator, in order. May be asked once."""
        while conversation in self._waiting.running:
            await self._while_serving(lambda: self._waiting.ending(conversation))
        return self._outcomes.collect(conversation)

    async def idle(self) -> None:
        """Wait until all conversations injected here are over."""
        while self._waiting.running:
            await self._next_change()

    async def serve(self) -> None:
        """Wait for ever, until what ends the pump is raised."""
        while True:
            await self._next_change()

    async def drain(self, grace: float = math.inf) -> bool:
        """Take no more messages and give the handlers that run up to `grace` seconds to end; whether all have."""
        self.pump.stop_claiming()
        end = time.monotonic() + grace
        while self.pump.is_busy and time.monotonic() < end:
            await self._next_change(min(LOOK, end - time.monotonic()))
        return not self.pump.is_busy

    async def release(self) -> None:
        """End the handlers under way, and hand back at once what they worked on: any run may go on with it."""
        await self.pump.close()
        await self.pump.hand_back()

    async def stop(self) -> None:
        """Stop the pump, end the workers, close the backend. What handlers under way worked on stays unfinished."""
        if self._pump is None:
            return
        await self.halt()
        if self._confirmation.is_automatic:
            with contextlib.suppress(BackendError):
                self.confirm()
        self.leave()

    async def halt(self) -> None:
        """As `stop`, but until `leave` the backend stays open and what ran here is this run's: for `confirm`."""
        if self._pump is None:
            return
        await self.release()
        pump, self._pump = self._pump, None
        for task in self._upkeep:
            task.cancel()
        self._waiting.wake_all()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        pump.line.close()

    def leave(self) -> None:
        """After `halt`: leave what is not finished or not confirmed to other runs, and close the backend."""
        lease, self._lease = self._lease, None
        if lease is not None:
            # What cannot be handed back now is free when the lease ends.
            with contextlib.suppress(BackendError):
                lease.give_back()
        if self.backend.capabilities.cross_process:  # Memory holds nothing but what can be looked at afterwards.
            self.backend.close()

    def unserved(self) -> list[ConversationRecord]:
        """The unfinished conversations in the backend that no live pump serves."""
        return self._takeover.unserved()

    async def resume(self) -> list[str]:
        """Take over every unfinished conversation that no live pump serves; their ids.

        First the outputs that no run has printed happen again, those of finished conversations included.
        """
        return await self._adopt(self._takeover.all())

    async def _adopt(self, taken: AsyncIterator[Taken]) -> list[str]:
        adopted = []
        async for one, outputs in taken:
            self._outcomes.take_over(one, outputs)
            if not one.ended:
                adopted.append(one.id)
        self.pump.wake()
        return adopted

    def _note_new_name(self, old: str, new: str) -> None:
        if self._pump is not None:
            self._pump.id = new
            carrying = self._see_to(lambda: self._carry_over(old))
            self._upkeep.append(asyncio.get_running_loop().create_task(carrying, name="xpipe-upkeep"))

    async def _carry_over(self, old: str) -> None:
        """The pump has lost its name: make its conversations those of the new one, and tell what was missed."""
        async with self._renaming:
            running = set(self._waiting.running)
            async for one, outputs in self._takeover.of(old):
                self._outcomes.catch_up(one, outputs)
            for conversation in running - await self._takeover.own():
                log.warning("another run has taken over the conversation %s and tells its outputs", conversation)
                self._waiting.end(conversation)
            self.pump.wake()

    async def _adopt_for_ever(self) -> None:
        while True:
            begun = time.monotonic()
            await self._adopt(self._takeover.all())
            # Where very much is kept, looking must not become the main work.
            await asyncio.sleep(max(ADOPT, LOOKING * (time.monotonic() - begun)))

    def confirm(self, printed: Mapping[str, int] | None = None) -> None:
        """What has happened so far has been printed, and need not happen again on a `resume`. Also after `halt`.

        printed: of each conversation only so many of its outputs that have happened here; None for all of them.
        """
        if printed is None:
            self._confirmation.confirm()
            return
        records = [self.backend.conversation(id) for id in printed]
        self.backend.delivered({one.id: one.delivered + printed[one.id] for one in records if one is not None})

    @property
    def unfinished(self) -> int:
        """How many of the conversations injected here are not over."""
        return len(self._waiting.running)

    @property
    def running(self) -> frozenset[str]:
        """The conversations injected here that are not over."""
        return frozenset(self._waiting.running)

    async def _next_change(self, most: float | None = None) -> None:
        await self._while_serving(lambda: self._waiting.change(most))

    async def _while_serving(self, change: Callable[[], Awaitable[None]]) -> None:
        """Wait for `change`. Raises UsageError on a stop meanwhile, and what ended the pump."""
        pump = self.pump
        if pump.failed.done():
            pump.failed.result()
        await change()
        if self._pump is not pump:
            raise UsageError("the organism was stopped before what was waited for came about")
        if pump.failed.done():
            pump.failed.result()

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
        if timeout is not None and not is_duration(timeout):
            raise UsageError(
                f"the timeout of {name} is {timeout}; pass seconds up to 36,500 days, 0 or None for no limit"
            )
        complaint = complain_about_handler(handler, getattr(handler, "__name__", type(handler).__name__))
        if complaint is not None:
            raise UsageError(f"{complaint.message} {complaint.hint}".rstrip())
        try:
            self.topology.add(Listener(name, handler, accepts, timeout=timeout or None, inline=inline))
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
