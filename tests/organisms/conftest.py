"""Runs the real command on the sample organisms."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def run_xpipe(folder: Path, *arguments: str, timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
    """`xpipe` with `arguments`, in `folder`, with `variables` added to the environment."""
    inherited = {name: value for name, value in os.environ.items() if name != "CODE_FOLDER"}
    command = [sys.executable, "-m", "xpipe", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
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


def copy_organisms(folder: Path) -> Path:
    """A folder with the sample organisms as a fresh clone has them: without state."""
    leftovers = shutil.ignore_patterns("state", "__pycache__")
    shutil.copytree(REPOSITORY / "organisms", folder / "organisms", ignore=leftovers)
    return folder


@pytest.fixture(scope="session")
def xpipe_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`xpipe run`, each time in a folder with the sample organisms and no state."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_xpipe(copy_organisms(tmp_path_factory.mktemp("clone")), "run", *arguments, **options)

    return run


@pytest.fixture
def xpipe(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Any command, in one folder with the sample organisms."""
    return partial(run_xpipe, copy_organisms(tmp_path))
