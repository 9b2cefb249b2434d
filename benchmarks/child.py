"""Whole processes: what one takes from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.errors import Failed

LAUNCHER = Path(__file__).with_name("launcher.py")
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that ended well. cpu: seconds in user and system mode; peak: MiB; lines: of its stdout."""

    seconds: float
    cpu: float
    peak: float
    lines: int


def run_xpipe(*arguments: str) -> Ran:
    """Run `xpipe` with `arguments`, whatever the environment says of backends. Raises Failed."""
    return run(sys.executable, "-m", "xpipe", *arguments)


def run(*command: str, variables: Mapping[str, str] | None = None) -> Ran:
    """Run `command` to its end, with `variables` besides those of this process. Raises Failed unless it ends with 0."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XPIPE_")}
    environment |= variables or {}
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/stderr", "w+b") as stderr:
        note = Path(folder, "note")
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(note), *command]
        with subprocess.Popen(launch, stdout=subprocess.PIPE, stderr=stderr, env=environment) as process:
            assert process.stdout is not None
            lines = _count_lines(process.stdout)
        seconds, cpu, peak, code = note.read_text().split() if note.exists() else ("0", "0", "0", "127")
        if code != "0":
            stderr.seek(0)
            raise Failed(f"{' '.join(command)}: exit code {code}: {stderr.read().decode(errors='replace').strip()}")
    return Ran(float(seconds), float(cpu), int(peak) * _BYTES_PER_UNIT / 2**20, lines)


def _count_lines(stream: IO[bytes]) -> int:
    lines = 0
    while chunk := stream.read(_CHUNK):
        lines += chunk.count(b"\n")
    return lines
