"""The pool of worker processes: hands out tasks, keeps time, blames the right task for a death, stays whole.

Each worker has a short queue of its own, long enough that tiny tasks do not wait for the pipe. What waits behind a
long task is taken back as soon as another worker has nothing to do, whatever the long one is at.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from xpipe.core.errors import PoolError
from xpipe.core.organism import CodeRef
from xpipe.runtime import speech
from xpipe.runtime.frames import (
    Broken,
    FromWorker,
    History,
    Ready,
    Result,
    Setup,
    Skipped,
    WorkerListener,
)
from xpipe.runtime.guard import Guard
from xpipe.runtime.process import WorkerProcess
from xpipe.runtime.responses import Failure
from xpipe.runtime.seat import PoolTask, Seat
from xpipe.runtime.speech import Logged, Said

QUEUE_SECONDS = 0.02
"""How much work, by the listener's recent pace, a worker has waiting for it."""
MIN_QUEUE, MAX_QUEUE = 2, 64
MAX_FAILED_STARTS = 3
"""Workers in a row that end before they are ready, after which the pool gives up: the user's code is at fault."""
MAX_FAILED_RESTARTS = 20
"""The same once a worker has been ready: the code is good, somebody else kills them."""
_PACE_WEIGHT = 0.2


class Pool:
    """`size` worker processes; each is replaced after `max_tasks` tasks if that is not 0.

    `on_broken` is called with a PoolError when workers cannot start.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        size: int,
        max_tasks: int,
        types: Mapping[str, CodeRef],
        listeners: Sequence[WorkerListener],
        on_broken: Callable[[PoolError], None],
    ) -> None:
        self._loop = loop
        self.size = size
        self._max_tasks = max_tasks
        level = logging.getLogger().getEffectiveLevel()
        self._setup = Setup(list(sys.path), dict(types), list(listeners), speech.is_taken_over(), level)
        self._on_broken = on_broken
        self._numbers = count(1)
        self._waiting: deque[PoolTask] = deque()
        self._seats: list[Seat] = []
        self._processes: set[WorkerProcess] = set()
        self._guard: Guard | None = None
        self._paces: dict[str, float] = {}
        self._held: Counter[str] = Counter()
        self._failed_starts = 0
        self._proven = False
        self._closed = False
        self._paused = False
        self.restarts = 0

    def start(self) -> None:
        """Start the workers; they load the user's code while the pump goes on. Raises PoolError."""
        self._guard = Guard()
        try:
            for _ in range(self.size):
                self._seat()
        except PoolError:
            self._closed = True
            self.kill()
            self._guard.close()
            raise

    @property
    def is_proven(self) -> bool:
        """Whether a worker has been ready: the system has room for it, and it can load the handlers."""
        return self._proven

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [seat.process.pid for seat in self._seats]

    def next_number(self) -> int:
        """A number for a task, not used before."""
        return next(self._numbers)

    def room(self, listener: str) -> int:
        """How many more tasks of `listener` keep the workers busy without piling up here."""
        held = self._held
        free = self.size * (self._depth(listener) + 1) - held.total()
        # However much there is of others, each listener has something in the queue.
        return max(0, free, self.size - held[listener])

    def is_ahead(self, listener: str) -> bool:
        """Whether the workers have more than half of what is held ready for them: more need not come at once."""
        return 2 * self._held.total() > self.size * (self._depth(listener) + 1)

    def submit(self, task: PoolTask) -> None:
        """Run `task` in a worker as soon as one is free."""
        self._held[task.task.listener] += 1
        self._waiting.append(task)
        self._hand_out()

    def cancel(self, number: int) -> None:
        """End the task `number`, with its worker if it is running there. Its `done` is called as for any other."""
        for task in self._waiting:
            if task.task.number == number:
                self._waiting.remove(task)
                self._done(task, _cancelled(task))
                return
        for seat in self._seats:
            if number in seat.given:
                self._cancel_given(seat, number)
                return

    def _cancel_given(self, seat: Seat, number: int) -> None:
        if seat.process.running()[0] != number:
            self._take_back(seat, number)
        if number in seat.given:
            seat.timed_out = number
            seat.process.kill()

    def pause(self) -> None:
        """Begin no more tasks; those that no worker has begun wait here."""
        self._paused = True
        for seat in list(self._seats):
            self._take_back(seat)

    @property
    def put_off(self) -> int:
        """How many tasks are not going to begin after `pause`."""
        return len(self._waiting) if self._paused else 0

    def drop_waiting(self) -> None:
        """Forget the tasks that have not been given to a worker."""
        self._waiting.clear()

    async def close(self) -> None:
        """Stop all workers: busy ones at once, idle ones after their exit functions."""
        self._closed = True
        for seat in self._seats:
            if seat.timer is not None:
                seat.timer.cancel()
            if seat.given:
                seat.process.kill()  # What it runs is not wanted any more.
        for process in self._processes:
            process.close()
        if self._processes:
            await asyncio.wait([process.ended for process in self._processes])
        if self._guard is not None:
            self._guard.close()

    def kill(self) -> None:
        """Kill all workers and the processes they started. From any thread."""
        for process in list(self._processes):
            process.kill_group()

    def _seat(self) -> None:
        seat = Seat()
        try:
            seat.process = WorkerProcess(
                self._loop,
                lambda _, content: self._take(seat, content),
                lambda process: self._gone(seat, process),
            )
        except OSError as error:
            raise PoolError(f"a worker process cannot be started: {error}; lower process_pool.workers") from None
        self._processes.add(seat.process)
        if self._guard is not None:
            self._guard.watch(seat.process.pid)
        self._seats.append(seat)
        seat.process.send(self._setup)

    def _depth(self, listener: str) -> int:
        pace = self._paces.get(listener)
        if pace is None:
            return MIN_QUEUE
        return max(MIN_QUEUE, min(MAX_QUEUE, int(QUEUE_SECONDS / (pace + 1e-6))))

    def _hand_out(self) -> None:
        while self._waiting and not self._paused:
            depth = self._depth(self._waiting[0].task.listener)
            seat = min(self._open_seats(), key=lambda seat: len(seat.given), default=None)
            if seat is None or len(seat.given) >= depth:
                return
            self._give(seat, self._waiting.popleft())

    def _open_seats(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.ready and not self._is_spent(seat)]

    def _is_spent(self, seat: Seat) -> bool:
        return 0 < self._max_tasks <= seat.handed

    def _give(self, seat: Seat, task: PoolTask) -> None:
        seat.places += 1
        task.task.place = seat.places
        try:
            seat.process.send(task.task)
        except OverflowError:
            text = "the payload takes more than 4 GiB; send less, or a path to a file"
            self._loop.call_soon(self._done, task, _failed(task, "payload_too_large", text))
            return
        seat.given[task.task.number] = task
        task.pid = seat.process.pid
        seat.handed += 1
        if task.timeout is not None:
            self._set_timer(seat, task.timeout)

    def _done(self, task: PoolTask, result: Result) -> None:
        self._held[task.task.listener] -= 1
        task.done(result)

    def _take(self, seat: Seat, content: FromWorker) -> None:
        match content:
            case Said() | Logged():
                speech.repeat(content)
            case _ if self._closed or seat not in self._seats:
                return  # It is on its way out.
            case Result():
                self._finish(seat, content)
            case Skipped():
                self._skipped(seat, content)
            case History():
                task = seat.given.get(content.number)
                seat.process.send(History(content.number, task.read_history() if task else []))
            case Ready():
                seat.ready = True
                self._failed_starts = 0
                self._proven = True
                self._hand_out()
                if not seat.given:
                    self._idle(seat)
            case Broken():
                self._break(f"a worker process cannot load the handlers: {content.text}")

    def _finish(self, seat: Seat, result: Result) -> None:
        task = seat.given.pop(result.number, None)
        if task is None:
            return
        name = task.task.listener
        pace = self._paces.get(name, result.seconds)
        self._paces[name] = pace + _PACE_WEIGHT * (result.seconds - pace)
        self._done(task, result)
        self._hand_out()
        if not seat.given:
            self._idle(seat)

    def _idle(self, seat: Seat) -> None:
        """`seat` has nothing to do: let it end if its time has come, else let it help the others."""
        if self._is_spent(seat):
            seat.process.close()
            self._leave(seat)
        else:
            self._loop.call_soon(self._share)  # Not amid the frames of a process, more of which are read then.

    def _share(self) -> None:
        """Let those that have nothing to do help the busiest one."""
        if self._closed or self._waiting or all(seat.given for seat in self._open_seats()):
            return
        busiest = max(self._seats, key=lambda seat: len(seat.given))
        if len(busiest.given) > 1:
            self._take_back(busiest)

    def _take_back(self, seat: Seat, unwanted: int = 0) -> None:
        """Hand out again what waits behind the task that `seat` runs, but for the task `unwanted`."""
        places = seat.places
        seat.process.revoke(places)
        number, _ = seat.process.running()
        seat.process.catch_up()  # What it had done by then must not run a second time.
        taken = [task for task in seat.given.values() if task.task.number != number and task.task.place <= places]
        for task in taken:
            del seat.given[task.task.number]
        seat.handed -= len(taken)
        for task in taken:
            if task.task.number == unwanted:
                self._done(task, _cancelled(task))
        self._requeue([task for task in taken if task.task.number != unwanted])

    def _skipped(self, seat: Seat, skipped: Skipped) -> None:
        """The worker did not run a task that was taken for the running one."""
        task = seat.given.get(skipped.number)
        if task is not None and task.task.place == skipped.place:
            del seat.given[skipped.number]
            seat.handed -= 1
            self._requeue([task])

    def _requeue(self, tasks: list[PoolTask]) -> None:
        tasks.sort(key=lambda task: task.task.number, reverse=True)
        self._waiting.extendleft(tasks)
        self._hand_out()

    def _set_timer(self, seat: Seat, seconds: float) -> None:
        """Look at what `seat` runs in `seconds`, unless that is done before."""
        due = self._loop.time() + seconds
        if seat.timer is not None:
            if seat.due <= due:
                return
            seat.timer.cancel()
        seat.due = due
        seat.timer = self._loop.call_at(due, self._keep_time, seat)

    def _keep_time(self, seat: Seat) -> None:
        seat.timer = None
        timed = [task.timeout for task in seat.given.values() if task.timeout is not None]
        if not timed or self._closed:
            return
        number, started = seat.process.running()
        task = seat.given.get(number)
        wait = min(timed)
        if task is not None and task.timeout is not None:
            left = started + task.timeout - time.monotonic()
            if left <= 0:
                seat.timed_out = number
                seat.process.kill()
                return
            wait = min(wait, left)
        self._set_timer(seat, max(wait, 0.001))

    def _gone(self, seat: Seat, process: WorkerProcess) -> None:
        self._processes.discard(process)
        if self._guard is not None:
            self._guard.forget(process.pid)
        if not self._closed and seat in self._seats:
            self._replace(seat, process)

    def _replace(self, seat: Seat, process: WorkerProcess) -> None:
        """The process of `seat` is gone: blame the task it ran, give the others to a new one."""
        number, _ = process.running()
        # A worker that the pump killed for its last task may have begun the next one meanwhile.
        guilty = seat.given.pop(number, None) if seat.timed_out in (0, number) else None
        spared = list(seat.given.values())
        if not seat.ready:
            self._failed_starts += 1
        self._leave(seat)
        if self._is_hopeless():
            self._break(f"worker processes do not start: the last one {process.how_it_ended()}; see its output above")
            return
        if guilty is not None:
            self._done(guilty, self._blame(seat, guilty, process))
        self._requeue(spared)

    def _blame(self, seat: Seat, task: PoolTask, process: WorkerProcess) -> Result:
        if seat.timed_out == task.task.number:
            return timed_out(task.task.number, task.timeout or 0.0)
        how = process.how_it_ended()
        return _failed(task, "worker_lost", f"the worker process {how} while it ran this message")

    def _leave(self, seat: Seat) -> None:
        if seat.timer is not None:
            seat.timer.cancel()
        self._seats.remove(seat)
        self.restarts += 1
        if self._closed or self._is_hopeless():
            return
        try:
            self._seat()
        except PoolError as error:
            self._break(str(error))

    def _is_hopeless(self) -> bool:
        return self._failed_starts >= (MAX_FAILED_RESTARTS if self._proven else MAX_FAILED_STARTS)

    def _break(self, text: str) -> None:
        if not self._closed:
            self._on_broken(PoolError(text))


def timed_out(number: int, timeout: float) -> Result:
    """The result of a task that ran into its time-out."""
    text = f"no answer within {timeout:g} s; raise the listener's timeout or make the handler faster"
    return Result(number, [], Failure("timeout", text), timeout)


def _cancelled(task: PoolTask) -> Result:
    return _failed(task, "cancelled", "it was cancelled before it began")


def _failed(task: PoolTask, code: str, text: str) -> Result:
    return Result(task.task.number, [], Failure(code, text), 0.0)
