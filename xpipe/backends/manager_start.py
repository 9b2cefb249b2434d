"""The manager process as its owner sees it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

import msgspec

from xpipe.backends.manager_address import Address, show
from xpipe.backends.manager_process import Settings, Started
from xpipe.core.errors import BackendError

_CODE = "import sys; sys.path[:] = {path!r}; from xpipe.backends.manager_process import main; main()"
_LONGEST_SOCKET = 100
_GRACE = 5.0


class ManagerProcess:
    """Starts a manager at `bind`, or on a socket in a folder that only this user can enter. Raises BackendError.

    `runtime` is the runtime file that goes with it, "" for none.
    """

    def __init__(
        self, bind: Address | None, key: bytes, max_threads: int, slots_per_thread: int, timeout: float, runtime: str
    ) -> None:
        self._folder = "" if bind else _private_folder()
        address = bind or os.path.join(self._folder, "socket")
        self.owner = os.getpid()
        self._process = _start()
        settings = Settings(address, key, max_threads, slots_per_thread, self.owner, self._folder, runtime)
        try:
            self.address = self._begin(settings, timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the process; its state is gone."""
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(OSError, ValueError):
                stdin.write(b"\n")  # A process forked from this one may hold the pipe open.
                stdin.flush()
            with suppress(OSError):
                stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, settings: Settings, timeout: float) -> Address:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with stdout, suppress(BrokenPipeError):
            stdin.write(msgspec.json.encode(settings) + b"\n")
            stdin.flush()
            line = stdout.readline() if select.select([stdout], [], [], timeout)[0] else b""
            started = msgspec.json.decode(line, type=Started) if line else Started(error="its process ended at once")
        if started.error:
            place = show(settings.address)
            raise BackendError(
                f"no manager can be started at {place} ({started.error}); free the address or take another"
            )
        return started.address


def _private_folder() -> str:
    folder = tempfile.mkdtemp(prefix="xpipe-")  # mode 0700
    if len(folder) < _LONGEST_SOCKET:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="xpipe-", dir="/tmp")


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _CODE.format(path=sys.path)]
    # Blocked until the manager ignores them: a Ctrl-C meanwhile is not for it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
