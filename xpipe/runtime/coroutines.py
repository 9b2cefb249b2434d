"""Run coroutines inside a task that others share, without a task for each.

A handler that never waits costs one `send`. One that does goes on in the task that began it, which is why
`asyncio.current_task`, `asyncio.timeout` and context variables behave in it as in a task of its own.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

from xpipe.runtime import forks


@types.coroutine
def resume(coroutine: Coroutine[Any, Any, Any], context: Context, future: Any) -> Generator[Any, Any, Any]:
    """Await the rest of a coroutine that waits for `future` in `context`; its result.

    In a process that the coroutine has forked it ends: nobody there is to do what it waits for.
    """
    generation = forks.generation
    while True:
        advance: Callable[[Any], Any]
        given: Any
        try:
            given = yield future
            advance = coroutine.send
        except BaseException as error:
            advance, given = coroutine.throw, error
        try:
            future = context.run(advance, given)
        except StopIteration as stop:
            return stop.value
        if generation != forks.generation:
            forks.end()
