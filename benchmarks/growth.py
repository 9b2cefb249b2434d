"""More of everything: messages, threads that are kept, slots of one thread, pumps."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import roster
from benchmarks.case import CALIBRATION, CPU_PER_HOP, HOPS_PER_SECOND, PEAK, Case, Demand, Measure, Side, side
from benchmarks.chains import chain
from benchmarks.contestant import Contestant
from benchmarks.options import some
from benchmarks.waiting import TEXT, echoes

FEWEST = 1_000
TIMES = (1, 10, 100, 1_000)
COLLECTED = {"BENCH_MAX_THREADS": "1000"}
"""How many threads are kept where what is over is to be collected soon."""
FLAT = 1.1
SLOTS = (10, 100, 1_000, 9_000)

MESSAGES = Measure("messages", lambda one: one["messages"], 0)
MICROSECONDS = Measure("us/message", lambda one: 1e6 * one["seconds"] / one["messages"], 1)
CPU_MICROSECONDS = Measure("CPU us/message", lambda one: 1e6 * one["cpu"] / one["messages"], 1)
KEPT = Measure("threads more", lambda one: one["threads"], 0)
KIB_PER_THREAD = Measure("KiB/thread", lambda one: one["bytes"] / one["threads"] / 1024, 3)
THREADS_PER_MESSAGE = Measure("threads/message", lambda one: one["threads"] / one["messages"], 1)
SLOTS_PER_THREAD = Measure("slots/thread", lambda one: one["slots"] / one["threads"], 1)
PER_HOP = Measure("us/hop", lambda one: 1e6 * one["seconds"] / one["hops"], 1)
HOPS_PER_MESSAGE = Measure("entries", lambda one: one["hops"] / one["messages"], 0)
CORES = Measure("cores busy", lambda one: (one["cpu"] + one["redis_cpu"]) / one["seconds"])
OF_REDIS = Measure("of them Redis", lambda one: one["redis_cpu"] / one["seconds"])


def _growing(contestant: Contestant, share: float, times: Sequence[int] = TIMES) -> Sequence[Side]:
    return [side(contestant, echoes(some(FEWEST * one, share)), _times(one)) for one in times]


def _times(number: int) -> str:
    return f"{number:,} x"


def _diaries(share: float) -> Sequence[Side]:
    sides = []
    for backend in ("memory", "sqlite", "redis"):
        for slots in SLOTS:
            entries = max(2, round(slots * min(1, share)))
            entry = {"organism": "diary", "to": "diary", "payload": {"entries": entries}, "warm_up": {"entries": 2}}
            work = {**entry, "messages": SLOTS[-1] // slots, "own_hops": entries, "alone": 1}
            sides.append(side(roster.xpipe(backend), work, f"{backend}: {slots:,} slots"))
    return sides


def _pumps(share: float) -> Sequence[Side]:
    work = chain(some(5_000, share))
    return [
        side(roster.xpipe("redis", "one pump"), {**work, "pumps": 1}),
        side(roster.two_pumps("chain"), {**work, "pumps": 2}),
    ]


_GROWTH = (MICROSECONDS, CPU_MICROSECONDS, MESSAGES, KEPT, PEAK, CALIBRATION)
_LAST, _FIRST = _times(TIMES[-1]), _times(TIMES[0])

CASES = (
    Case(
        "growth",
        "From 1,000 messages to 1,000,000, streamed in, collected when they are over",
        lambda share: _growing(roster.xpipe("memory", **COLLECTED), share),
        _GROWTH,
        [Demand(_LAST, MICROSECONDS, 1.5, FLAT, over=(_FIRST,)), Demand(_LAST, PEAK, 1.5, FLAT, over=(_FIRST,))],
        f"Memory backend, one listener, max_threads {COLLECTED['BENCH_MAX_THREADS']}: what is over and told is "
        "forgotten then.",
    ),
    Case(
        "growth-kept",
        "The same to 100,000, with as many threads kept as by default (100,000)",
        lambda share: _growing(roster.xpipe("memory"), share, TIMES[:-1]),
        _GROWTH,
        note="Memory backend: time per message while the number of finished threads that are kept grows.",
    ),
    Case(
        "growth-sqlite",
        "From 1,000 messages to 100,000 on SQLite",
        lambda share: _growing(roster.xpipe("sqlite"), share, TIMES[:-1]),
        _GROWTH,
        [Demand(_times(TIMES[-2]), MICROSECONDS, 1.5, FLAT, over=(_FIRST,))],
    ),
    Case(
        "growth-redis",
        "From 1,000 messages to 100,000 on Redis",
        lambda share: _growing(roster.xpipe("redis"), share, TIMES[:-1]),
        _GROWTH,
        [Demand(_times(TIMES[-2]), MICROSECONDS, 1.5, FLAT, over=(_FIRST,))],
    ),
    Case(
        "retained",
        "Memory that a finished thread keeps",
        lambda share: [side(roster.xpipe("memory"), echoes(some(20_000, share)))],
        (KIB_PER_THREAD, THREADS_PER_MESSAGE, SLOTS_PER_THREAD),
        [Demand("xpipe, memory", KIB_PER_THREAD, 1.2, 0.6)],
        f"Resident memory of the process, before and after; payloads with a text of {TEXT} bytes; each message makes "
        "the initiator's thread and that of its listener.",
    ),
    Case(
        "slots",
        "Threads of ever more slots",
        _diaries,
        (PER_HOP, CPU_PER_HOP, HOPS_PER_MESSAGE, CALIBRATION),
        note=f"A handler that writes to itself, one thread after the other; {SLOTS[-1]:,} slots in all on each side.",
    ),
    Case(
        "two-pumps",
        "Two pumps on one Redis instead of one",
        _pumps,
        (HOPS_PER_SECOND, CPU_PER_HOP, CORES, OF_REDIS, CALIBRATION),
        [Demand("two pumps", HOPS_PER_SECOND, 1.5, over=("one pump",))],
        "A chain of three. The pumps and Redis share the cores of this machine: what is busy bounds it.",
    ),
)
