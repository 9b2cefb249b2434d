"""The end of the process: soon, and quiet."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from xpipe.core.errors import EXIT_FAULT, EXIT_OK

LEAVING = 3.0
"""Seconds for the interpreter to end by itself; a thread of a handler may keep it for ever."""


class Leaving:
    """orderly: code of a user has run, and may have asked Python to do something at the end; begun: see leave_soon."""

    orderly = False
    begun = False


def leave(code: int) -> NoReturn:
    """End the process with `code`, or with another one if not all that was printed can be written."""
    code = flush() or code
    if Leaving.orderly:
        leave_soon(code)
        sys.exit(code)
    os._exit(code)  # To take everything down in order takes as long as to look into a backend.


def leave_soon(code: int) -> None:
    """See to it that the process ends with `code` within LEAVING seconds from the first call."""
    flush()
    if not Leaving.begun:
        import threading

        Leaving.begun = True
        bound = threading.Timer(LEAVING, os._exit, [code])
        bound.daemon = True
        with suppress(RuntimeError):  # The system may refuse a thread.
            bound.start()


def flush(last: str = "") -> int:
    """Write `last` to stdout, and what is still to be written: 0, or the exit code if it cannot be."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(last)
            sys.stdout.flush()
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError) as error:
        silence_stdout()
        return _explain_unwritten(error)
    return EXIT_OK


def _explain_unwritten(error: OSError | ValueError) -> int:
    """Tell why stdout cannot be written; the exit code. A reader that went away is no error."""
    if isinstance(error, BrokenPipeError):
        return EXIT_OK
    from xpipe.cli.voice import tell

    reason = error.strerror if isinstance(error, OSError) else str(error)
    tell(f"xpipe: cannot write stdout: {reason}; later output is lost", "error")
    return EXIT_FAULT


def silence_stdout() -> None:
    """Nobody reads it any more; what is still buffered must not fail when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
