"""Backends in one manager process for all tests: to start one for each costs more than most of them do.

With XPIPE_TESTS_COLD=1 in the environment each has a process of its own, as in tests/backends/test_manager_process.py.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import leftovers
from cli.warm import IS_WANTED

from xpipe.backends.manager import ManagerBackend
from xpipe.backends.manager_process import Server, Settings
from xpipe.backends.manager_service import Service
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.organism import DEFAULT_MAX_SLOTS

KEY = b"of the contract tests"
MOST = 10
"""No test has so many backends at once."""
_CODE = "import sys; sys.path[:] = {path!r}; from contract_manager import serve; serve({folder!r})"
_LISTENS = b"it listens\n"


def manager_backend(max_threads: int) -> ManagerBackend:
    """A backend with nothing in it."""
    if not IS_WANTED:
        return ManagerBackend(max_threads=max_threads)
    folder = _folder()
    (folder / "max_threads").write_text(str(max_threads))
    return ManagerBackend(str(folder / "socket"), KEY)


@cache
def _folder() -> Path:
    """Where the process listens; both end with the process of the tests."""
    folder = tempfile.mkdtemp(prefix="xm", dir="/tmp")  # A socket's path is short.
    command = [sys.executable, "-c", _CODE.format(path=sys.path, folder=folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    leftovers.SHARED.add(process.pid)
    atexit.register(_remove, folder, process)
    assert process.stdout is not None
    assert process.stdout.readline() == _LISTENS
    return Path(folder)


def _remove(folder: str, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


class OneForEach(Server):
    """Gives everyone who introduces themselves a new backend."""

    def __init__(self, folder: str) -> None:
        super().__init__(Settings(f"{folder}/socket", KEY, 0, 0, os.getppid()))
        self._max_threads = Path(folder, "max_threads")

    def instance(self, connection: Any) -> str:
        del connection
        id = secrets.token_hex(16)
        service = Service(InMemoryBackend(int(self._max_threads.read_text()), DEFAULT_MAX_SLOTS))
        self.id_to_obj[id] = (service, {"call", "page", "drop"}, {})
        for old in list(self.id_to_obj)[:-MOST]:
            del self.id_to_obj[old]
        return id


def serve(folder: str) -> None:
    """Until whoever has started this process closes its stdin."""
    OneForEach(folder).start()
    os.write(1, _LISTENS)
    sys.stdin.read()
    os._exit(0)  # Threads that serve others are not waited for.
