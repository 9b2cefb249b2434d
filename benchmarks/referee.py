"""Inside a contestant: `python -m benchmarks.referee MODULE WORK` has the module's `drive(referee)` do the work.

The module gets ready, warm-up included; from `start` to `stop` is what counts, `finish` tells what came of it. Who
measures (see `contestant`) is told of each by a line on stdout, answers the first two, and closes stdin when the
process may end.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

MARK = "@"
READY = f"{MARK}ready"
DONE = f"{MARK}done"


class Referee:
    """`work` says what is to be done: the numbers that a case has given its contestants."""

    def __init__(self, work: Mapping[str, Any]) -> None:
        self.work = work
        self._began = self._cpu_began = 0.0
        self._seconds = self._cpu = 0.0

    def start(self) -> None:
        """Everything is ready: go when the one who measures says so."""
        self._call(READY)
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """The work is done."""
        self._seconds, self._cpu = time.perf_counter() - self._began, time.process_time() - self._cpu_began
        self._call(DONE)

    def finish(self, **facts: float) -> None:
        """`facts` is what came of it. Returns when the process may end."""
        print(MARK + json.dumps({"seconds": self._seconds, "own_cpu": self._cpu, **facts}), flush=True)
        sys.stdin.read()

    def _call(self, mark: str) -> None:
        print(mark, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    importlib.import_module(sys.argv[1]).drive(Referee(json.loads(sys.argv[2])))
