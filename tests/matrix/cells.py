"""The cells of the matrix: which trouble, on which backend, in which orchestration, and what has to come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

BACKENDS = ("memory", "manager", "sqlite", "redis")
SHAPES = ("call", "buffer", "nested", "sequence")
LASTING = ("sqlite", "redis")
GUILTY = 3
"""The item that meets the trouble."""


@dataclass(frozen=True)
class Trouble:
    """`code`: that of the fault it ends in, "" if it ends well; worker: it happens in a worker process."""

    name: str
    code: str = ""
    worker: bool = False
    backends: tuple[str, ...] = BACKENDS


TROUBLES = (
    Trouble("exception", "exception"),
    Trouble("fails twice"),
    Trouble("rejected", "rejected"),
    Trouble("timeout", "timeout"),
    Trouble("worker killed", "worker_lost", worker=True),
    Trouble("worker exits", "worker_lost", worker=True),
    Trouble("segfault", "worker_lost", worker=True),
    Trouble("hangs", "timeout", worker=True),
    Trouble("recursion", "exception", worker=True),
    Trouble("not a payload", "unknown_type", worker=True),
    Trouble("pump killed", backends=LASTING),
    Trouble("pump stopped", backends=LASTING),
    Trouble("cancelled", "cancelled", backends=("manager", *LASTING)),
    Trouble("server restarted", backends=("redis",)),
    Trouble("manager killed", backends=("manager",)),
)
INTERRUPTED = ("pump killed", "pump stopped", "server restarted", "manager killed")
"""In these the guilty item waits until what happens to the run has happened."""


@dataclass(frozen=True)
class Cell:
    trouble: Trouble
    backend: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.trouble.name}, {self.backend}, {self.shape}"

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The pairs of values that this cell shows together."""
        return set(combinations((self.trouble.name, self.backend, self.shape), 2))


def all_cells() -> list[Cell]:
    return [
        Cell(trouble, backend, shape)
        for trouble, backend, shape in product(TROUBLES, BACKENDS, SHAPES)
        if backend in trouble.backends
    ]


def pairwise() -> Iterator[Cell]:
    """Cells in which every pair of values that can come together does, chosen greedily."""
    cells = all_cells()
    wanted = set().union(*(cell.pairs for cell in cells))
    while wanted:
        best = max(cells, key=lambda cell: len(cell.pairs & wanted))
        wanted -= best.pairs
        cells.remove(best)
        yield best
