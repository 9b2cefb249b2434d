"""The pump: claims messages, runs their handlers, commits what follows, in batches.

One call of `advance` commits all finished hops and claims the next ones. The messages claimed are begun one after
the other by a runner, a task. When a handler waits, its runner waits with it and another runner goes on with the
rest: a handler that does not wait costs no task, one that does holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import copy_context
from itertools import chain

from xpipe.core.errors import BackendError, PayloadError
from xpipe.core.messages import DAMAGED, REVOKED, Cursor, Event, Injection, Step, claimed_message
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced, SharedBackend
from xpipe.runtime import forks, speech
from xpipe.runtime.bookkeeping import Bookkeeping, tell_claim
from xpipe.runtime.calls import Calls
from xpipe.runtime.dispatch import Dispatcher
from xpipe.runtime.hop import Hop, Place
from xpipe.runtime.line import Line
from xpipe.runtime.primitives.base import Primitive
from xpipe.runtime.responses import Failure, Outgoing
from xpipe.runtime.room import Room
from xpipe.runtime.router import Router
from xpipe.runtime.topology import Topology
from xpipe.runtime.watchdog import Watchdog

log = logging.getLogger("xpipe.pump")

LINGER = 0.01
"""Seconds that what workers have done waits for more of it while they have enough to do: a call takes their CPU."""
MAX_TURN = 0.005
"""Seconds of handling after which the event loop gets a chance: timers, signals, workers."""
MAX_IDLE_RUNNERS = 32
PATIENCE = 1.0
"""Seconds in which what is under way at the end may end."""


class Pump:
    """Serves one organism on one backend, in the running event loop.

    `on_event` gets the backend's events, `on_progress` is called after each commit."""

    def __init__(
        self,
        id: str,
        backend: SharedBackend,
        topology: Topology,
        books: Bookkeeping,
        router: Router,
        dispatcher: Dispatcher,
        primitives: dict[str, Primitive],
        on_event: Callable[[Event], None],
        on_progress: Callable[[], None],
    ) -> None:
        self.id = id
        self._books = books
        self.stats = books.stats
        self._backend = backend
        self._topology = topology
        self._router = router
        self._dispatcher = dispatcher
        self._primitives = primitives
        self._on_event = on_event
        self._on_progress = on_progress
        self._queue: deque[Hop] = deque()
        self._steps: list[Step] = []
        self._hops: list[Hop] = []
        self._room = Room(topology, dispatcher, primitives)
        self._claimed: dict[str, Hop] = {}
        self._idle: list[asyncio.Future[None]] = []
        self._runners: set[asyncio.Task[None]] = set()
        self._awake = 0
        self._claiming, self._closed = True, False
        self._calls = Calls(backend.capabilities.remote)
        self.line = Line(backend.capabilities.blocking)
        self._news = True
        self._timer: asyncio.TimerHandle | None = None
        self._lingers: asyncio.TimerHandle | None = None
        self._turn_began = 0.0
        self._place = Place()
        self._loop, self._context = asyncio.get_running_loop(), copy_context()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._watchdog = Watchdog(self._loop)
        self._thread = threading.get_ident()
        forks.watch(self)

    def forked(self) -> None:
        """In a process forked by a handler or its task: exit when it returns to the event loop."""
        if not self._closed and threading.get_ident() == self._thread:
            self._loop.call_soon(forks.end)
        self._closed = True

    @property
    def under_way(self) -> int:
        """Messages this pump has claimed and not finished."""
        return self._room.under_way

    @property
    def is_busy(self) -> bool:
        """Whether a handler with a wanted result is running, or such a result is uncommitted."""
        return bool(self._calls or self._steps) or len(self._claimed) > self._dispatcher.put_off

    @property
    def running(self) -> dict[str, int]:
        """How many messages of each busy listener are under way."""
        return dict(self._room.running)

    def able_to_claim(self, listeners: Iterable[str]) -> list[str]:
        """Those of `listeners` of which this pump could claim a message now."""
        room = self._room.free() if self._claiming else {}
        return [name for name in listeners if room.get(name, 0) > 0]

    async def inject(
        self, messages: Sequence[Injection], cursor: Cursor | None = None, seen: Cursor | None = None
    ) -> list[str]:
        """Start a conversation for each message; their ids. `cursor` and `seen` as in `SharedBackend.inject`."""
        self._topology.expect(name for message in messages for name in message.to)
        # The line keeps calls in order: what claims these messages is asked for while they are still put in.
        self._loop.call_soon(self.wake)
        return await self.line.call(self._backend.inject, self.id, messages, time.time(), cursor, seen)

    def wake(self) -> None:
        """There may be something to claim: have a runner look."""
        self._news = True
        self._rouse()

    def _rouse(self) -> None:
        if self._awake or self._closed:
            return
        self._awake += 1
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            # Whoever wakes it may be a handler, in a context that is not to be that of other handlers.
            runner = self._loop.create_task(self._run(), name="xpipe-runner", context=self._context.copy())
            self._runners.add(runner)
            runner.add_done_callback(self._runner_ended)

    def stop_claiming(self) -> None:
        """Take no further messages, and begin none that wait for a worker process; handlers that run go on."""
        self._claiming = False
        self._dispatcher.pause()

    async def close(self) -> None:
        """Stop at once: handlers under way are cancelled and their messages stay unfinished in the backend."""
        if self._closed:
            return
        self._closed = True
        if self._calls:
            await asyncio.wait(self._calls.runners, timeout=PATIENCE)  # What they bring is to be told.
        self._dispatcher.give_up()
        self._watchdog.stop()
        if self._timer is not None:
            self._timer.cancel()
        runners = list(self._runners)
        for runner in runners:
            runner.cancel()
        if runners:
            # A handler may refuse to be cancelled; it is left behind.
            await asyncio.wait(runners, timeout=PATIENCE)
        await self._dispatcher.close()

    async def hand_back(self) -> None:
        """After `close`: commit what is finished, hand back what is not. If that fails, the end of the lease does."""
        # A commit would forget how often a message was lost with its pump; such a one goes back with the lease.
        left = [hop.back() for hop in self._claimed.values() if not hop.claim.deliveries]
        steps, self._steps, self._claimed = self._steps + left, [], {}
        with contextlib.suppress(BackendError):
            advanced = await self.line.call(self._backend.advance, self.id, steps, {}, 0, time.time())
            self._take_events(advanced)

    def _runner_ended(self, runner: asyncio.Task[None]) -> None:
        self._runners.discard(runner)
        error = None if runner.cancelled() else runner.exception()
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The pump cannot go on; whoever waits for something is told `error`."""
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _run(self) -> None:
        try:
            await self._serve()
        finally:
            self._awake -= 1
            if self._has_work():
                self._rouse()

    async def _serve(self) -> None:
        runner = asyncio.current_task()
        assert runner is not None
        self._turn_began = time.monotonic()
        while not self._closed:
            while self._queue and not self._turn_is_over():
                if len(self._steps) >= self._calls.early and self._may_advance():
                    break
                rest = self._begin(self._queue.popleft())
                if rest is not None:
                    await self._see_through(rest)
                    return  # The handler may have left its task to others, who may still cancel it.
                if runner.cancelling():
                    return
            if self._may_advance():
                await self._advance()
            elif not self._queue:
                if not await self._sleep():
                    return
                continue
            if not self._queue or self._turn_is_over():
                await self._let_others_run()

    def _has_work(self) -> bool:
        """Something is to be handled or committed, or may be there to be claimed."""
        return bool(self._queue) or self._may_advance()

    def _may_advance(self) -> bool:
        if not self._calls:
            return bool(self._steps) or self._news
        return self._calls.admit(len(self._steps)) or (self._calls.admit_claims() and not self._queue)

    async def _see_through(self, rest: Awaitable[None]) -> None:
        """Wait with a handler, while another runner goes on with the queue."""
        self._awake -= 1
        if self._has_work():
            self._rouse()
        try:
            await rest
        finally:
            self._awake += 1

    def _turn_is_over(self) -> bool:
        return time.monotonic() - self._turn_began > MAX_TURN

    async def _let_others_run(self) -> None:
        await asyncio.sleep(0)
        self._turn_began = time.monotonic()

    async def _sleep(self) -> bool:
        """Wait to be woken; False when this runner is not needed any more."""
        if len(self._idle) >= MAX_IDLE_RUNNERS:
            return False
        self._awake -= 1
        woken = self._loop.create_future()
        self._idle.append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            if woken in self._idle:
                self._idle.remove(woken)
                self._awake += 1  # As if it had been woken, to end.
            raise
        self._turn_began = time.monotonic()
        return True

    async def _advance(self) -> None:
        steps, hops, lingers, self._lingers = self._steps, self._hops, self._lingers, None
        if lingers is not None:
            lingers.cancel()
        # What is not through may leave out listeners that have work.
        self._steps, self._hops, self._news, now = [], [], bool(self._queue or self._calls), time.time()
        self._room.give_back(hop.claim.listener for hop in hops)
        free = self._room.free({hop.claim.listener for hop in self._queue}) if self._claiming else {}
        room, most = self._calls.claimable(free, len(self._queue))
        advanced = await self._exchange(steps, room, most, now)
        self._books.count(advanced, steps, hops, chain(self._steps, self._calls.steps))
        for position, reason in advanced.refused.items():
            self._refused(hops[position], reason)
        self._take_events(advanced)
        told = log.isEnabledFor(logging.DEBUG)
        for claim in advanced.claims:
            hop = self._claimed[claim.thread] = Hop(claim, claimed_message(claim))
            self._queue.append(hop)
            if told:
                tell_claim(hop)
        self._room.take(claim.listener for claim in advanced.claims)
        self._calls.is_plenty = len(advanced.claims) == most > 0
        self._news = self._news or len(advanced.claims) == most
        if self._topology.gone and not (self._room.running or self.line.blocking or self._backend.load().in_flight):
            self._topology.gone.clear()  # Nothing for them can still come.
        self._set_timer(advanced.due, now)
        self._on_progress()

    def _take_events(self, advanced: Advanced) -> None:
        for event in advanced.events:
            if event.kind == REVOKED:
                self._revoke(event.state)
            else:
                self._on_event(event)

    def _revoke(self, thread: str) -> None:
        """The message of `thread` has been cancelled: what comes of it is not wanted any more."""
        hop = self._claimed.pop(thread, None)
        if hop is not None:
            hop.revoked = True
            self._dispatcher.cancel(hop, self._settle)

    def _drop(self, hop: Hop) -> None:
        self._room.give_back([hop.claim.listener])
        self.wake()
        self._on_progress()

    async def _exchange(self, steps: list[Step], room: dict[str, int], most: int, now: float) -> Advanced:
        """What the backend answers; while it blocks, other runners handle what is in the queue."""
        if not self.line.blocking:
            return self._backend.advance(self.id, steps, room, most, now)
        call = self._calls.begin(steps, room, most)
        self._awake -= 1
        if self._has_work():
            self._rouse()
        try:
            return await self.line.call(self._backend.advance, self.id, steps, room, most, now)
        finally:
            self._awake += 1
            self._calls.end(call)

    def _refused(self, hop: Hop, reason: str) -> None:
        if reason == "slots":
            text = "a thread this hop writes to is full (limits.slots_per_thread, backend.max_slots_per_thread); "
            fault = self._router.fault(hop.claim, hop.message, "too_many_slots", f"{text}raise it or start another")
            self._room.take([hop.claim.listener])
            self._finish(hop, self._fail(hop, fault))

    def _set_timer(self, due: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due:
            self._timer = self._loop.call_later(max(0.0, due - now), self.wake)

    def _begin(self, hop: Hop) -> Awaitable[None] | None:
        """Start handling `hop`; what is left to be awaited if its handler waits in this task."""
        if hop.revoked:
            self._drop(hop)
            return None
        primitive = self._primitives.get(hop.claim.listener)
        if primitive is not None and hop.message.kind != DAMAGED:
            step: Step | None = primitive.take(hop.claim, hop.message)
        else:
            step = self._router.admit(hop.claim, hop.message)
        if step is not None:
            self._books.note_failure(hop, step)
            self._finish(hop, step)
            return None
        hop.listener = self._topology.get(hop.claim.listener)  # Now: listeners come and go.
        try:
            return self._dispatcher.begin(hop, self._settle)
        except PayloadError as error:
            self._settle(hop, Failure(error.code, str(error)))
            return None

    def _settle(self, hop: Hop, outcome: list[Outgoing] | Failure) -> None:
        """The handler of `hop` ended: decide its step. Called once for each hop."""
        speech.end(hop)
        if hop.revoked:
            self._drop(hop)
            return
        try:
            step = self._end_badly(hop, outcome) if isinstance(outcome, Failure) else self._end_well(hop, outcome)
        except Exception as error:  # Called from a thread's or worker's result, nobody else would hear of it.
            self.fail(error)
        else:
            self._finish(hop, step)

    def _end_well(self, hop: Hop, responses: list[Outgoing]) -> Step:
        step = self._router.route(hop.claim, hop.message, responses)
        if step.failed:
            self._books.note_fault(hop, step)
        return step

    def _end_badly(self, hop: Hop, failure: Failure) -> Step:
        self.stats.timeouts += failure.code == "timeout"
        self.stats.workers_lost += failure.code == "worker_lost"
        code, text, traceback, causes = failure.code, failure.text, failure.traceback, failure.causes
        fault = self._router.fault(hop.claim, hop.message, code, text, traceback, causes)
        return self._fail(hop, fault, failure.after)

    def _fail(self, hop: Hop, fault: Fault, after: float | None = None) -> Step:
        hop.code = fault.code
        step = self._router.route_failure(hop.claim, hop.message, fault, after)
        if not step.again:
            self._books.note(hop, fault)
        return step

    def _finish(self, hop: Hop, step: Step) -> None:
        self._claimed.pop(hop.claim.thread, None)
        step.hop = hop.record(step, self._place)
        self._steps.append(step)
        if step.sends:
            self._books.note_sends(step)
        self._hops.append(hop)
        if self._awake:
            return
        if not (self._calls.remote and self._dispatcher.is_ahead(hop)):
            self._rouse()
        elif self._lingers is None:
            self._lingers = self._loop.call_later(LINGER, self._rouse)
