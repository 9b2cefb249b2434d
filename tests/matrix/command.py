"""Runs the whole matrix of troubles, backends and orchestrations, and writes down what came of it."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from matrix.cells import BACKENDS, TROUBLES, Cell, all_cells
from matrix.running import Running
from xpipe.version import __version__

RESULTS = Path(__file__).parent / "RESULTS.md"
AT_ONCE = 2

Outcome = tuple[Cell, list[str], float]
"""A cell, what is wrong, and the seconds from the trouble to the end."""


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--trouble", choices=[one.name for one in TROUBLES], help="only this one")
    parser.add_argument("--backend", choices=BACKENDS, help="only this one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file that the result is written to")
    given = parser.parse_args(arguments)
    cells = [
        cell
        for cell in all_cells()
        if given.trouble in (None, cell.trouble.name) and given.backend in (None, cell.backend)
    ]
    with ThreadPoolExecutor(AT_ONCE) as workers:
        outcomes = [_told(outcome) for outcome in workers.map(run_cell, cells)]
    if not (given.trouble or given.backend):
        given.results.write_text(report(outcomes), encoding="utf-8")
    return 1 if any(wrong for _, wrong, _ in outcomes) else 0


def run_cell(cell: Cell) -> Outcome:
    """Run `cell` in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        running = Running(cell, Path(folder))
        try:
            wrong = running.wrong()
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        return cell, wrong, running.seconds


def _told(outcome: Outcome) -> Outcome:
    cell, wrong, seconds = outcome
    sys.stderr.write(f"{cell.name}: {'; '.join(wrong)[:2_000] or 'well'} ({seconds:.1f} s)\n")
    return outcome


def report(outcomes: Iterable[Outcome]) -> str:
    """The result as Markdown: a row for each trouble, a column for each backend."""
    outcomes = list(outcomes)
    wrong = sum(bool(one) for _, one, _ in outcomes)
    rows = "\n".join(
        f"| {trouble.name} | " + " | ".join(_entry(outcomes, trouble.name, backend) for backend in BACKENDS) + " |"
        for trouble in TROUBLES
    )
    return f"""# Troubles, backends and orchestrations

The last result of `python -m tests.matrix`: for each trouble and backend a plain call, a Buffer, a nested Buffer and a
Sequence, with real processes. Each caller has to be answered exactly once, others must not notice, the exit code has to
be right and nothing may be left over. A cell has how many of its orchestrations ended well, and the median of the
seconds from the trouble to the end of the run, start-up of a resuming run included.

{datetime.now(UTC):%Y-%m-%d}, xpipe {__version__}, Python {platform.python_version()}:
**{len(outcomes)} cells, {wrong} wrong**.

| trouble | {" | ".join(BACKENDS)} |
|---|{"---|" * len(BACKENDS)}
{rows}
"""


def _entry(outcomes: list[Outcome], trouble: str, backend: str) -> str:
    found = [
        (wrong, seconds) for cell, wrong, seconds in outcomes if (cell.trouble.name, cell.backend) == (trouble, backend)
    ]
    if not found:
        return "-"
    well = sum(not wrong for wrong, _ in found)
    return f"{well} of {len(found)}, {median(seconds for _, seconds in found):.1f} s"
