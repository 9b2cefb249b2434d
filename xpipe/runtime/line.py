"""The line to the backend: calls it directly, or from a thread if it may block; the one place that knows which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from xpipe.core.stages import stages_of

P = ParamSpec("P")
R = TypeVar("R")


class Line:
    """Calls in the order in which they are made; `blocking` ones in a thread of their own."""

    def __init__(self, blocking: bool) -> None:
        self.blocking = blocking
        # An executor would make two futures for each call, each with its lock: most of what a short call takes.
        self._calls: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, method: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """What `method` returns or raises. A call that is cancelled here may still be carried out.

        What it need not wait for is done here, while the thread may still be busy with the call before.
        """
        if not self.blocking:
            return method(*args, **options)
        stages, answer = stages_of(method)(*args, **options), None
        while True:
            try:
                call = stages.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # It is what `method` returns.
            answer = await self._in_thread(call)

    def _in_thread(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="xpipe-backend", daemon=True)
            self._thread.start()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.put((answer, call))
        return answer

    async def unbroken(self, work: Coroutine[Any, Any, R]) -> R:
        """What `work` returns or raises, made of calls. Whoever is cancelled meanwhile waits for its end first."""
        if not self.blocking:
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
            self._calls.put(None)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while (one := self._calls.get()) is not None:
            answer, call = one
            try:
                result = call()
            except BaseException as error:
                _tell(answer, answer.set_exception, error)
            else:
                _tell(answer, answer.set_result, result)
            del one, answer, call  # An idle thread holds on to nothing.


def _tell(answer: asyncio.Future[Any], settle: Callable[[Any], None], outcome: Any) -> None:
    def tell() -> None:
        if not answer.done():  # Whoever cancelled the call does not wait for its end.
            settle(outcome)

    try:
        answer.get_loop().call_soon_threadsafe(tell)
    except RuntimeError:
        return  # The loop is closed: nobody waits any more.
