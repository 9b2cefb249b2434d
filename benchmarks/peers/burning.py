"""What the peers have in common when items are fanned out: the item, and what is made of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from benchmarks.referee import Referee

WARM_UP = 20

Burnt = tuple[int, float]
"""The index of an item and the CPU seconds it took."""


def burn(index: int, milliseconds: float) -> Burnt:
    """The item: keep a CPU busy for so long, as `burn` of the organism fan does."""
    began = now = time.thread_time()
    while now - began < milliseconds / 1_000:
        now = time.thread_time()
    return index, now - began


def drive(referee: Referee, fan_out: Callable[[int, float], Iterable[Burnt]]) -> None:
    """`fan_out` has so many items burn and collects their answers in order. work: items, milliseconds of each."""
    items, milliseconds = referee.work["items"], referee.work["milliseconds"]
    list(fan_out(min(items, WARM_UP), 1.0))
    referee.start()
    answers = list(fan_out(items, milliseconds))
    referee.stop()
    right = sum(index == place for place, (index, _) in enumerate(answers))
    if len(answers) != items or right != items:
        raise SystemExit(f"of {items} items {right} came back in their places")
    referee.finish(messages=1, hops=items, spent=sum(spent for _, spent in answers))
