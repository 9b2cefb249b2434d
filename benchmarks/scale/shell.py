"""The commands that look in, as whole processes: `xpipe threads` and `xpipe registry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.child import Ran, run_xpipe
from benchmarks.errors import Failed
from benchmarks.report import Bar, Cell, Column, Table
from benchmarks.scale.contents import converse, open_backend
from benchmarks.talk import tell
from benchmarks.timing import Sample, interleaved
from xpipe.state import BackendConfig

BACKENDS = ("sqlite", "redis")
LIMIT = 50
ROUNDS_A_REPEAT = 3
"""A process that lives for less than a second is run more often: what else the machine does weighs more."""
MOST_TIMES_THE_SECONDS = 1.2
MOST_TIMES_THE_MEMORY = 1.1
"""How much more than with the fewest still counts as the same."""
NOTE = "Whole processes, from start to exit. Conversations that are over, of two threads each (by inject and advance)."

Key = tuple[str, int]
"""A backend's type and its number of threads."""
Runs = dict[Key, list[Ran]]


def threads_command(folder: str, url: str, counts: Sequence[int], repeats: int) -> Table:
    """`xpipe threads --limit 50`: its time must not depend on how many threads there are."""
    stores = _filled(folder, url, counts)
    tell(f"xpipe threads --limit {LIMIT}")
    runs = _run(stores, ROUNDS_A_REPEAT * repeats, "threads", "--limit", str(LIMIT))
    _check(runs, lambda lines, _: lines >= LIMIT)
    seconds = {key: Sample.of(one.seconds for one in side) for key, side in runs.items()}
    rows = _rows(seconds, {key: Sample.of(one.cpu for one in side) for key, side in runs.items()})
    names = ("backend", "threads", "seconds", "times the fewest", "CPU seconds")
    bars = _bars("seconds", seconds, MOST_TIMES_THE_SECONDS)
    return Table(f"`xpipe threads --limit {LIMIT}`", [Column(name) for name in names], rows, bars, NOTE)


def registry_command(folder: str, url: str, counts: Sequence[int], repeats: int) -> Table:
    """`xpipe registry --jsonl`: its peak memory must not depend on how many pairs there are."""
    stores = _filled(folder, url, counts)
    tell("xpipe registry --jsonl")
    runs = _run(stores, repeats, "registry", "--jsonl")
    _check(runs, lambda lines, count: lines == count + 1)  # The root is in the registry too.
    peaks = {key: Sample.of(one.peak for one in side) for key, side in runs.items()}
    rows = _rows(peaks, {key: Sample.of(one.seconds for one in side) for key, side in runs.items()})
    names = ("backend", "pairs besides the root", "peak MiB", "times the fewest", "seconds")
    bars = _bars("peak memory", peaks, MOST_TIMES_THE_MEMORY)
    return Table("`xpipe registry --jsonl`", [Column(name) for name in names], rows, bars, NOTE)


def _filled(folder: str, url: str, counts: Sequence[int]) -> dict[Key, tuple[str, ...]]:
    """The options that name the state with so many threads, made if it is not there."""
    return {(type, count): _store(type, folder, url, count) for type in BACKENDS for count in counts}


def _store(type: str, folder: str, url: str, count: int) -> tuple[str, ...]:
    path, prefix = f"{folder}/{count}.db", f"{count}:"
    backend = open_backend(BackendConfig(type, redis_url=url, redis_prefix=prefix, sqlite_path=path))
    try:
        missing = count - backend.totals().threads
        if missing:
            tell(f"filling {type}: {count:,} threads")
            converse(backend, missing // 2)
    finally:
        backend.close()
    where = ("--path", path) if type == "sqlite" else ("--url", url, "--prefix", prefix)
    return "--backend", type, *where


def _run(stores: dict[Key, tuple[str, ...]], repeats: int, *command: str) -> Runs:
    return interleaved({key: partial(run_xpipe, *command, *where) for key, where in stores.items()}, repeats)


def _check(runs: Runs, is_right: Callable[[int, int], bool]) -> None:
    for (type, count), side in runs.items():
        for one in side:
            if not is_right(one.lines, count):
                raise Failed(f"with {count} threads on {type} the command printed {one.lines} lines")


def _rows(measured: dict[Key, Sample], besides: dict[Key, Sample]) -> list[Sequence[Cell]]:
    return [(*key, one, one.over(_fewest(measured, key[0])).median, besides[key]) for key, one in measured.items()]


def _fewest(measured: dict[Key, Sample], type: str) -> Sample:
    return measured[min(key for key in measured if key[0] == type)]


def _bars(what: str, measured: dict[Key, Sample], most: float) -> list[Bar]:
    """That the most threads take no more than the fewest, on each backend."""
    bars = []
    for type in BACKENDS:
        fewest, *_, largest = sorted(key for key in measured if key[0] == type)
        ratio = measured[largest].over(measured[fewest]).median
        bars.append(Bar(f"{type}: {what} with {largest[1]:,}, times those with {fewest[1]:,}", ratio, most))
    return bars
