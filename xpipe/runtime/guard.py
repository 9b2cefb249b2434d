"""A tiny process that outlives a killed pump and kills the processes its workers started."""

from __future__ import annotations

import contextlib
import subprocess

from xpipe.runtime import forks

_SCRIPT = 'while read -r line; do groups=$line; done; [ -z "$groups" ] || kill -9 $groups'
"""Its stdin closes when the pump ends; the last line names the remaining process groups."""


class Guard:
    """Kills the watched process groups when this process is gone. Does nothing without a shell."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            # In a session of its own: what ends the pump, a signal to its process group, say, is not to end this.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        forks.watch(self)

    def watch(self, group: int) -> None:
        """Watch the process group `group`."""
        self._groups.add(group)
        self._write()

    def forget(self, group: int) -> None:
        """Stop watching the process group `group`: it is gone."""
        self._groups.discard(group)
        self._write()

    def close(self) -> None:
        """Stop watching."""
        self._groups.clear()
        if self._process is not None:
            # Closing its input would not do: a process that C code has forked may hold it, too, as long as it likes.
            self._process.kill()
            self._process.wait()
        self.forked()

    def forked(self) -> None:
        """Close the pipe in a forked process, so that the guard notices the pump's end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _write(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(f"{' '.join(f'-{group}' for group in self._groups)}\n".encode())
