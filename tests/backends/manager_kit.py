"""What the tests of the manager do in other processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from xpipe.backends.manager import ManagerBackend
from xpipe.core.messages import Injection

CHAINS = [f"system.org.cli-{number}.a%2Eb" for number in range(200)]


def processes(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def inject(address: str, key: bytes, number: int) -> list[str]:
    backend = ManagerBackend(address, key)
    ids = backend.inject("other", [Injection("cli", ["a"], "Ping", b"in")] * number, 1.0)
    backend.close()
    return ids


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether `condition` came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


OWNER = """
import sys, time
from xpipe.backends.manager import ManagerBackend
backend = ManagerBackend(organism_file=sys.argv[1] if len(sys.argv) > 1 else "")
backend.open("org", 10)
print(backend.pid, backend.address, flush=True)
sys.stdin.read()
"""


def start_owner(*arguments: str) -> tuple[subprocess.Popen[str], int, str]:
    """A process that owns a manager until its stdin ends; the manager's pid and address."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    assert owner.stdout is not None
    pid, address = owner.stdout.readline().split()
    return owner, int(pid), address
