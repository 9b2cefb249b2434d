"""A pseudo terminal for commands to write to."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import termios
from fcntl import ioctl

from cli.bench import Bench


class Terminal:
    """A pseudo terminal of `columns`, and what was written to it."""

    def __init__(self, columns: int) -> None:
        self.ours, self.theirs = pty.openpty()
        ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def read(self, process: subprocess.Popen[bytes]) -> bytes:
        """All that is written until `process` has ended."""
        os.close(self.theirs)
        got = b""
        while process.poll() is None or select.select([self.ours], [], [], 0)[0]:
            if not select.select([self.ours], [], [], 0.05)[0]:
                continue
            try:
                got += os.read(self.ours, 65536)
            except OSError:
                break
        os.close(self.ours)
        process.wait(20)
        return got


def shown(bench: Bench, *arguments: object, columns: int = 80, **variables: str) -> str:
    """What the command with `arguments` prints on a terminal, without colours unless `variables` ask for them."""
    terminal = Terminal(columns)
    environ = bench.environment(TERM="xterm", **(variables or {"NO_COLOR": "1"}))
    process = bench.start(*arguments, env=environ, stdout=terminal.theirs)
    return terminal.read(process).decode().replace("\r\n", "\n")
