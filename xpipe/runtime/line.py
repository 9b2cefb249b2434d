"""The line to the backend: calls it directly, or from a thread if it may block; the one place that knows which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Line:
    """Calls in the order in which they are made; `blocking` ones in a thread of their own."""

    def __init__(self, blocking: bool) -> None:
        self.blocking = blocking
        self._thread = ThreadPoolExecutor(1, "xpipe-backend") if blocking else None

    async def call(self, method: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """What `method` returns or raises."""
        if self._thread is None:
            return method(*args, **options)
        answer = asyncio.wrap_future(self._thread.submit(method, *args, **options))
        # A call that is cancelled here may still be carried out: what it did must not be lost. Who cancels it does not
        # wait for its end, so an error of it is no news to anybody.
        answer.add_done_callback(_take_note)
        return await asyncio.shield(answer)

    async def unbroken(self, work: Coroutine[Any, Any, R]) -> R:
        """What `work` returns or raises, made of calls. Whoever is cancelled meanwhile waits for its end first."""
        if self._thread is None:
            return await work  # It never waits.
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    def close(self) -> None:
        """Let the thread end after the calls that were made."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)


def _take_note(answer: asyncio.Future[R]) -> None:
    if not answer.cancelled():
        answer.exception()
