"""What a command takes from its start to its end, compared with the library that reads its options."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.child import Ran, run
from benchmarks.options import Options, Size
from benchmarks.report import Bar, Cell, Column, Table
from benchmarks.talk import tell
from benchmarks.timing import Sample, interleaved

HELLO = Path(__file__).parent.parent / "organisms" / "hello"
ROUNDS = {Size.QUICK: 2, Size.NORMAL: 10, Size.FULL: 30}
"""Runs of each side for each repeat: a process that lives so shortly is held up by whatever else the machine does."""
YARDSTICK = 'python -c "import typer"'
MOST = {"xpipe --version": 1.15, "xpipe threads": 2.0, "xpipe check --no-imports": 2.0}
COLUMNS = (Column("command"), Column("ms", 0), Column("ms of CPU", 0), Column("times typer"), Column("by CPU"))
NOTE = "Whole processes, in turns, of the organism hello with its state in SQLite; Python's bytecode is there."


def main(options: Options) -> Iterator[Table]:
    """The commands that people wait for, side by side with `import typer`."""
    with tempfile.TemporaryDirectory() as folder:
        organism = _prepare(folder)
        sides = _sides(organism, {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""})
        tell("start-up")
        interleaved(sides, 1)  # It writes the bytecode.
        runs = interleaved(sides, options.repeats * ROUNDS[options.size])
    seconds = {name: Sample.of(one.seconds for one in side) for name, side in runs.items()}
    cpu = {name: Sample.of(one.cpu for one in side) for name, side in runs.items()}
    bars = [
        Bar(f"{name}: times {YARDSTICK}", seconds[name].over(seconds[YARDSTICK]).median, most)
        for name, most in MOST.items()
    ]
    yield Table("Start-up", COLUMNS, [_row(name, seconds, cpu) for name in sides], bars, NOTE)


def _prepare(folder: str) -> str:
    """A copy of hello that has run once."""
    copy = shutil.copytree(HELLO, Path(folder, "hello"), ignore=shutil.ignore_patterns("state", "__pycache__"))
    organism = str(copy / "organism.yaml")
    run(sys.executable, "-m", "xpipe", "run", organism)
    return organism


def _sides(organism: str, variables: dict[str, str]) -> dict[str, partial[Ran]]:
    xpipe = os.path.join(os.path.dirname(sys.executable), "xpipe")
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        YARDSTICK: (sys.executable, "-c", "import typer"),
        "xpipe --version": (xpipe, "--version"),
        "xpipe threads": (xpipe, "threads", organism),
        "xpipe check --no-imports": (xpipe, "check", "--no-imports", organism),
    }
    return {name: partial(run, *command, variables=variables) for name, command in commands.items()}


def _row(name: str, seconds: dict[str, Sample], cpu: dict[str, Sample]) -> Sequence[Cell]:
    times, by_cpu = (one[name].over(one[YARDSTICK]).median for one in (seconds, cpu))
    return name, _milliseconds(seconds[name]), _milliseconds(cpu[name]), times, by_cpu


def _milliseconds(sample: Sample) -> Sample:
    return Sample.of(1_000 * value for value in sample.values)
