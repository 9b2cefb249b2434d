"""What a run shows of itself: the conversations that its pump owns."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from xpipe.ports import BackendTotals, SharedBackend, ThreadRecord

Row = TypeVar("Row")

FEW = 500
"""Conversations up to which each is asked for by itself; beyond, one pass over all threads is faster."""
_URGENCY = {"failed": 0, "active": 1, "waiting": 2}


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """The first rows of something, and how many there are in all."""

    rows: list[Row]
    total: int

    @property
    def more(self) -> int:
        """How many are not among `rows`."""
        return self.total - len(self.rows)


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A pair of the thread registry."""

    uuid: str
    chain: str


@dataclass(frozen=True, slots=True)
class FanOut:
    """A Buffer that still waits for items: `present` of `total` are accounted for."""

    id: str
    present: int
    total: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What a run has left: the first rows of each list, and counts; buffers and totals are of the whole backend."""

    registry: Page[RegistryEntry]
    threads: Page[ThreadRecord]
    slots: int
    buffers: Page[FanOut]
    dead_letters: int
    totals: BackendTotals


def threads(backend: SharedBackend, owner: str) -> Iterator[ThreadRecord]:
    """The threads of the conversations that the pump `owner` owns."""
    own = dict.fromkeys(one.id for one in backend.conversations(owner=owner))
    if len(own) <= FEW:
        return (thread for one in own for thread in backend.threads(one))
    return (thread for thread in backend.threads() if thread.conversation in own)


def registry(backend: SharedBackend, owner: str) -> Iterator[RegistryEntry]:
    """The root pair and those of the threads of `owner`."""
    root = backend.root()
    yield RegistryEntry(backend.registry_get_uuid(root) or "", root)
    yield from (RegistryEntry(one.thread, one.chain) for one in threads(backend, owner))


def buffers(backend: SharedBackend) -> Iterator[FanOut]:
    """The Buffers that still wait for items."""
    return (FanOut(id, present, total) for id, present, total in backend.joins())


def overview(backend: SharedBackend, owner: str, since: float, most: int) -> Overview:
    """At most `most` rows of each list; of the threads the failed and unfinished ones first.

    since: when the run began, in seconds since the epoch.
    """
    slots = 0

    def counted() -> Iterator[ThreadRecord]:
        nonlocal slots
        for thread in threads(backend, owner):
            slots += thread.slots
            yield thread

    return Overview(
        registry=_first(registry(backend, owner), most),
        threads=_most_urgent(counted(), most),
        slots=slots,
        buffers=_first(buffers(backend), most),
        dead_letters=sum(letter.at >= since for letter in backend.dead_letters()),
        totals=backend.totals(),
    )


def _first(rows: Iterable[Row], most: int) -> Page[Row]:
    kept: list[Row] = []
    total = 0
    for row in rows:
        total += 1
        if total <= most:
            kept.append(row)
    return Page(kept, total)


def _most_urgent(rows: Iterable[ThreadRecord], most: int) -> Page[ThreadRecord]:
    counter = count()
    ranked = ((_URGENCY.get(row.state, 3), next(counter), row) for row in rows)
    kept = heapq.nsmallest(most, ranked)
    return Page([row for _, _, row in kept], next(counter))
