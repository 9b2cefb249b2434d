"""A worker's place in the pool, and the tasks that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from xpipe.runtime.frames import Result, Task
from xpipe.runtime.process import WorkerProcess


class PoolTask:
    """A task under way. `done` gets its result once; `timeout` is in seconds from the start of its handler.

    pid: the worker it was given to last, 0 for none.
    """

    __slots__ = ("done", "pid", "read_history", "task", "timeout")

    def __init__(
        self,
        task: Task,
        timeout: float | None,
        done: Callable[[Result], None],
        read_history: Callable[[], list[bytes]],
    ) -> None:
        self.task = task
        self.timeout = timeout
        self.done = done
        self.read_history = read_history
        self.pid = 0


class Seat:
    """A worker's place in the pool: what it has been given."""

    __slots__ = ("due", "given", "handed", "places", "process", "ready", "timed_out", "timer")

    def __init__(self) -> None:
        self.process: WorkerProcess
        self.given: dict[int, PoolTask] = {}
        self.handed = 0
        self.places = 0
        self.ready = False
        self.timed_out = 0
        self.timer: asyncio.TimerHandle | None = None
        self.due = 0.0
