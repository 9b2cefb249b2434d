"""Runs the real command on the sample organisms."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def run_xpipe(*arguments: str, timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
    """`xpipe run` with `arguments`, in the repository's root, with `variables` added to the environment."""
    inherited = {name: value for name, value in os.environ.items() if name != "CODE_FOLDER"}
    command = [sys.executable, "-m", "xpipe", "run", *arguments]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=inherited | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        kill_session(process)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def kill_session(process: subprocess.Popen[str]) -> None:
    """End what is left of `process`: nothing, unless it hung; its workers would outlive it and keep the pipes open."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="session")
def xpipe_run() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_xpipe
