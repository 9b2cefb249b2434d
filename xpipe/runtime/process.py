"""One worker process as the pump sees it: its connection, its mark, and its end."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable

from xpipe.runtime.frames import (
    MARK_SIZE,
    FrameBuffer,
    FromWorker,
    ToWorker,
    decode_from_worker,
    frame,
    read_mark,
    write_revoked,
)

_CHUNK = 1 << 20
_CODE = "import sys; sys.path[:] = {path!r}; from xpipe.runtime.worker import main; main({fd}, {mark}, {pump})"


class WorkerProcess:
    """Starts a worker. `on_frame` gets what it says, `on_exit` is called once it is gone and all it said was read.

    Raises OSError when the system has no room for another process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_frame: Callable[[WorkerProcess, FromWorker], None],
        on_exit: Callable[[WorkerProcess], None],
    ) -> None:
        self._loop = loop
        self._on_frame = on_frame
        self._on_exit = on_exit
        self._frames = FrameBuffer()
        self._unsent: deque[memoryview] = deque()
        self._exited = False
        self._connection, theirs = socket.socketpair()
        try:
            with theirs, tempfile.TemporaryFile() as file:
                file.truncate(MARK_SIZE)
                self._mark = mmap.mmap(file.fileno(), MARK_SIZE)
                self._process = _start(theirs.fileno(), file.fileno())
        except BaseException:
            self._connection.close()
            raise
        self._connection.setblocking(False)
        loop.add_reader(self._connection, self._readable)
        threading.Thread(target=self._wait, name="xpipe-wait", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> tuple[int, float]:
        """The number of the task in its handler, or 0, and when it began (time.monotonic)."""
        return read_mark(self._mark)

    def revoke(self, place: int) -> None:
        """Take back the tasks given up to `place`; the one that is running by then goes on."""
        write_revoked(self._mark, place)

    def send(self, content: ToWorker) -> None:
        """Send `content`, now or as soon as the worker reads. Raises OverflowError beyond 4 GiB."""
        self._unsent.append(memoryview(frame(content)))
        if len(self._unsent) == 1:
            self._writable()

    def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()

    def close(self) -> None:
        """Let the process end by itself; its handler, if one runs, is not waited for."""
        self._unwatch()
        self._connection.close()

    def wait(self, timeout: float) -> bool:
        """Whether the process ended within `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def how_it_ended(self) -> str:
        """`was killed by SIGKILL`, `exited with status 3`."""
        status = self._process.returncode
        if status is not None and status < 0:
            try:
                return f"was killed by {signal.Signals(-status).name}"
            except ValueError:
                return f"was killed by signal {-status}"
        return f"exited with status {status}"

    def _wait(self) -> None:
        self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._gone)
        except RuntimeError:
            return  # The loop is closed, and with it the pool.

    def _gone(self) -> None:
        if self._exited or self._connection.fileno() < 0:
            return
        self._exited = True
        self.catch_up()
        self._unwatch()
        self._connection.close()
        self._on_exit(self)

    def _unwatch(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)

    def catch_up(self) -> None:
        """Take in all that the process has said by now. Not to be called from `on_frame`."""
        while data := self._receive():
            self._take_in(data)

    def _readable(self) -> None:
        data = self._receive()
        if data:
            self._take_in(data)
        elif data is not None:
            self._loop.remove_reader(self._connection)

    def _receive(self) -> bytes | None:
        """What there is to read; None when there is nothing yet, b"" when there will be nothing more."""
        try:
            return self._connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _take_in(self, data: bytes) -> None:
        for content in self._frames.feed(data):
            self._on_frame(self, decode_from_worker(content))

    def _writable(self) -> None:
        while self._unsent:
            try:
                sent = self._connection.send(self._unsent[0])
            except BlockingIOError:
                self._loop.add_writer(self._connection, self._writable)
                return
            except OSError:
                self._unsent.clear()  # It is gone; `on_exit` tells.
                break
            if sent == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][sent:]
        self._loop.remove_writer(self._connection)


def _start(connection: int, mark: int) -> subprocess.Popen[bytes]:
    code = _CODE.format(path=sys.path, fd=connection, mark=mark, pump=os.getpid())
    # Blocked until the worker has its own handlers: a Ctrl-C meanwhile is not for it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=(connection, mark), close_fds=True
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
