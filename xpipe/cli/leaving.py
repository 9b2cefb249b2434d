"""The end of the process: soon, and quiet."""

from __future__ import annotations

import os
import sys
import threading

LEAVING = 3.0
"""Seconds for the interpreter to end by itself; a thread of a handler may keep it for ever."""

_begun = threading.Event()


def leave_soon(code: int) -> None:
    """See to it that the process ends with `code` within LEAVING seconds from the first call."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            silence_stdout()
    if not _begun.is_set():
        _begun.set()
        bound = threading.Timer(LEAVING, os._exit, [code])
        bound.daemon = True
        bound.start()


def silence_stdout() -> None:
    """Nobody reads it any more; what is still buffered must not fail when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
