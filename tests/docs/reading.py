"""Somebody who reads a page and does what it says, block by block, in a folder with the sample organisms."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import redis_server

from docs.output import looks_like
from docs.pages import REPOSITORY, Block

PATIENCE = 240
"""Seconds for the commands of a block."""
_STRICT = "set -euo pipefail\ntrap 'pwd > \"$WHERE\"' EXIT\n"
_DROPPED = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI", "TERM", "BACKEND")


class Reader:
    """Does what blocks say. Raises AssertionError, with the place, when a promise is not kept."""

    def __init__(self, folder: Path) -> None:
        self._root = _clone(folder / "clone")
        self._where = folder / "where"
        self._where.write_text(str(self._root))
        self._environ = _environment(self._where)
        self._printed = ""
        self.is_without_redis = False
        """Whether commands were left out for want of a redis-server."""

    @property
    def folder(self) -> Path:
        """Where the commands of the page have gone to."""
        return Path(self._where.read_text().strip())

    def do(self, block: Block) -> None:
        """Write the file that `block` is, run its commands, or compare it with what was printed."""
        if "file" in block.promises:
            file = self.folder / block.promises["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif "from" in block.promises:
            return  # Another test compares it.
        elif "output" in block.promises:
            problem = looks_like(block.text, self._printed)
            assert not problem, f"{block.place}: the commands before it printed something else:\n{problem}"
        elif block.language == "python":
            ast.parse(textwrap.dedent(block.text), block.place)
        elif block.promises.get("needs") == "redis" and redis_server.binary() is None:
            self.is_without_redis = True
        elif block.language == "sh" and not block.is_left_out:
            self._run(block)

    def _run(self, block: Block) -> None:
        process = subprocess.Popen(
            ["bash", "-c", _STRICT + block.text],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        try:
            self._printed, told = process.communicate(timeout=PATIENCE)
        finally:
            _end(process)
        code, promised = process.returncode, int(block.promises.get("exit", "0"))
        said = f"{block.text}\n--- stdout\n{self._printed}\n--- stderr\n{told}"
        assert code == promised, f"{block.place}: exit code {code}, and {promised} was promised:\n{said}"


def _clone(folder: Path) -> Path:
    """What pages need of a fresh clone: the sample organisms without their state, and the source."""
    leftovers = shutil.ignore_patterns("state", "__pycache__")
    shutil.copytree(REPOSITORY / "organisms", folder / "organisms", ignore=leftovers)
    for name in ("xpipe", "tests", "benchmarks"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def _environment(where: Path) -> dict[str, str]:
    """That of a shell where the virtual environment is active, a redis-server runs, and codestats has little to do."""
    inherited = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"PATH": path, "WHERE": str(where), "CODE_FOLDER": "organisms"}
    if redis_server.binary() is not None:
        url = redis_server.shared().url
        given |= {"REDIS_URL": url, "XPIPE_REDIS_URL": url}
    return inherited | given


def _end(process: subprocess.Popen[str]) -> None:
    """End what the commands have left running in the background."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.communicate()
