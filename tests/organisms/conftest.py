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
from cli.warm import PATIENCE, Warm

XpipeRun = Callable[..., subprocess.CompletedProcess[str]]
REPOSITORY = Path(__file__).parents[2]


def run_xpipe(
    warm: Warm | None, folder: Path, *arguments: str, timeout: float = PATIENCE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`xpipe` with `arguments`, in `folder`, with `variables` added to the environment."""
    environ = {name: value for name, value in os.environ.items() if name != "CODE_FOLDER"} | variables
    is_quick = timeout <= PATIENCE
    run = warm.run([*arguments], folder, environ, b"") if warm is not None and is_quick else None
    if run is not None:
        return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())
    command = [sys.executable, "-m", "xpipe", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
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
def xpipe_run(tmp_path_factory: pytest.TempPathFactory, warm: Warm | None) -> XpipeRun:
    """`xpipe run`, each time in a folder with the sample organisms and no state."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_xpipe(warm, copy_organisms(tmp_path_factory.mktemp("clone")), "run", *arguments, **options)

    return run


@pytest.fixture
def xpipe(tmp_path: Path, warm: Warm | None) -> XpipeRun:
    """Any command, in one folder with the sample organisms."""
    return partial(run_xpipe, warm, copy_organisms(tmp_path))
