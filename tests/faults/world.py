"""An organism on disk with its documents and its backend, and the runs of `xpipe` on it: real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import redis_server

from faults.points import Point
from faults.spawning import Process, Spawner
from faults.workload import write_documents, write_organism
from xpipe.core.errors import BackendError
from xpipe.core.messages import decode_message
from xpipe.ports import SharedBackend
from xpipe.state import BackendConfig
from xpipe.state.factory import attach_backend

TESTS = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
"""Whatever xpipe is installed, it is the one beside these tests that is tested."""
PATIENCE = 60.0
"""Seconds after which a run hangs."""


@dataclass(frozen=True)
class Printed:
    """An output that a run has printed."""

    run: int
    conversation: str
    document: int
    kind: str
    result: int

    @property
    def answer(self) -> tuple[int, int]:
        """Which answer it is: the document and the result."""
        return self.document, self.result


class Run:
    """A process of `xpipe` that runs; `out` is where its outputs go."""

    def __init__(self, number: int, process: Process, out: Path, mark: Path) -> None:
        self.number = number
        self.process = process
        self._out = out
        self._mark = mark

    def end(self) -> int:
        """Wait for the end of it and of its workers; the exit code."""
        code = self.process.wait(PATIENCE)
        wait_until(lambda: not _members(self.process.pid), "the workers of a dead pump live on")
        return code

    def kill(self) -> bool:
        """Kill the pump, and nothing but the pump; False when it has ended before."""
        self.process.kill()
        return self.end() == -signal.SIGKILL

    @property
    def has_begun(self) -> bool:
        """It has opened its output, which it does just before it turns to the backend."""
        return self._out.exists() or self.process.poll() is not None

    @property
    def died_at_its_point(self) -> bool:
        return self._mark.exists() and self.process.returncode == -signal.SIGKILL

    def printed(self) -> list[Printed]:
        """Its outputs; a line that its death cut off is none."""
        text = self._out.read_bytes() if self._out.exists() else b""
        return [self._read(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def _read(self, line: bytes) -> Printed:
        output = json.loads(line)
        id, result = (output["payload"].get(name, -1) for name in ("id", "result"))
        return Printed(self.number, output["conversation"], id, output["kind"], result)


class World:
    """`backend` is sqlite or redis; `options` are further options of it. With a `spawner` runs are forks."""

    def __init__(self, folder: Path, backend: str, spawner: Spawner | None = None, **options: object) -> None:
        self._spawner = spawner
        self.folder = folder
        self.backend = backend
        self.prefix = redis_server.new_prefix()
        self._settings = {"type": backend, **self._place(), **options}
        self.input = folder / "in.jsonl"
        self.documents = 0
        self.runs: list[Run] = []
        folder.mkdir(parents=True, exist_ok=True)
        write_organism(folder, self._settings)

    def _place(self) -> dict[str, object]:
        if self.backend == "sqlite":
            return {"path": "state.db"}
        return {"redis_url": redis_server.shared().url, "redis_prefix": self.prefix}

    @property
    def file(self) -> Path:
        """The state file of SQLite."""
        return self.folder / "state.db"

    def add_documents(self, how_many: int) -> None:
        write_documents(self.input, range(self.documents, self.documents + how_many))
        self.documents += how_many

    @property
    def going_on(self) -> tuple[object, ...]:
        """The arguments with which a run goes on where earlier ones stopped."""
        return "--resume", "--input", self.input

    def start(self, *arguments: object) -> Run:
        """`xpipe run organism.yaml` with `arguments`."""
        return self._start(["xpipe"], arguments)

    def start_long_ago(self, *arguments: object) -> Run:
        """As `start`, an hour ago."""
        return self._start(["faults.dying", "--long-ago"], arguments)

    def start_dying(self, point: Point, passage: int, *arguments: object) -> Run:
        """As `start`, but it will kill itself at a passage of `point`."""
        mark = self.folder / f"mark-{len(self.runs)}"
        return self._start(["faults.dying", point.backend, point.name, str(passage), str(mark)], arguments)

    def _start(self, module: list[str], arguments: tuple[object, ...]) -> Run:
        number = len(self.runs)
        out, talk = self.folder / f"out-{number}.jsonl", self.folder / f"err-{number}"
        given = [*module[1:], "run", "organism.yaml", "--out", str(out), *map(str, arguments)]
        if self._spawner is not None:
            process: Process = self._spawner.start(module[0], given, self.folder, talk)
        else:
            process = self._execute(["-m", module[0], *given], talk)
        run = Run(number, process, out, self.folder / f"mark-{number}")
        self.runs.append(run)
        return run

    def _execute(self, arguments: list[str], talk: Path) -> Process:
        with talk.open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def collect_all(self) -> str | None:
        """`xpipe gc --older-than 0`; what is wrong with how it ended."""
        command = [sys.executable, "-m", "xpipe", "gc", "organism.yaml", "--older-than", "0"]
        ended = subprocess.run(
            command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE
        )
        return None if ended.returncode == 0 else f"{ended.returncode}: {ended.stdout}{ended.stderr}"

    def said(self, run: Run) -> str:
        """What `run` has told on stderr."""
        return (self.folder / f"err-{run.number}").read_text("utf-8", "replace")

    def printed(self) -> list[Printed]:
        """What all runs have printed."""
        return [one for run in self.runs for one in run.printed()]

    @contextmanager
    def look(self) -> Iterator[SharedBackend]:
        """The backend, seen from outside."""
        settings: dict[str, Any] = {**self._settings, "backend_type": self.backend}
        settings["sqlite_path"] = str(self.file)
        known = BackendConfig.__dataclass_fields__
        backend = attach_backend(BackendConfig(**{name: one for name, one in settings.items() if name in known}))
        try:
            backend.open(None, 10_000)
            yield backend
        finally:
            backend.close()

    def delivered(self) -> set[tuple[int, int]]:
        """The answers that count as printed: their documents and results; none while there is no organism yet."""
        try:
            with self.look() as backend:
                counts = {one.id: one.delivered for one in backend.conversations()}
                slots = [data for id, count in counts.items() for data in backend.buffer_get_thread(id, 0, count)]
        except BackendError:
            return set()
        payloads = [msgspec.msgpack.decode(decode_message(data).payload) for data in slots]
        return {(one["id"], one["result"]) for one in payloads}

    def close(self) -> None:
        """End what is still running."""
        for run in self.runs:
            if run.process.poll() is None:
                os.killpg(run.process.pid, signal.SIGKILL)
                run.process.wait()


def wait_until(condition: Callable[[], object], otherwise: str, seconds: float = 20.0) -> None:
    """Wait for `condition`; fail with `otherwise` when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)


def _members(session: int) -> list[int]:
    """The live processes of a session."""
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _session(pid) == session]


def _session(pid: int) -> int:
    try:
        state, _, _, session, *_ = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(session)
