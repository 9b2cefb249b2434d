"""What handlers print while there is a live display: caught from fd 1 and 2, worker processes included."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType

_CHUNK = 1 << 16
PATIENCE = 0.5
"""Seconds for the last words at the end; a process that a handler started may hold the pipe for ever."""


class Talk:
    """Gives whole lines written to fd 1 and 2 to `say`, in a thread of its own. `stderr` is the real one."""

    def __init__(self) -> None:
        self.stderr = os.dup(2)
        self.say: Callable[[bytes], None] = self._say_plainly
        self._diverted = False
        self._thread = threading.Thread(target=self._listen, name="xpipe-talk", daemon=True)

    def __enter__(self) -> Talk:
        self._heard, speak = os.pipe()
        os.dup2(speak, 1)
        os.dup2(speak, 2)
        os.close(speak)
        self._diverted = True
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._thread.join(PATIENCE)

    def release(self) -> None:
        """From now on fd 1 and 2 are stderr again. May be called twice, from any thread."""
        if self._diverted:
            self._diverted = False
            os.dup2(self.stderr, 1)
            os.dup2(self.stderr, 2)

    def _say_plainly(self, lines: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.stderr, lines + b"\n")

    def _listen(self) -> None:
        rest = b""
        while data := self._hear():
            lines, newline, rest = (rest + data).rpartition(b"\n")
            if len(rest) > _CHUNK:
                lines, newline, rest = lines + newline + rest, b"\n", b""
            if newline:
                self.say(lines)
        if rest:
            self.say(rest)

    def _hear(self) -> bytes:
        with contextlib.suppress(OSError):
            return os.read(self._heard, _CHUNK)
        return b""
