"""Messages from a reader that may block, for an event loop that must not."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

BATCH = 100
MAX_ITEMS = 1_000
MAX_WEIGHT = 8 << 20
"""Bytes read ahead; one item is always taken, whatever it weighs."""


class Feed(Generic[Item]):
    """Runs `items` in a daemon thread, a bounded stretch ahead of whoever takes them."""

    def __init__(self, items: Iterator[Item], weigh: Callable[[Item], int]) -> None:
        self._items = items
        self._weigh = weigh
        self._ready: deque[tuple[Item, int]] = deque()
        self._weight = 0
        self._ended = False
        self._error: BaseException | None = None
        self._waiting = False
        self._lock = threading.Condition()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="xpipe-reader", daemon=True).start()

    async def take(self) -> list[Item]:
        """The next items, as many as are there up to BATCH; [] at the end. Raises what the reader raised."""
        while True:
            with self._lock:
                if self._ready:
                    return self._pop()
                if self._ended:
                    break
                self._waiting = True
                self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error
        return []

    def close(self) -> None:
        """Take no more; the reader ends at its next item."""
        with self._lock:
            self._ended = True
            self._lock.notify()

    def _pop(self) -> list[Item]:
        taken = [self._ready.popleft() for _ in range(min(BATCH, len(self._ready)))]
        self._weight -= sum(weight for _, weight in taken)
        self._lock.notify()
        return [item for item, _ in taken]

    def _read(self) -> None:
        try:
            for item in self._items:
                if not self._put(item, self._weigh(item)):
                    return
        except BaseException as error:
            self._error = error
        with self._lock:
            self._ended = True
            self._wake()

    def _put(self, item: Item, weight: int) -> bool:
        with self._lock:
            while self._is_full() and not self._ended:
                self._lock.wait()
            if self._ended:
                return False
            self._ready.append((item, weight))
            self._weight += weight
            self._wake()
            return True

    def _is_full(self) -> bool:
        return len(self._ready) >= MAX_ITEMS or (bool(self._ready) and self._weight >= MAX_WEIGHT)

    def _wake(self) -> None:
        if self._waiting:
            self._waiting = False
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:
                self._ended = True  # The loop is closed: nobody takes anything any more.
