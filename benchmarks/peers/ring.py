"""What the peers have in common: the chain as a ring of tasks, each of which sends the next one, and its tally.

Worker and driver are different processes: the worker counts the messages of a batch that are through, and when all
are, writes a file that the driver looks for.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.referee import Referee

POLL = 0.002
WARM_UP = 20


class Parcel(NamedTuple):
    """A message of `batch`, which has `total`; it goes through `hops` tasks, this is number `hop`, from 1."""

    batch: str
    total: int
    hops: int
    number: int
    hop: int
    text: str


class Tally:
    """In the worker process: what is through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through: dict[str, dict[int, int]] = {}

    def next(self, *parcel: Any) -> Parcel | None:
        """What goes to the next task; None when this was the last one."""
        one = Parcel(*parcel)
        if one.hop < one.hops:
            return one._replace(hop=one.hop + 1)
        with self._lock:
            through = self._through.setdefault(one.batch, {})
            through[one.number] = one.hop
            if len(through) == one.total:
                self._tell(one.batch, {"messages": len(through), "hops": sum(through.values())})
        return None

    def _tell(self, batch: str, facts: dict[str, int]) -> None:
        draft = _place(f"{batch}.draft")
        draft.write_text(json.dumps(facts))
        draft.rename(_place(batch))


def _place(batch: str) -> Path:
    return Path(os.environ["BENCH_STATE"], batch)


def drive(referee: Referee, send: Callable[..., object]) -> None:
    """`send` puts a parcel before the first task. work: messages, hops of each, text: how long it is."""
    _round(referee, send, "warm-up", min(referee.work["messages"], WARM_UP))
    referee.start()
    facts = _round(referee, send, "batch", referee.work["messages"])
    referee.stop()
    referee.finish(**facts)


def _round(referee: Referee, send: Callable[..., object], batch: str, messages: int) -> dict[str, int]:
    hops, text = referee.work["hops"], "x" * referee.work["text"]
    for number in range(messages):
        send(*Parcel(batch, messages, hops, number, 1, text))
    told = _place(batch)
    while not told.exists():
        time.sleep(POLL)
    facts: dict[str, int] = json.loads(told.read_text())
    return facts
