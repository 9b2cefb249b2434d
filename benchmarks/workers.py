"""Case `workers`: the codestats organism with one worker process and with two."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

ORGANISM = Path(__file__).parent.parent / "organisms" / "codestats" / "organism.yaml"


def run(workers: int) -> tuple[float, int]:
    """Seconds of one run inside xpipe, and the number of files it analysed."""
    command = [sys.executable, "-m", "xpipe", "run", str(ORGANISM), "--workers", str(workers), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    return document["timings"]["seconds"], document["outputs"][0]["payload"]["parsed"]


def main(repeats: int) -> None:
    """Print the median times and the median of the ratios of neighbouring runs."""
    pairs = []
    for number in range(1, repeats + 1):
        one, files = run(1)
        two, files_again = run(2)
        if files != files_again:
            raise SystemExit(f"one worker parsed {files} files, two parsed {files_again}")
        pairs.append((one, two))
        print(f"run {number}: 1 worker {one:.2f} s, 2 workers {two:.2f} s, {files} files, ratio {one / two:.2f}")
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    ratio = statistics.median(one / two for one, two in pairs)
    print(f"median: 1 worker {medians[0]:.2f} s, 2 workers {medians[1]:.2f} s, ratio {ratio:.2f}")
