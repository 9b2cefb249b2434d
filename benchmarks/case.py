"""A case: sides that run in turns, what is measured of them, and the bars for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.contestant import Contestant, Outcome, Work, run
from benchmarks.options import Options
from benchmarks.report import Bar, Cell, Column, Table
from benchmarks.talk import tell
from benchmarks.timing import Sample, interleaved

Runs = Mapping[str, Sequence[Outcome]]
"""The outcomes of each side, run by run."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that the outcome of a run tells. `higher` is better, or lower."""

    name: str
    of: Callable[[Outcome], float]
    digits: int = 2
    higher: bool = False

    def sample(self, outcomes: Sequence[Outcome]) -> Sample:
        """Run by run. Raises KeyError where an outcome does not tell."""
        return Sample.of(self.of(one) for one in outcomes)

    def cell(self, outcomes: Sequence[Outcome]) -> Cell:
        """The same for a table, where it may stay empty."""
        try:
            return self.sample(outcomes)
        except KeyError:
            return ""

    def ratio(self, outcomes: Sequence[Outcome], others: Sequence[Outcome]) -> Cell:
        """Times that of others; empty where it cannot be told."""
        try:
            return self.sample(outcomes).over(self.sample(others)).median
        except (KeyError, ZeroDivisionError):
            return ""


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared. `go` runs it once, its own process in a wrapper such as a profiler, if any.

    missing: the module without which it cannot run. is_xpipe: a profile of the case is one of this.
    """

    name: str
    go: Callable[[Sequence[str]], Outcome]
    settings: str = ""
    missing: str = ""
    is_xpipe: bool = False


def side(contestant: Contestant, work: Work, name: str = "") -> Side:
    """`contestant` doing `work`."""
    return Side(
        name or contestant.name,
        partial(run, contestant, work),
        contestant.settings,
        "" if contestant.is_here else contestant.needs,
        contestant.module == "benchmarks.peers.xpipe",
    )


@dataclass(frozen=True, slots=True)
class Demand:
    """A bar: what `measure` of `side` has to be, as a ratio to that of the best of `over`, if there are any."""

    side: str
    measure: Measure
    limit: float
    aim: float | None = None
    over: tuple[str, ...] = ()

    def bar(self, runs: Runs) -> Bar | None:
        """How it has come out; None when those concerned did not run."""
        samples = {name: self.measure.sample(runs[name]) for name in (self.side, *self.over) if name in runs}
        ours = samples.pop(self.side, None)
        if ours is None or (self.over and not samples):
            return None
        what = f"{self.side}: {self.measure.name}"
        if self.over:
            best = (max if self.measure.higher else min)(samples, key=lambda name: samples[name].median)
            what, ours = f"{what}, times that of {best}", ours.over(samples[best])
        return Bar(what, ours.median, self.limit, self.measure.higher, self.aim)


@dataclass(frozen=True, slots=True)
class Case:
    """`sides` gives what is compared, for a share of the normal work; the first measure is the one of comparison."""

    name: str
    what: str
    sides: Callable[[float], Sequence[Side]]
    measures: Sequence[Measure]
    demands: Sequence[Demand] = ()
    note: str = ""

    def main(self, options: Options) -> Iterator[Table]:
        """Run all sides in turns. Raises Failed."""
        sides = self.sides(options.share)
        here = {one.name: partial(_run_and_tell, self.name, one) for one in sides if not one.missing}
        yield self.table(sides, interleaved(here, options.repeats))

    def table(self, sides: Sequence[Side], runs: Runs) -> Table:
        """What came of `runs`, as a table."""
        columns = [Column("side"), *(Column(one.name, one.digits) for one in self.measures), Column("times the first")]
        rows = [self._row(name, outcomes, runs) for name, outcomes in runs.items()]
        bars = [bar for demand in self.demands if (bar := demand.bar(runs)) is not None]
        return Table(self.what, columns, rows, bars, self._note(sides))

    def _row(self, name: str, outcomes: Sequence[Outcome], runs: Runs) -> Sequence[Cell]:
        first = next(iter(runs.values()))
        return name, *(measure.cell(outcomes) for measure in self.measures), self.measures[0].ratio(outcomes, first)

    def _note(self, sides: Sequence[Side]) -> str:
        absent = [f"{one.name} did not take part: {one.missing} is not installed." for one in sides if one.missing]
        settings = [f"- {text}" for text in dict.fromkeys(one.settings for one in sides) if text]
        return "\n".join([*filter(None, [self.note, *absent]), "", *settings]).strip()


def _run_and_tell(case: str, side: Side) -> Outcome:
    tell(f"{case}: {side.name}")
    return side.go(())


HOPS_PER_SECOND = Measure("hops/s", lambda one: one["hops"] / one["seconds"], 0, higher=True)
MESSAGES_PER_SECOND = Measure("messages/s", lambda one: one["messages"] / one["seconds"], 0, higher=True)
CPU_PER_HOP = Measure("worker CPU ms/hop", lambda one: 1_000 * one["cpu"] / one["hops"], 3)
REDIS_CPU_PER_HOP = Measure("Redis CPU ms/hop", lambda one: 1_000 * one["redis_cpu"] / one["hops"], 3)
IN_COMMANDS_PER_HOP = Measure("of it in commands", lambda one: 1_000 * one["in_commands"] / one["hops"], 3)
ROUND_TRIPS_PER_HOP = Measure("round trips/hop", lambda one: one["round_trips"] / one["hops"], 3)
COMMANDS_PER_HOP = Measure("commands/hop", lambda one: one["commands"] / one["hops"], 1)
MILLISECONDS_PER_HOP = Measure("ms/hop", lambda one: 1_000 * one["seconds"] / one["hops"], 3)
SECONDS = Measure("seconds", lambda one: one["seconds"], 2)
PEAK = Measure("peak MiB", lambda one: one["peak"], 1)
CALIBRATION = Measure("calibration ms", lambda one: one["calibration"], 1)
