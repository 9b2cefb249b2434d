"""What a run shows of itself: the conversations that its pump owns."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Generic, TypeVar

from xpipe.core import chains
from xpipe.core.payloads import BUFFER
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
class OpenBuffer:
    """A Buffer that still waits for items: `present` of `total` are accounted for."""

    id: str
    present: int
    total: int


@dataclass(slots=True)
class ListenerThreads:
    """The threads of one listener, how many there are in each state, and the size of their context buffers."""

    listener: str
    threads: int = 0
    states: Counter[str] = field(default_factory=Counter)
    slots: int = 0
    bytes: int = 0


@dataclass(slots=True)
class FanOut:
    """A Buffer: how many of the `total` items that it has sent to `targets` are done, and how many have failed."""

    targets: set[str] = field(default_factory=set)
    total: int = 0
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """A run at a glance. registry, threads: the first rows thread by thread."""

    listeners: list[ListenerThreads]
    fan_outs: list[FanOut]
    registry: Page[RegistryEntry]
    threads: Page[ThreadRecord]
    slots: int
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


def buffers(backend: SharedBackend) -> Iterator[OpenBuffer]:
    """The Buffers that still wait for items."""
    return (OpenBuffer(id, present, total) for id, present, total in backend.joins())


def overview(backend: SharedBackend, owner: str, since: float, buffers: Collection[str], most: int) -> Overview:
    """The threads of the pump `owner`: by listener, by fan-out, and at most `most` of them one by one.

    One by one the failed and unfinished threads come first; of listeners and fan-outs the largest, fan-outs with failed
    or unfinished items before the others. since: when the run began, in seconds since the epoch. buffers: the listeners
    that are Buffers.
    """
    tally = _Tally({BUFFER, *buffers})
    rows = _most_urgent(tally.counting(threads(backend, owner)), most)
    return Overview(
        listeners=sorted(tally.listeners.values(), key=lambda one: (-one.threads, one.listener)),
        fan_outs=sorted(tally.fan_outs.values(), key=lambda one: (one.done == one.total, -one.total)),
        registry=Page(list(islice(registry(backend, owner), most)), rows.total + 1),
        threads=rows,
        slots=tally.slots,
        dead_letters=sum(letter.at >= since for letter in backend.dead_letters()),
        totals=backend.totals(),
    )


class _Tally:
    """Adds threads up. Those of initiators and of `system.buffer` belong to no listener of the organism."""

    def __init__(self, buffers: Collection[str]) -> None:
        self.listeners: dict[str, ListenerThreads] = {}
        self.fan_outs: dict[str, FanOut] = {}
        self.slots = 0
        self._buffers = buffers

    def counting(self, rows: Iterator[ThreadRecord]) -> Iterator[ThreadRecord]:
        for row in rows:
            self.slots += row.slots
            if row.thread != row.conversation and row.listener != BUFFER:
                self._add_to_listener(row)
            _, index = next(chains.callers(row.chain, self._buffers), ("", ""))
            if index:
                self._add_to_fan_out(row)
            yield row

    def _add_to_listener(self, row: ThreadRecord) -> None:
        one = self.listeners.get(row.listener)
        if one is None:
            one = self.listeners[row.listener] = ListenerThreads(row.listener)
        one.threads += 1
        one.states[row.state] += 1
        one.slots += row.slots
        one.bytes += row.bytes

    def _add_to_fan_out(self, row: ThreadRecord) -> None:
        buffer = row.chain.rsplit(".", 2)[0]
        one = self.fan_outs.get(buffer)
        if one is None:
            one = self.fan_outs[buffer] = FanOut()
        one.targets.add(chains.prune(row.chain)[1])
        one.total += 1
        one.done += row.state == "done"
        one.failed += row.state == "failed"


def _most_urgent(rows: Iterator[ThreadRecord], most: int) -> Page[ThreadRecord]:
    counter = count()
    ranked = ((_URGENCY.get(row.state, 3), next(counter), row) for row in rows)
    kept = heapq.nsmallest(most, ranked)
    return Page([row for _, _, row in kept], next(counter))
