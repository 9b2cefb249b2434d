"""Work for worker processes: items fanned out and collected, items that are next to nothing, large payloads."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import roster
from benchmarks.case import CALIBRATION, HOPS_PER_SECOND, SECONDS, Case, Demand, Measure, Side, side
from benchmarks.contestant import Work
from benchmarks.options import some

WORKERS = 2
ITEM = 5.0
"""Milliseconds of a CPU."""
BLOB = 5 << 20
SUBMIT = roster.SUBMIT.name
AS_MAP = 0.976 / 0.90
"""The useful share of the chunked map, which pays for a hand-over once in 16 items, times that of submit."""

USEFUL_SHARE = Measure("useful share", lambda one: one["spent"] / (WORKERS * one["seconds"]), 3, higher=True)
ITEMS_PER_SECOND = Measure("items/s", HOPS_PER_SECOND.of, 0, higher=True)
CPU_BESIDES = Measure("other CPU ms/item", lambda one: 1_000 * (one["cpu"] - one["spent"]) / one["hops"], 3)
PER_MESSAGE = Measure("ms/message", lambda one: 1_000 * one["seconds"] / one["messages"], 1)
CPU_PER_MESSAGE = Measure("CPU ms/message", lambda one: 1_000 * one["cpu"] / one["messages"], 1)


def fan(items: int, milliseconds: float, **more: object) -> Work:
    """Items that take so long, all at once."""
    ours = {"organism": "fan", "to": "spread", "messages": 1, "own_hops": items}
    warm_up = {"items": 20, "milliseconds": 1.0}
    size = {"items": items, "milliseconds": milliseconds}
    return {**ours, "payload": size, "warm_up": warm_up, **size, **more}


def blobs(messages: int) -> Work:
    """Large payloads, each sent when the one before is back."""
    ours = {"organism": "blob", "to": "mirror", "payload": {}, "fill": {"data": BLOB}, "own_hops": 1, "alone": 1}
    return {**ours, "data": BLOB, "messages": messages}


def _collected(share: float) -> Sequence[Side]:
    items = some(1_000, share)
    plain = (roster.xpipe("memory"), roster.xpipe("redis"), roster.SUBMIT)
    peers = (roster.dramatiq(2, results=True), roster.huey(2, results=True))
    both = (roster.celery(2, "group"), roster.celery(2, "chord"))
    alike = [side(one, fan(items, ITEM)) for one in (*plain, *peers, *both)]
    return [*alike, side(roster.MAP, fan(items, ITEM, chunk=16))]


def _no_ops(share: float) -> Sequence[Side]:
    items = some(50_000, share)
    alike = [side(one, fan(items, 0.0)) for one in (roster.xpipe("memory"), roster.SUBMIT)]
    return [*alike, side(roster.MAP, fan(items, 0.0, chunk=32))]


CASES = (
    Case(
        "fan-out",
        "1,000 items of 5 ms of CPU fanned out and collected, two worker processes",
        _collected,
        (USEFUL_SHARE, SECONDS, CPU_BESIDES, CALIBRATION),
        [
            Demand("xpipe, memory", USEFUL_SHARE, 0.95, AS_MAP, over=(SUBMIT,)),
            Demand("xpipe, redis", USEFUL_SHARE, 0.9, AS_MAP, over=(SUBMIT,)),
        ],
        "Useful share: CPU seconds inside the function / (2 x seconds); the aim is that of the chunked map. An item "
        "lasts until its thread has had 5 ms of CPU. Every item came back in its place.",
    ),
    Case(
        "pool-no-ops",
        "50,000 items that do nothing, through a pool of two worker processes",
        _no_ops,
        (ITEMS_PER_SECOND, SECONDS, CPU_BESIDES, CALIBRATION),
        [Demand("xpipe, memory", ITEMS_PER_SECOND, 3, 10, over=(SUBMIT,))],
        "xpipe: one Buffer, collected. map: in chunks of 32.",
    ),
    Case(
        "pool-payload",
        "5 MiB to a CPU-bound handler and back",
        lambda share: [side(one, blobs(some(20, share))) for one in (roster.xpipe("memory"), roster.SUBMIT)],
        (PER_MESSAGE, CPU_PER_MESSAGE, CALIBRATION),
        [Demand("xpipe, memory", PER_MESSAGE, 2, 1, over=(SUBMIT,))],
        "One after the other; the bytes are compared with what was sent.",
    ),
)
