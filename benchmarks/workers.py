"""The codestats organism with one worker process and with two."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.errors import Failed
from benchmarks.options import Options
from benchmarks.report import Column, Table
from benchmarks.timing import Sample, interleaved

ORGANISM = Path(__file__).parent.parent / "organisms" / "codestats"
COLUMNS = (Column("workers"), Column("files"), Column("seconds"), Column("times as fast as one"))


def main(options: Options) -> Iterator[Table]:
    """The seconds of a run inside xpipe, and how much a second worker brings."""
    runs = interleaved({workers: partial(run, workers) for workers in (1, 2)}, options.repeats)
    files = {parsed for side in runs.values() for _, parsed in side}
    if len(files) > 1:
        raise Failed(f"one worker and two parsed different numbers of files: {sorted(files)}")
    seconds = {workers: Sample.of(one for one, _ in side) for workers, side in runs.items()}
    rows = [(workers, files.copy().pop(), spent, seconds[1].over(spent)) for workers, spent in seconds.items()]
    yield Table("Codestats on one worker process and on two", COLUMNS, rows)


def run(workers: int) -> tuple[float, int]:
    """Seconds of one run inside xpipe, without earlier state, and the number of files it analysed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(ORGANISM, Path(folder) / "codestats", ignore=shutil.ignore_patterns("state"))
        options = ["--workers", str(workers), "--json"]
        command = [sys.executable, "-m", "xpipe", "run", str(copy / "organism.yaml"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    return document["timings"]["seconds"], document["outputs"][0]["payload"]["parsed"]
