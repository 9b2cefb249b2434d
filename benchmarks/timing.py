"""Runs side by side: each core may switch its speed within seconds, so what is compared runs in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

Name = TypeVar("Name")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured in one thing, run by run."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    def over(self, other: Sample) -> Sample:
        """The ratios of runs that were neighbours."""
        return Sample.of(one / two for one, two in zip(self.values, other.values, strict=True))


@dataclass(frozen=True, slots=True)
class Timed(Generic[Result]):
    """What a call returned, and how long it took."""

    seconds: float
    result: Result


def timed(call: Callable[[], Result]) -> Timed[Result]:
    """Call it and take the time."""
    began = time.perf_counter()
    result = call()
    return Timed(time.perf_counter() - began, result)


def interleaved(sides: Mapping[Name, Callable[[], Result]], repeats: int) -> dict[Name, list[Result]]:
    """What each side returned, run by run; every second round runs the sides backwards."""
    results: dict[Name, list[Result]] = {name: [] for name in sides}
    for number in range(repeats):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            results[name].append(sides[name]())
    return results
