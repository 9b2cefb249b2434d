"""Kills runs hundreds of times at each fail point and at random, and writes down what came of it."""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import redis_server

from faults.points import BACKENDS, POINTS, Point
from faults.scenario import MOST_KILLS, Outcome, kill_at, kill_at_random
from faults.spawning import Spawner
from faults.world import ENVIRONMENT
from xpipe.version import __version__

RESULTS = Path(__file__).parent / "RESULTS.md"
AT_ONCE = 4
"""Scenarios under way at the same time."""
ROUND = 10
"""Kills of each series after which the result is written: what is stopped early has had all points equally often."""


@dataclass
class Series:
    """All kills at `point` of `backend`, or at random times where there is no point."""

    backend: str
    point: Point | None
    total: Outcome = field(default_factory=Outcome)
    scenarios: int = 0

    @property
    def name(self) -> str:
        return self.point.name if self.point else "at random times"

    def run(self, kills: int, seed: int, spawner: Spawner) -> None:
        """Run scenarios until there have been `kills` kills in all, or nothing but trouble."""
        while self.total.kills < kills and self.scenarios <= kills:
            most = 1 if self.point and self.point.fresh else min(MOST_KILLS, kills - self.total.kills)
            self.total.add(self._scenario(most, f"{seed}/{self.backend}/{self.name}/{self.scenarios}", spawner))
            self.scenarios += 1

    def _scenario(self, kills: int, seed: str, spawner: Spawner) -> Outcome:
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        try:
            if self.point is None:
                outcome = kill_at_random(folder, self.backend, kills, random.Random(seed), spawner)
            else:
                outcome = kill_at(folder, self.point, kills, random.Random(seed), spawner)
        except Exception as error:
            outcome = Outcome(wrong=[f"{type(error).__name__}: {error}"])
        if outcome.wrong:
            outcome.wrong[0] = f"seed {seed}, {folder}: {outcome.wrong[0]}"
        else:
            shutil.rmtree(folder)
        return outcome


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills at each point, and at random times")
    parser.add_argument("--backend", choices=list(BACKENDS), action="append", help="only this one")
    parser.add_argument("--point", action="append", help="only at this one, by its name in the table")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file that the result is written to")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    series = [one for one in all_series(given.backend or list(BACKENDS)) if one.name in (given.point or [one.name])]
    if not series:
        parser.error("no such point; the names stand in the table of the results")
    spawner = Spawner(ENVIRONMENT)
    for kills in [*range(ROUND, given.kills, ROUND), given.kills]:
        run_all(series, kills, given.seed, spawner)
        given.results.write_text(report(series, kills, given.seed, time.monotonic() - began), encoding="utf-8")
        say(f"written to {given.results}")
    spawner.close()
    return 1 if any(one.total.wrong for one in series) else 0


def all_series(backends: Sequence[str]) -> list[Series]:
    at_random = [Series(backend, None) for backend in backends]
    return at_random + [Series(point.backend, point) for point in POINTS if point.backend in backends]


def run_all(series: list[Series], kills: int, seed: int, spawner: Spawner) -> None:
    """Run `series` up to `kills`, AT_ONCE at a time, and tell how it goes."""
    say(f"{len(series)} series up to {kills} kills, seed {seed}")
    redis_server.shared()
    with ThreadPoolExecutor(AT_ONCE) as workers:
        under_way = {workers.submit(one.run, kills, seed, spawner): one for one in series}
        for number, ended in enumerate(as_completed(under_way), 1):
            ended.result()
            one = under_way[ended]
            say(f"[{number}/{len(series)}] {row(one)}")
            for wrong in one.total.wrong[:5]:
                say(f"    {wrong[:2_000]}")


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def report(series: list[Series], each: int, seed: int, seconds: float) -> str:
    """The result as Markdown."""
    rows = "\n".join(f"| {row(one)} |" for one in sorted(series, key=lambda one: list(BACKENDS).index(one.backend)))
    kills, wrong = sum(one.total.kills for one in series), sum(len(one.total.wrong) for one in series)
    return f"""# Runs that were killed

The last result of `python -m tests.faults --kills {each}`: `xpipe run` is killed with SIGKILL at a fail point, or at a
random time, up to {MOST_KILLS} times in one organism; a last run with `--resume` brings everything to its end. Then
every document has to be answered exactly once, nothing may be missing, doubled or left over, and
`xpipe gc --older-than 0` leaves the root alone.

{datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes, seed {seed}: **{kills} kills, {wrong} wrong**.

{versions()}

| backend | point | kills | conversations | answers | wrong |
|---|---|---|---|---|---|
{rows}
"""


def row(one: Series) -> str:
    total = one.total
    cells = one.backend, one.name, total.kills, total.conversations, total.answers, len(total.wrong)
    return " | ".join(map(str, cells))


def versions() -> str:
    python = f"xpipe {__version__}, Python {platform.python_version()} on {platform.system()} {platform.release()}"
    return f"{python}, SQLite {sqlite3.sqlite_version}, Redis {server_version()}, redis-py {version('redis')}"


def server_version() -> str:
    import redis

    with redis.Redis.from_url(redis_server.shared().url) as raw:
        return str(raw.info("server")["redis_version"])
