"""A call to the backend that nobody waits for any more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import Any

import pytest

from xpipe.core.errors import BackendError
from xpipe.runtime.line import Line


async def cancelled_call(line: Line, method: Any, begun: threading.Event) -> None:
    call = asyncio.ensure_future(line.call(method))
    await asyncio.to_thread(begun.wait)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call


@pytest.fixture
def reported() -> list[dict[str, Any]]:
    return []


def run_cancelled(method: Any, begun: threading.Event, go_on: threading.Event, reported: list[dict[str, Any]]) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        line = Line(blocking=True)
        await cancelled_call(line, method, begun)
        go_on.set()
        await asyncio.to_thread(line.close)
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()


def test_a_call_that_is_cancelled_is_carried_out(reported):
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def method() -> None:
        begun.set()
        go_on.wait()
        done.set()

    run_cancelled(method, begun, go_on, reported)
    assert done.is_set()
    assert reported == []


def test_the_error_of_a_call_that_is_cancelled_is_no_second_report(reported):
    begun, go_on = threading.Event(), threading.Event()

    def method() -> None:
        begun.set()
        go_on.wait()
        raise BackendError("no server answers; start it")

    run_cancelled(method, begun, go_on, reported)
    assert reported == []
