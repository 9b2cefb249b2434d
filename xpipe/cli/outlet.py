"""Where data goes: xpipe's own stdout, kept from the handlers, and files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Protocol

from xpipe.core.errors import EXIT_FAULT, XpipeError

BACKLOG = 16 << 20
"""Bytes waiting to be written from which on nothing more should be taken in."""
POLL = 0.01


class WriteError(XpipeError):
    """Data could not be written."""

    exit_code = EXIT_FAULT


class Outlet(Protocol):
    """Takes bytes until it is closed, or discarded: then, where possible, nothing of them remains.

    `broken`: nobody reads them any more, and what is written vanishes.
    """

    @property
    def broken(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def discard(self) -> None: ...


class Descriptor:
    """Writes to a file descriptor. A reader that went away is no error; any other failure is a WriteError."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.broken = number < 0
        self._name = name

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self.number >= 0 and not self.broken:
            try:
                rest = rest[os.write(self.number, rest) :]
            except BlockingIOError:
                select.select([], [self.number], [])
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise WriteError(f"cannot write {self._name}: {error.strerror}; later output is lost") from None
                self.broken = True

    def close(self) -> None:
        if self.number >= 0:
            os.close(self.number)
        self.number = -1

    def discard(self) -> None:
        pass


def claim_stdout() -> Descriptor:
    """xpipe's data channel, the stdout it was started with; from now on fd 1 is stderr for everybody else."""
    _fill_closed()
    private = -1 if sys.stdout is None else os.dup(1)
    if sys.stdout is not None:
        sys.stdout.flush()
    os.dup2(2, 1)
    if sys.stdout is None:
        sys.stdout = sys.stderr
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    return Descriptor(private, "stdout")


def claim_open_stdout(hint: str = "") -> Descriptor:
    """As `claim_stdout`, for data that counts as delivered once written. Raises WriteError if stdout is closed."""
    stdout = claim_stdout()
    if stdout.broken or fcntl.fcntl(stdout.number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise WriteError(f"stdout is closed; redirect it to a file or to /dev/null{hint}")
    return stdout


def _fill_closed() -> None:
    """What is opened next must not become a standard stream that was closed by whoever started us."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # It takes the lowest free number: this one.


def open_file(path: Path) -> Descriptor:
    """`path`, emptied and written in place: whoever follows it sees what comes as it comes."""
    return Descriptor(_open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), str(path))


class ReplacedFile:
    """A file that appears, or changes, only when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._to = Descriptor(_open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), str(path))
        self.broken = False

    def write(self, data: bytes) -> None:
        self._to.write(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.chmod(self._draft, self._path.stat().st_mode & 0o7777)
        self._to.close()
        try:
            os.replace(self._draft, self._path)
        except OSError as error:
            raise WriteError(f"cannot write {self._path}: {error.strerror}") from None

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._draft)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from None


class Background:
    """Writes to `outlet` in a thread: a slow reader never makes the event loop wait.

    Whoever fills it looks at `full` and waits; a failure is raised from the next `write` or `close`.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._pending: deque[bytes] = deque()
        self._size = 0
        self._accepted = self._written = 0
        self._news = threading.Condition()
        self._closing = False
        self._error: XpipeError | None = None
        self._thread = threading.Thread(target=self._run, name="xpipe-writer", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Nobody reads what is written."""
        return self._outlet.broken or self._error is not None

    @property
    def full(self) -> bool:
        """More waits to be written than should."""
        return self._size > BACKLOG

    def write(self, data: bytes) -> None:
        """Write `data` soon."""
        if not data:
            return
        with self._news:
            self._pending.append(data)
            self._size += len(data)
            self._accepted += len(data)
            self._news.notify()

    async def drained(self) -> bool:
        """Wait until all that was given by now is written; False when it cannot be."""
        import asyncio

        accepted = self._accepted
        while self._written < accepted and not self.broken:  # noqa: ASYNC110  # The writer is a thread.
            await asyncio.sleep(POLL)
        return not self.broken

    def close(self) -> None:
        """Wait until all is written, and close the outlet. Raises WriteError."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        if self._error is not None:
            self._outlet.discard()
            raise self._error
        self._outlet.close()

    def discard(self) -> None:
        """Give up on what is not written yet."""
        self._outlet.discard()

    def _run(self) -> None:
        while data := self._next():
            try:
                if self._error is None:
                    self._outlet.write(data)
            except WriteError as error:
                self._error = error
            self._size -= len(data)
            self._written += len(data)

    def _next(self) -> bytes:
        with self._news:
            while not self._pending and not self._closing:
                self._news.wait()
            data = b"".join(self._pending)
            self._pending.clear()
            return data
