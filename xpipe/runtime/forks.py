"""Processes that a handler forks: they are neither pump nor worker, and exit where the handler would return.

They run no event loop, use no connection, and receive no signal meant for their parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from xpipe.runtime.responses import user_traceback

generation = 0
"""Number of forks since the process was started: objects made under another number belong to another process."""


NO_HISTORY = "read the history in the process of the handler, before it forks"


class Forked(Protocol):
    """An object that a forked process must not inherit."""

    def forked(self) -> None:
        """Called in each of them."""


_watched: WeakSet[Any] = WeakSet()


def watch(one: Forked) -> None:
    """Call `one.forked` in each forked process, as long as `one` exists."""
    _watched.add(one)


def _begin_child() -> None:
    global generation
    generation += 1
    for one in list(_watched):
        with contextlib.suppress(Exception):  # One that cannot be seen to is no reason to leave out the others.
            one.forked()
    _watched.clear()


os.register_at_fork(after_in_child=_begin_child)


def end(error: BaseException | None = None) -> NoReturn:
    """Exit a forked process as Python does after `error`, but without exit functions: those are its parent's."""
    code = 1
    try:
        code = _exit_code(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if type(error) is SystemExit and (error.code is None or isinstance(error.code, int)):
        return (error.code or 0) & 0xFF
    sys.stderr.write(user_traceback(error))
    return 1


def keep_signals(numbers: Sequence[signal.Signals], restore: Callable[[], object]) -> None:
    """Handle the signals `numbers` in this process only; `restore` resets them in forked processes.

    They stay blocked until then, or this process would take them for its own.
    """
    masks = threading.local()

    def block() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def begin_child() -> None:
        with contextlib.suppress(ValueError, OSError):
            restore()
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=begin_child)


def default_signals(numbers: Sequence[signal.Signals]) -> None:
    """Restore Python's default handling of `numbers`; ignored signals stay ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
