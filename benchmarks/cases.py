"""All cases there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from benchmarks import chains, counts, documents, fanning, growth, scale, startup, waiting, workers
from benchmarks.options import Options
from benchmarks.report import Table


class Measured(Protocol):
    """`what` it measures, in a line."""

    @property
    def what(self) -> str: ...

    def main(self, options: Options) -> Iterable[Table]:
        """Measure; each table as it is ready. Raises Failed."""


@dataclass(frozen=True, slots=True)
class Study:
    """A case that is a module of its own: the first line of its docstring says what it is."""

    what: str
    main: Callable[[Options], Iterable[Table]]


def _study(module: ModuleType) -> Study:
    return Study((module.__doc__ or "").partition("\n")[0], module.main)


_FAMILIES = (chains, fanning, waiting, documents, growth, counts)
COMPARISONS = {one.name: one for family in _FAMILIES for one in family.CASES}
"""Sides that run in turns: these can be profiled."""
CASES: dict[str, Measured] = {
    **COMPARISONS,
    "scale": _study(scale),
    "startup": _study(startup),
    "workers": _study(workers),
}
