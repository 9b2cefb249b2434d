"""What lives in a backend, as data: read-only use cases for the command line and for embedding."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from xpipe.ports import BackendTotals, SharedBackend, ThreadRecord

Row = TypeVar("Row")

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
    """A backend at a glance: the first rows of each list."""

    registry: Page[RegistryEntry]
    threads: Page[ThreadRecord]
    buffers: Page[FanOut]
    totals: BackendTotals


def threads(backend: SharedBackend, conversation: str | None = None) -> Iterator[ThreadRecord]:
    """The threads of `conversation`, or of all, oldest first."""
    return backend.threads(conversation)


def registry(backend: SharedBackend) -> Iterator[RegistryEntry]:
    """Every pair of the thread registry, the root first."""
    return (RegistryEntry(uuid, chain) for uuid, chain in backend.registry_list_all())


def buffers(backend: SharedBackend) -> Iterator[FanOut]:
    """The Buffers that still wait for items."""
    return (FanOut(id, present, total) for id, present, total in backend.joins())


def totals(backend: SharedBackend) -> BackendTotals:
    """Counts over the whole backend."""
    return backend.totals()


def overview(backend: SharedBackend, most: int) -> Overview:
    """At most `most` rows of each list; of the threads the failed and unfinished ones first."""
    return Overview(
        registry=_first(registry(backend), most),
        threads=_most_urgent(threads(backend), most),
        buffers=_first(buffers(backend), most),
        totals=totals(backend),
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
