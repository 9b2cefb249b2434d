"""Simulates many runs, a seed each, and tells which went wrong and how to see that again."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from xpipe.version import __version__

RESULTS = Path(__file__).parent / "RESULTS.md"
CHUNK = 25
SHOWN = 2_000
"""Characters of what went wrong."""

Outcome = tuple[int, Counter[str], str]
"""A seed, what happened, and what went wrong, "" for nothing."""


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many, counted from --first")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with everything it logs")
    parser.add_argument("--results", type=Path, help="the file that the result is written to")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return show(given.seed)
    began = time.monotonic()
    happened, wrong, count = tally(run(range(given.first, given.first + given.seeds)))
    if given.results:
        seconds = time.monotonic() - began
        given.results.write_text(report(given.first, count, happened, wrong, seconds), encoding="utf-8")
    say(f"{count} seeds, {len(wrong)} wrong; {told(happened)}")
    return 1 if wrong else 0


def show(seed: int) -> int:
    """Run one seed in this process."""
    from simulation.world import simulate

    logging.basicConfig(level=logging.INFO)
    happened = simulate(seed)
    say(f"seed {seed}: {told(happened)}")
    return 0


def run(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Run `seeds` on all cores."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as workers:
        yield from workers.map(simulate_one, seeds, chunksize=CHUNK)


def simulate_one(seed: int) -> Outcome:
    """Run `seed` in a process of the pool."""
    from simulation.world import simulate

    logging.disable()
    try:
        return seed, simulate(seed), ""
    except BaseException as error:
        return seed, Counter(), f"{type(error).__name__}: {error}"[:SHOWN]


def tally(outcomes: Iterable[Outcome]) -> tuple[Counter[str], dict[int, str], int]:
    """What happened in all, what went wrong by seed, and how many there were."""
    happened: Counter[str] = Counter()
    wrong: dict[int, str] = {}
    count = 0
    for seed, one, trouble in outcomes:
        happened += one
        count += 1
        if trouble:
            wrong[seed] = trouble
            say(f"seed {seed}: {trouble}\n  again: PYTHONHASHSEED=0 python -m tests.simulation --seed {seed}")
    return happened, wrong, count


def told(happened: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(happened.items()))


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def report(first: int, count: int, happened: Counter[str], wrong: dict[int, str], seconds: float) -> str:
    """The result as Markdown."""
    rows = "\n".join(f"| {name} | {number} |" for name, number in sorted(happened.items()))
    troubles = "\n".join(f"- seed {seed}: `{trouble[:200]}`" for seed, trouble in wrong.items()) or "None."
    return f"""# Simulated runs

The last result of `python -m tests.simulation --seeds 10000 --results tests/simulation/RESULTS.md`: real pumps, routers
and a memory backend in virtual time, while processes are killed between any two steps and around commits, leases are
lost, messages are delivered and commits are made twice, and conversations are cancelled. Half of the pumps are distant
from their backend: its answers take a while, and two calls may be under way. What is asked for are random
trees of calls, groups, Buffers and Sequences, declared ones too, with all their options, of handlers that fail, ask to
be tried again, reject, are too slow, answer too late, twice or not at all. Every caller has to get exactly the outcome
that its plan allows, once; each Buffer accounts for every index; no message is tried too often or beside another one of
its thread; what is due happens in time; the counts are right after each commit and zero at the end; nothing is left.

{datetime.now(UTC):%Y-%m-%d}, xpipe {__version__}, Python {platform.python_version()}, {seconds / 60:.0f} minutes:
**{count} seeds from {first}, {len(wrong)} wrong**.

| what happened | times |
|---|---|
{rows}

What went wrong: {troubles}
"""
