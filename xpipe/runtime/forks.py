"""Processes that a handler forks: they are neither the pump nor a worker, and end where their handler would return.

Nothing of ours goes on in them: no event loop, no connection, no signal that is meant for their parent.
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
"""How many forks lie between this process and the one that was started: what was made under another one stays there."""


NO_HISTORY = "history is read in the process that the handler was called in, before it forks another one"


class Forked(Protocol):
    """Something of a process that does not belong to those that are forked from it."""

    def forked(self) -> None:
        """Called in each of them."""


_watched: WeakSet[Any] = WeakSet()


def watch(one: Forked) -> None:
    """Call `one.forked` in each process that is forked from this one, as long as there is `one`."""
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
    """End a forked process as Python ends one that `error` has left, but at once: exit functions are its parent's."""
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
    """Handle the signals `numbers` in this process alone; `restore` sees to them in each that is forked from it.

    They are blocked until it has: between the two they would be taken for signals to this process.
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
    """Handle `numbers` as Python does in a program that says nothing of signals; what is ignored stays ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
