"""A worker process: loads the user's code once, then runs CPU-bound handlers until the pump goes away.

Started as `python -c "...; main(socket, mark)"`, so the user's `__main__` is never run again. The main thread runs
handlers; a second one listens to the pump, so that what it sends is taken in and its end is noticed meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import math
import mmap
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, NoReturn

from xpipe.config.code import load_object
from xpipe.core.codec import PayloadTypes
from xpipe.core.handlers import bind
from xpipe.core.payloads import HandlerMetadata, Slot
from xpipe.runtime import forks, speech
from xpipe.runtime.contexts import Contexts
from xpipe.runtime.current import current, is_loading
from xpipe.runtime.frames import (
    MARK_SIZE,
    Broken,
    FrameBuffer,
    FrameTooLarge,
    FromWorker,
    History,
    Ready,
    Result,
    Setup,
    Skipped,
    Task,
    decode_to_worker,
    frame,
    read_mark,
    read_revoked,
    write_mark,
)
from xpipe.runtime.history import read_slots
from xpipe.runtime.responses import Failure, Outgoing, describe, encode_responses

_PR_SET_PDEATHSIG = 1
_PUMPS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CHUNK = 1 << 20
LEAVING = 2.0
"""Seconds for the exit functions."""


class Worker:
    """Runs the tasks that come through `connection`."""

    def __init__(self, connection: socket.socket, mark: mmap.mmap) -> None:
        self._connection = connection
        self._mark = mark
        self._sending = threading.Lock()
        self._tasks: deque[Task] = deque()
        self._news: SimpleQueue[None] = SimpleQueue()
        self._setup: SimpleQueue[Setup] = SimpleQueue()
        self._histories: SimpleQueue[list[bytes]] = SimpleQueue()
        self._handlers: dict[str, tuple[Callable[..., Any], bool, str]] = {}
        self._over = False
        self._generation = forks.generation
        forks.watch(self)

    def forked(self) -> None:
        """In a forked process: the connection belongs to the parent."""
        self._connection.close()
        speech.give_back(say_left=False)

    def run(self) -> None:
        """Serve until the pump closes the connection."""
        threading.Thread(target=_or_end, args=[self._listen], daemon=True).start()
        setup = self._setup.get()
        speech.relay(self._send, setup.prints, setup.level)
        atexit.register(speech.give_back)  # The first one runs last: until then what is printed goes to the pump.
        try:
            is_loading.set()
            self._load(setup)
            is_loading.clear()
        except BaseException as error:
            failure = describe(error)
            self._send(Broken(f"{failure.text}\n{failure.traceback}".strip()))
            return
        self._send(Ready())
        while not self._over:
            try:
                task = self._tasks.popleft()
            except IndexError:
                self._news.get()
            else:
                self._run(task)

    def _load(self, setup: Setup) -> None:
        sys.path[:] = setup.path
        self._types = PayloadTypes.named({name: self._class(load_object(ref)) for name, ref in setup.types.items()})
        for listener in setup.listeners:
            handler: Any = load_object(listener.handler)
            self._handlers[listener.name] = *bind(handler), listener.usage_instructions
        self._contexts = Contexts()
        # What is loaded now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    def _class(self, found: object) -> type:
        if not isinstance(found, type):
            raise TypeError(f"{found!r} is not a class")
        return found

    def _run(self, task: Task) -> None:
        started = time.monotonic()
        write_mark(self._mark, task.number, started)
        if task.place <= read_revoked(self._mark):
            write_mark(self._mark, 0, 0.0)
            self._send(Skipped(task.number, task.place))
            return
        responses, failure = self._contexts.fresh().run(self._call, task)
        speech.end(task)
        write_mark(self._mark, task.number, math.inf)  # Its time is kept no more: the pump may be slow to read.
        self._finish(Result(task.number, responses, failure, time.monotonic() - started))
        write_mark(self._mark, 0, 0.0)
        if failure is not None and MemoryError.__name__ in failure.causes:
            os._exit(1)  # The messages to come get a process that has memory again.

    def _call(self, task: Task) -> tuple[list[Outgoing], Failure | None]:
        """Run the handler of `task`, in a context of its own."""
        current.set(task)
        try:
            call, takes_metadata, usage = self._handlers[task.listener]
            payload = self._decode(task)
            result = call(payload, self._metadata(task, usage)) if takes_metadata else call(payload)
            responses = encode_responses(self._types, result)
        except BaseException as error:
            self._stay_here(error)
            return [], describe(error)
        self._stay_here()
        return responses, None

    def _stay_here(self, error: BaseException | None = None) -> None:
        """Exit if this is a process that the handler forked and that has returned or raised `error`."""
        if self._generation != forks.generation:
            forks.end(error)

    def _decode(self, task: Task) -> Any:
        """The payload of `task`. Without room for it the process ends: the message is tried again in another one."""
        try:
            return self._types.decode(task.type, task.payload)
        except MemoryError:
            _end()

    def _finish(self, result: Result) -> None:
        try:
            self._send(result)
        except FrameTooLarge:
            text = "the responses take more than 4 GiB; send less, or a path to a file"
            self._send(Result(result.number, [], Failure("payload_too_large", text), result.seconds))

    def _metadata(self, task: Task, usage: str) -> HandlerMetadata:
        return HandlerMetadata(
            task.thread,
            task.sender,
            task.listener,
            task.is_self_call,
            task.message,
            task.conversation,
            task.attempt,
            usage,
            partial(self._history, task.number),
        )

    def _history(self, number: int) -> Sequence[Slot]:
        if self._generation != forks.generation:
            raise RuntimeError(forks.NO_HISTORY)
        self._send(History(number))
        return read_slots(self._histories.get(), self._types)

    def _send(self, content: FromWorker) -> None:
        data = frame(content)
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError:
            os._exit(1)  # The pump is gone.

    def _listen(self) -> None:
        frames = FrameBuffer()
        while data := self._receive():
            for content in frames.feed(data):
                self._take(decode_to_worker(content))
            self._news.put(None)
        self._leave()

    def _leave(self) -> NoReturn:
        """The pump has stopped or is gone: the main thread runs the exit functions, unless a handler blocks it."""
        number, started = read_mark(self._mark)
        if not number or started == math.inf:
            self._over = True
            self._news.put(None)
            time.sleep(LEAVING)
        os._exit(0)

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK)
        except OSError:
            return b""

    def _take(self, content: Setup | Task | History) -> None:
        match content:
            case Task():
                self._tasks.append(content)
            case History():
                self._histories.put(content.slots)
            case Setup():
                self._setup.put(content)


def main(connection: int, mark: int, pump: int) -> None:
    """Be a worker of the process `pump`, on the inherited file descriptors of a socket and of a mark."""
    _die_with(pump)
    _leave_signals_to_the_pump()
    os.dup2(2, 1)  # What handlers print is talk, never data.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # A worker may be killed at any time.
    os.set_inheritable(connection, False)
    _or_end(Worker(socket.socket(fileno=connection), mmap.mmap(mark, MARK_SIZE)).run)


def _or_end(work: Callable[[], None]) -> None:
    """Do `work`; if it fails, for want of memory, say, end the process, whatever threads the user's code has begun."""
    try:
        work()
    except BaseException:
        _end()


def _end() -> NoReturn:
    """End the process because of the exception that is being handled."""
    with contextlib.suppress(BaseException):
        traceback.print_exc()
    os._exit(1)


def _leave_signals_to_the_pump() -> None:
    """A Ctrl-C or a SIGTERM to the whole process group is the pump's to handle: it decides when its workers end.

    Caught, not ignored: programs that a handler starts inherit what is ignored, and could not be ended with SIGTERM.
    """
    for number in _PUMPS_SIGNALS:
        signal.signal(number, lambda *_: None)
    forks.keep_signals(_PUMPS_SIGNALS, lambda: forks.default_signals(_PUMPS_SIGNALS))
    # The pump has blocked them while it started this process, see `process._start`.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PUMPS_SIGNALS)


def _die_with(pump: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != pump:
        os._exit(1)
