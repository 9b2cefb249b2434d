"""A contestant: processes of its own that do some work, and what that took."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks import calibration
from benchmarks.errors import Failed
from benchmarks.redis_server import redis_server, served
from benchmarks.referee import DONE, MARK, READY

ROOT = Path(__file__).parent.parent
DEADLINE = 900.0
GRACE = 10.0

Work = Mapping[str, Any]
"""What is to be done, in numbers: the module that drives a contestant knows what they mean."""
Outcome = Mapping[str, float]
"""What one run came to: `seconds`, `cpu` of the processes that do the work, `driver_cpu` of one that only hands it out,
`calibration` and `calibration_cpu` in milliseconds, what Redis has `served`, and the facts that the driver tells."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Its `module` drives it (see `referee`); `workers` are the commands of other processes that do the work.

    settings: how it is set up, and why. works: the driver does the work itself, with or without workers. redis: it
    gets a server of its own. needs: the module without which it cannot take part.
    """

    name: str
    module: str
    settings: str
    workers: tuple[tuple[str, ...], ...] = ()
    works: bool = True
    redis: bool = False
    needs: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


def run(contestant: Contestant, work: Work, wrapper: Sequence[str] = ()) -> Outcome:
    """Have it do `work` once, in new processes and on new state. `wrapper`: a command in which to run the driver.

    Raises Failed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="xpipe", ignore_cleanup_errors=True))
        url = stack.enter_context(redis_server(loopback=True)) if contestant.redis else ""
        crew = stack.enter_context(_Crew.at_work(contestant, work, wrapper, folder, url))
        crew.expect(READY)
        before, cpu, asked = calibration.look(), crew.cpu_seconds(), served(url)
        crew.go()
        crew.expect(DONE)
        spent = [now - then for now, then in zip(crew.cpu_seconds(), cpu, strict=True)]
        answered = {name: value - asked[name] for name, value in served(url).items()}
        speed = before.and_then(calibration.look())
        crew.go()
        facts: dict[str, float] = json.loads(crew.expect(MARK)[len(MARK) :])
    driver_cpu, others = facts["own_cpu"] + spent[0], spent[1]
    worked = driver_cpu + others if contestant.works else others
    took = {"cpu": worked, "driver_cpu": driver_cpu, "calibration": speed.wall, "calibration_cpu": speed.cpu}
    return {**took, **answered, **facts}


class _Crew:
    """The driver of a contestant and its workers while they live."""

    def __init__(self, name: str, driver: subprocess.Popen[str], others: list[subprocess.Popen[str]], log: Path):
        self._name = name
        self._driver = driver
        self._others = others
        self._log = log

    @classmethod
    @contextmanager
    def at_work(
        cls, contestant: Contestant, work: Work, wrapper: Sequence[str], folder: str, url: str
    ) -> Iterator[_Crew]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("XPIPE_", "BENCH_"))}
        environment = {**ours, "BENCH_STATE": folder, "BENCH_REDIS": url, **contestant.variables}
        log = Path(folder, "log")
        command = [*wrapper, sys.executable, "-m", "benchmarks.referee", contestant.module, json.dumps(work)]
        with ExitStack() as stack, log.open("w") as file:
            others = [stack.enter_context(_process(one, environment, file, file)) for one in contestant.workers]
            driver = stack.enter_context(_process(command, environment, subprocess.PIPE, file))
            crew = cls(contestant.name, driver, others, log)
            late = threading.Timer(DEADLINE, crew._kill)
            late.daemon = True
            late.start()
            try:
                yield crew
            finally:
                late.cancel()

    def expect(self, mark: str) -> str:
        """The driver's next line that begins with `mark`. Raises Failed when it ends before."""
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if line.startswith(mark):
                return line
        lines = self._log.read_text(errors="replace").strip().splitlines()
        raise Failed(f"{self._name} did not finish; the end of its log:\n" + "\n".join(lines[-20:]))

    def go(self) -> None:
        """Let the driver go on."""
        assert self._driver.stdin is not None
        self._driver.stdin.write("\n")
        self._driver.stdin.flush()

    def cpu_seconds(self) -> tuple[float, float]:
        """Of all processes that came from the driver, and of the workers with those that came from them."""
        return _cpu_seconds(self._driver.pid, itself=False), sum(_cpu_seconds(one.pid) for one in self._others)

    def _kill(self) -> None:
        for one in (one for process in (self._driver, *self._others) for one in _family(process.pid)):
            one.kill()


@contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str], stdout: int | IO[str], log: IO[str]
) -> Iterator[subprocess.Popen[str]]:
    # In a session of its own: Ctrl-C is for the one who measures, who ends it.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=log,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """A driver ends with its stdin, a worker by the signal."""
    family = _family(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    if process.stdout is None:
        process.terminate()
    psutil.wait_procs(family, GRACE)
    for one in family:
        if one.is_running():
            one.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(pid: int, itself: bool = True) -> float:
    """User and system time of a process and of its children, the ones that have ended included."""
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.children_user + times.children_system
        if itself or process.pid != pid:  # The driver knows its own more precisely than in ticks.
            total += times.user + times.system
    return total
