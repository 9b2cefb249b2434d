"""Starts runs as forks of a process that has imported everything: of thousands of runs imports are most of the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

READY = "ready"


class Process(Protocol):
    """What runs need of a process; `subprocess.Popen` has it."""

    pid: int
    returncode: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...

    def send_signal(self, sig: int) -> None: ...


class Fork:
    """A process that the spawner has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: Any = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        """It has ended with `code`, negative for a signal."""
        self.returncode = code
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode  # type: ignore[no-any-return]  # None or an int

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(["fork"], timeout or 0.0)
        return int(self.returncode)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, sig: int) -> None:
        if not self._ended.is_set():  # It stays a zombie until its end has been told.
            os.kill(self.pid, sig)


class Spawner:
    """Forks runs; safe in threads."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "faults.spawner"]
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lock = threading.Lock()
        self._forks: dict[int, Fork] = {}
        self._begun: list[Fork] = []
        self._answered = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, module: str, arguments: Sequence[str], folder: Path, talk: Path) -> Fork:
        """`python -m MODULE ARGUMENTS` in `folder`; what it writes to stdout and stderr goes to the file `talk`."""
        order = {"module": module, "arguments": list(arguments), "folder": str(folder), "talk": str(talk)}
        assert self._process.stdin is not None
        with self._lock, self._answered:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            assert self._answered.wait_for(lambda: self._begun, 60), "the spawner does not answer"
            return self._begun.pop()  # It may have ended by now.

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            pid, code = json.loads(line)
            with self._answered:
                if code == READY:
                    fork = self._forks[pid] = Fork(pid)
                    self._begun.append(fork)
                    self._answered.notify()
                else:
                    self._forks.pop(pid).end(code)

    def close(self) -> None:
        """End the spawner, when all its forks have ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
