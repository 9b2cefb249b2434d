"""A worker process as seen by the pump: its connection, its mark, and its end, with the processes it started."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
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

LEAVING = 2.0
"""Seconds for the exit functions of a worker."""
ENDING = {signal.SIGTERM: 0.5, signal.SIGKILL: 2.5}
"""Seconds that what a worker has started has to end on each signal. The last one counts for zombies, too, which are
there until whoever has inherited them looks."""
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
        self._bound: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
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
        """Kill the process; the processes it started are killed after it, see `_wait`."""
        self._process.kill()

    def kill_group(self) -> None:
        """Kill the process and the processes it started. From any thread."""
        if self._process.returncode is None:
            _signal_group(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the process exit by itself, with its exit functions; do not wait for a running handler.

        Its last output is read. After LEAVING it is killed.
        """
        if self._bound is None:
            self._unsent.clear()
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
            self._bound = self._loop.call_later(LEAVING + 0.5, self.kill)  # It keeps that time itself, if it can.

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
        _end_group(self.pid)
        try:
            self._loop.call_soon_threadsafe(self._gone)
        except RuntimeError:
            self._connection.close()  # The loop is closed, and with it the pool.

    def _gone(self) -> None:
        if self._bound is not None:
            self._bound.cancel()
        self.catch_up()
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        self.ended.set_result(None)
        self._on_exit(self)

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


def _signal_group(group: int, number: int) -> bool:
    """Send the signal `number` to the process group `group`; False if there is none."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # The latter from macOS, where only zombies are left.
        return False
    return True


def _end_group(group: int) -> None:
    """Kill the rest of a worker's process group and wait: the next attempt must not overlap with it."""
    for number, seconds in ENDING.items():
        end = time.monotonic() + seconds
        left = _signal_group(group, number)
        while left and time.monotonic() < end:
            time.sleep(0.002)
            _reap(group)
            left = _signal_group(group, 0)
        if not left:
            return


def _reap(group: int) -> None:
    """Reap orphans of `group` that became children of this process, as they do for PID 1 of a container."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass


def _start(connection: int, mark: int) -> subprocess.Popen[bytes]:
    code = _CODE.format(path=sys.path, fd=connection, mark=mark, pump=os.getpid())
    # Blocked until the worker has its own handlers: a signal meanwhile is not for it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=(connection, mark),
            close_fds=True,
            # A process group, to be ended as a whole; and a session, so that no terminal stops or interrupts it.
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
