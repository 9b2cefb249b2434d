"""Shows where a handler holds the interpreter's lock: only faulthandler's thread can run meanwhile."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import Iterator

from xpipe.cli.voice import tell
from xpipe.core.durations import format_duration

HELD = 5.0
"""Seconds without the lock after which the stacks of all threads are written to stderr."""
PULSE = 1.0


class Stalls:
    """Watches in a thread of its own."""

    def __init__(self) -> None:
        self._stderr = os.dup(2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="xpipe-stalls", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()
        self._thread.join()
        os.close(self._stderr)

    def _watch(self) -> None:
        while not self._over.is_set():
            began, worked = time.monotonic(), time.process_time()
            try:
                faulthandler.dump_traceback_later(HELD, file=self._stderr)
            except RuntimeError:  # No room for its thread.
                return
            self._over.wait(PULSE)
            lost = time.monotonic() - began - PULSE
            if lost + PULSE > HELD:
                _explain(lost, time.process_time() - worked)
        faulthandler.cancel_dump_traceback_later()


def _explain(lost: float, worked: float) -> None:
    """Explain the stacks on stderr: nothing ran for `lost` seconds, `worked` of them on a CPU."""
    if worked > lost / 10:  # Others may have had most of the processors.
        why = "a handler in the stacks above held the interpreter's lock; set cpu_bound: true for its listener"
    else:
        why = "the process was suspended or starved of CPU; no handler above is to blame"
    tell(f"xpipe: nothing ran for {format_duration(lost)}: {why}", "warning")


@contextlib.contextmanager
def stalls_shown() -> Iterator[None]:
    """Show what holds the interpreter's lock while the context is active."""
    try:
        stalls = Stalls()
    except OSError:  # stderr is closed.
        yield
        return
    stalls.start()
    try:
        yield
    finally:
        stalls.stop()
