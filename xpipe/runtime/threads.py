"""Threads for plain `def` handlers. One that is stuck is abandoned and replaced, so it holds up nobody."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

MAX_ABANDONED = 64


class ThreadWorkers:
    """Up to `size` threads, started as they are needed, and one more for a listener that has none of them.

    They are daemons: a stuck one does not keep the process.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int = 32) -> None:
        self._loop = loop
        self._size = size
        self._work: SimpleQueue[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]] | None]
        self._work = SimpleQueue()
        self._results: deque[tuple[Callable[..., None], Any, BaseException | None]] = deque()
        self._threads: set[threading.Thread] = set()
        self._held: Counter[str] = Counter()
        self.busy = 0
        self.abandoned = 0

    def room(self, listener: str) -> int:
        """How many more calls of `listener` would start at once."""
        # However slow others are, each listener has a thread, unless too many are stuck.
        own = not self._held[listener] and self.abandoned < self._size + MAX_ABANDONED
        return max(self._free(), int(own))

    def _free(self) -> int:
        return max(0, self._size + min(self.abandoned, MAX_ABANDONED) - self.busy)

    @property
    def exhausted(self) -> bool:
        """Whether all threads are held by calls that were abandoned: nobody knows when there will be room."""
        return self.busy == self.abandoned and not self._free()

    def submit(self, listener: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run `call` of `listener` in a thread; then `done` with its result or its exception, in the event loop."""
        self._held[listener] += 1
        self.busy += 1
        if self.busy > len(self._threads):
            self._start()
        self._work.put((call, done))

    def ended(self, listener: str, abandoned: bool) -> None:
        """A call of `listener` ended, after it had been given up on if it was `abandoned`."""
        if abandoned:
            self.abandoned -= 1
        else:
            self._release(listener)

    def abandon(self, listener: str) -> None:
        """Count no more on the thread of a call that does not end: another one takes its place, up to a bound."""
        self.abandoned += 1
        self._release(listener)

    def _release(self, listener: str) -> None:
        self._held[listener] -= 1
        if not self._held[listener]:
            del self._held[listener]

    def close(self) -> None:
        """Let idle threads end."""
        for _ in self._threads:
            self._work.put(None)

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="xpipe-handler", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            self._do(*work)
            del work  # An idle thread holds on to no payload.

    def _do(self, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        try:
            result = call()
        except BaseException as error:
            self._post(done, None, error)
        else:
            self._post(done, result, None)

    def _post(self, done: Callable[..., None], result: Any, error: BaseException | None) -> None:
        self._results.append((done, result, error))
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # The loop is closed: nobody waits for this result.

    def _deliver(self) -> None:
        while self._results:
            done, result, error = self._results.popleft()
            self.busy -= 1
            done(result, error)
