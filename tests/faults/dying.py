"""`xpipe`, in a process that kills itself at a passage of a fail point.

python -m faults.dying BACKEND POINT PASSAGE MARK run organism.yaml ...   writes to the file MARK just before it dies
python -m faults.dying --long-ago run organism.yaml ...                   does not die, and lives an hour ago
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from faults.points import point_named
from xpipe.__main__ import main
from xpipe.runtime import confirmation, lease

HOUR = 3_600.0
HURRIED = 0.05
"""Seconds between renewals of a lease, and between confirmations of outputs."""


class Fate:
    """Kills this process at the passage numbered `passage`, having written to `mark`."""

    def __init__(self, passage: int, mark: Path) -> None:
        self._left = passage
        self._mark = mark
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)


def live_long_ago() -> None:
    """Set this process's clock back by an hour."""
    now = time.time
    time.time = lambda: now() - HOUR


def run(arguments: list[str]) -> None:
    """Prepare this process, and run `xpipe`."""
    if arguments[0] == "--long-ago":
        live_long_ago()
        rest = arguments[1:]
    else:
        backend, name, passage, mark, *rest = arguments
        point = point_named(backend, name)
        point.arm(Fate(int(passage), Path(mark)))
        if point.hurried:
            lease.RENEWAL = confirmation.INTERVAL = HURRIED
    sys.argv = ["xpipe", *rest]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])
