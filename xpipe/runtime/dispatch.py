"""Runs a handler where it belongs: on the event loop, in a thread, or in a worker process; and keeps its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from functools import partial
from typing import Any

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import SELF
from xpipe.core.organism import Listener
from xpipe.core.payloads import HandlerMetadata, Slot
from xpipe.ports import SharedBackend
from xpipe.runtime import coroutines, forks, watchdog
from xpipe.runtime.contexts import Contexts
from xpipe.runtime.current import current
from xpipe.runtime.frames import Result, Task
from xpipe.runtime.history import read_slots, up_to
from xpipe.runtime.hop import Hop
from xpipe.runtime.pool import Pool
from xpipe.runtime.responses import Failure, Outgoing, describe, encode_responses
from xpipe.runtime.seat import PoolTask
from xpipe.runtime.threads import ThreadWorkers
from xpipe.runtime.topology import Topology

CANCEL_GRACE = 1.0
"""Seconds a cancelled handler has to end before it is given up on."""

Outcome = list[Outgoing] | Failure
Settle = Callable[[Hop, Outcome], None]


class Dispatcher:
    """Knows how to run each kind of handler. `instructions` gives a listener's usage instructions."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        backend: SharedBackend,
        types: PayloadTypes,
        pool: Pool | None,
        threads: ThreadWorkers,
        instructions: Callable[[str], str | None],
    ) -> None:
        self._loop = loop
        self._backend = backend
        self._types = types
        self._pool = pool
        self._threads = threads
        self._instructions = instructions
        self._closing = False
        self._contexts = Contexts()
        self._generation = forks.generation

    def give_up(self) -> None:
        """From now on a handler that ends has been cancelled by the pump: its message stays unfinished."""
        self._closing = True

    def pause(self) -> None:
        """Leave what waits for a worker process to wait."""
        if self._pool is not None:
            self._pool.pause()

    @property
    def put_off(self) -> int:
        """How many messages are not going to be begun after `pause`."""
        return self._pool.put_off if self._pool is not None else 0

    def is_ahead(self, hop: Hop) -> bool:
        """Whether `hop` comes from a worker process, and they all have enough to do for now."""
        return bool(hop.worker) and self._pool is not None and self._pool.is_ahead(hop.claim.listener)

    async def close(self) -> None:
        """End the worker processes and idle threads."""
        self._threads.close()
        if self._pool is not None:
            self._pool.drop_waiting()
            await self._pool.close()

    def limit(self, room: dict[str, int], listeners: Topology) -> None:
        """Bound `room` by what threads and worker processes can take."""
        for listener in listeners:
            if listener.cpu_bound and self._pool is not None:
                room[listener.name] = min(room[listener.name], self._pool.room(listener.name))
            elif not listener.inline and not listener.asynchronous:
                # Without any thread left messages are claimed all the same, and told so: none waits for ever.
                free = room[listener.name] if self._threads.exhausted else self._threads.room(listener.name)
                room[listener.name] = min(room[listener.name], free)

    def runs_on_loop(self, listener: Listener | None) -> bool:
        """Whether the handler of `listener` runs on the event loop."""
        return listener is not None and not listener.cpu_bound and (listener.inline or listener.asynchronous)

    def begin(self, hop: Hop, settle: Settle) -> Awaitable[None] | None:
        """Run the handler of `hop`; `settle` gets its outcome once.

        Returns what the caller must await in its own task if the handler waits there, else None. Raises PayloadError
        when the payload cannot be decoded.
        """
        listener = hop.listener
        assert listener is not None
        if listener.cpu_bound and self._pool is not None:
            self._run_in_pool(self._pool, hop, listener, settle)
            return None
        payload = self._types.decode(hop.message.type, hop.message.payload)
        metadata = self._metadata(hop) if listener.takes_metadata else None
        if listener.asynchronous:
            return self._run_on_loop(hop, listener, payload, metadata, settle)
        context = self._contexts.fresh()
        call = partial(context.run, partial(self._call, hop, listener.call, payload, metadata))
        if listener.inline:
            settle(hop, call())
        elif self._threads.exhausted:
            settle(hop, _no_thread(self._threads.abandoned))
        else:
            self._run_in_thread(hop, listener, call, settle)
        return None

    def _metadata(self, hop: Hop) -> HandlerMetadata:
        message, claim = hop.message, hop.claim
        return HandlerMetadata(
            claim.thread,
            message.sender,
            claim.listener,
            message.kind == SELF,
            message.id,
            message.conversation,
            message.attempt,
            self._instructions(claim.listener) or "",
            partial(self._history, claim.thread, message.id),
        )

    def _history(self, thread: str, message: str) -> Sequence[Slot]:
        if self._generation != forks.generation:
            raise RuntimeError(forks.NO_HISTORY)
        return read_slots(up_to(self._backend.buffer_get_thread(thread), message), self._types)

    def _call(self, hop: Hop, call: Callable[..., Any], payload: Any, metadata: HandlerMetadata | None) -> Outcome:
        current.set(hop)
        hop.started = time.monotonic()
        try:
            result = call(payload) if metadata is None else call(payload, metadata)
            outcome: Outcome = encode_responses(self._types, result)
        except BaseException as error:
            self._stay_here(error)
            outcome = describe(error)
        self._stay_here()
        return _in_time(hop, outcome)

    def _stay_here(self, error: BaseException | None = None) -> None:
        """Exit if this is a process that a handler forked and that has returned or raised `error`."""
        if self._generation != forks.generation:
            forks.end(error)

    def _run_on_loop(
        self, hop: Hop, listener: Listener, payload: Any, metadata: HandlerMetadata | None, settle: Settle
    ) -> Awaitable[None] | None:
        context = self._contexts.fresh()
        hop.started = time.monotonic()
        try:
            coroutine, future = context.run(self._begin, hop, listener.call, payload, metadata)
        except StopIteration as stop:
            self._stay_here()
            settle(hop, _in_time(hop, self._encode(stop.value)))
            return None
        except BaseException as error:
            self._stay_here(error)
            settle(hop, _in_time(hop, describe(error)))
            return None
        self._stay_here()
        return self._wait_for(hop, listener, coroutine, context, future, settle)

    def _begin(
        self, hop: Hop, call: Callable[..., Coroutine[Any, Any, Any]], payload: Any, metadata: HandlerMetadata | None
    ) -> tuple[Coroutine[Any, Any, Any], Any]:
        """Run a handler to its first wait: its coroutine and the awaited future. Raises StopIteration at its end."""
        current.set(hop)
        coroutine = call(payload) if metadata is None else call(payload, metadata)
        return coroutine, coroutine.send(None)

    async def _wait_for(
        self,
        hop: Hop,
        listener: Listener,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        future: Any,
        settle: Settle,
    ) -> None:
        task = hop.task = asyncio.current_task()
        assert task is not None
        self._set_timer(hop, listener, settle)
        try:
            result = await coroutines.resume(coroutine, context, future)
            self._stay_here()
            outcome = self._encode(result)
        except BaseException as error:
            self._stay_here(error)
            outcome = describe(error)
        finally:
            if hop.timer is not None:
                hop.timer.cancel()
        if self._closing:
            return
        _settle_once(hop, hop.failure or _in_time(hop, outcome), settle)

    def _set_timer(self, hop: Hop, listener: Listener, settle: Settle) -> None:
        if listener.timeout is not None:
            left = hop.started + listener.timeout - time.monotonic()
            hop.timer = self._loop.call_later(max(0.0, left), self._expire, hop, listener, settle)

    def _expire(self, hop: Hop, listener: Listener, settle: Settle) -> None:
        self._stop_task(hop, _timed_out(listener), settle)

    def _stop_task(self, hop: Hop, failure: Failure, settle: Settle) -> None:
        hop.failure = failure
        hop.task.cancel()
        if hop.timer is not None:
            hop.timer.cancel()
        hop.timer = self._loop.call_later(CANCEL_GRACE, _settle_once, hop, failure, settle)

    def cancel(self, hop: Hop, settle: Settle) -> None:
        """Stop the handler of `hop`, which has begun; `settle` gets a failure, unless it had its outcome."""
        listener = hop.listener
        if hop.over or listener is None:
            return
        failure = Failure("cancelled", "the conversation was cancelled")
        if hop.task is not None:
            self._stop_task(hop, failure, settle)
        elif listener.cpu_bound and self._pool is not None:
            self._pool.cancel(hop.number)
        else:
            if hop.timer is not None:
                hop.timer.cancel()
            self._threads.abandon(listener.name)
            _settle_once(hop, failure, settle)

    def _encode(self, result: Any) -> Outcome:
        try:
            return encode_responses(self._types, result)
        except BaseException as error:
            return describe(error)

    def _run_in_thread(self, hop: Hop, listener: Listener, call: Callable[[], Outcome], settle: Settle) -> None:
        def done(outcome: Any, error: BaseException | None) -> None:
            if hop.timer is not None:
                hop.timer.cancel()
            self._threads.ended(listener.name, abandoned=hop.over)
            _settle_once(hop, describe(error) if error else outcome, settle)

        if listener.timeout is not None:
            hop.timer = self._loop.call_later(listener.timeout, self._check_thread, hop, listener, settle)
        self._threads.submit(listener.name, call, done)

    def _check_thread(self, hop: Hop, listener: Listener, settle: Settle) -> None:
        """Give up on a handler in a thread once its time, counted from its start, has passed."""
        timeout = listener.timeout or 0.0
        left = hop.started + timeout - time.monotonic() if hop.started else timeout
        if left > 0:
            hop.timer = self._loop.call_later(left, self._check_thread, hop, listener, settle)
        else:
            self._threads.abandon(listener.name)
            _settle_once(hop, _timed_out(listener), settle)

    def _run_in_pool(self, pool: Pool, hop: Hop, listener: Listener, settle: Settle) -> None:
        message, claim = hop.message, hop.claim
        hop.number = pool.next_number()
        task = Task(
            hop.number,
            claim.listener,
            message.type,
            message.payload,
            claim.thread,
            message.sender,
            message.kind == SELF,
            message.id,
            message.conversation,
            message.attempt,
            message.hop,
        )

        def done(result: Result) -> None:
            hop.started, hop.worker = time.monotonic() - result.seconds, pooled.pid
            _settle_once(hop, result.failure or result.responses, settle)

        def history() -> list[bytes]:
            return up_to(self._backend.buffer_get_thread(claim.thread), message.id)

        pooled = PoolTask(task, listener.timeout, done, history)
        pool.submit(pooled)


watchdog.calls_handlers(Dispatcher._call.__code__, "hop")
watchdog.calls_handlers(Dispatcher._begin.__code__, "hop")
watchdog.calls_handlers(coroutines.resume.__code__, "context")


def _settle_once(hop: Hop, outcome: Outcome, settle: Settle) -> None:
    if not hop.over:
        hop.over = True
        settle(hop, outcome)


def _in_time(hop: Hop, outcome: Outcome) -> Outcome:
    """`outcome`, unless its handler exceeded its time-out: the timer may have been blocked, too."""
    listener = hop.listener
    assert listener is not None
    late = listener.timeout is not None and time.monotonic() - hop.started > listener.timeout
    return _timed_out(listener) if late else outcome


def _no_thread(count: int) -> Failure:
    text = f"{count} handlers are past their time-out and still hold the threads"
    return Failure("no_thread", f"{text}; let them end in time, or make them async or cpu_bound")


def _timed_out(listener: Listener) -> Failure:
    text = f"no answer within {listener.timeout:g} s; raise the listener's timeout or make the handler faster"
    return Failure("timeout", text)
