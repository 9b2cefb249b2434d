"""The lines of a trace's tree on a medium: as a table with bars, or where that does not fit one under the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xpipe.cli.console import Printer
from xpipe.cli.layout import Column
from xpipe.cli.text import columns, fold, visible
from xpipe.cli.timeline import EITHER, OPEN, RAN, WAITED, Timeline
from xpipe.cli.trace_tree import Line

_LEAST_LABEL = 14
_ROOM = 20
"""Columns that calls are not folded below; where they cannot have them there is no table."""
_GAP = 2
_FIGURES = ("waited", "ran")


class _Shape(NamedTuple):
    """A table. bars: how long they are; named: processes stand in it by name, else by number."""

    bars: int
    named: bool


_SHAPES = (_Shape(40, True), _Shape(24, True), _Shape(16, False))
"""The best first."""


class Layout:
    """Lays out `lines`, whose bars are of the time from `start` to `end`."""

    def __init__(self, printer: Printer, lines: Sequence[Line], start: float, end: float) -> None:
        self._printer = printer
        self._lines = lines
        self._start = start
        self._end = end
        processes = dict.fromkeys(process for line in lines for process in line.processes)
        self._numbers = {process: str(at) for at, process in enumerate(processes, 1)}
        self._are_numbered = len(processes) > 1

    def text(self) -> Iterator[str]:
        """All of it, with a legend."""
        width = self._printer.medium.width
        shape = _SHAPES[0] if width is None else self._shape(width)
        told = list(self._stacked(width or 0) if shape is None else self._table(shape, width))
        yield from told
        yield ""
        yield from self._legend(any(EITHER in line for line in told), shape is None or shape.named)

    def _shape(self, width: int) -> _Shape | None:
        """The best table that fits into `width`, without folding if there is one; None if none does."""
        rooms = {shape: width - self._width_beside(shape) for shape in _SHAPES}
        longest = max(columns(visible(line.lead + line.label)) for line in self._lines)
        needs = ((least, shape) for least in (longest, min(longest, _ROOM)) for shape in _SHAPES)
        return next((shape for least, shape in needs if rooms[shape] >= least), None)

    def _legend(self, either: bool, named: bool) -> Iterator[str]:
        parts = [f"{WAITED} waits for its turn", f"{RAN} runs", f"{OPEN} waits for others"]
        parts += [f"{EITHER} one of the first two"] if either else []
        for piece in fold("   ".join(parts), self._printer.medium.width):
            yield self._printer.styled(piece, "dim")
        for process, name in {} if named else self._numbers.items():
            yield self._printer.styled(f"in {name}: {process}" if self._are_numbered else f"in {process}", "dim")

    def _titles(self, shape: _Shape) -> tuple[str, ...]:
        bars = Timeline(self._start, self._end, shape.bars).title
        last = ["process"] if shape.named else ["in"] * self._are_numbered
        return ("call", "outcome", "waited", "ran", bars, *last)

    def _cells(self, line: Line, shape: _Shape) -> tuple[str, ...]:
        """All but the call."""
        timeline = Timeline(self._start, self._end, shape.bars)
        bar = timeline.bar(line.call) if line.call is not None else ""
        names = line.processes if shape.named else map(self._numbers.__getitem__, line.processes)
        last = [", ".join(names)] if shape.named or self._are_numbered else []
        return (line.outcome, line.waited, line.ran, bar, *last)

    def _width_beside(self, shape: _Shape) -> int:
        """Columns that a table needs beside its first column."""
        titles = self._titles(shape)[1:]
        rows = [titles, *(self._cells(line, shape) for line in self._lines)]
        return sum(max(columns(visible(cell)) for cell in cells) + _GAP for cells in zip(*rows, strict=True))

    def _table(self, shape: _Shape, width: int | None) -> Iterator[str]:
        rows: list[tuple[str, ...]] = []
        room = None if width is None else width - self._width_beside(shape)
        for line in self._lines:
            first, *others = self._label(line, room)
            rows.append((first, *self._cells(line, shape)))
            rows += [(other, *[""] * (len(rows[-1]) - 1)) for other in others]
        heads = [Column(title, "right" if title in _FIGURES else "left", whole=True) for title in self._titles(shape)]
        yield from self._printer.table(heads, rows).split("\n")

    def _stacked(self, width: int) -> Iterator[str]:
        """What is told of a call below it, its bar under all other bars."""
        shape = _Shape(max(12, min(40, width // 2)), True)
        before = max(0, width - shape.bars)
        yield " " * before + self._titles(shape)[4]
        for line in self._lines:
            outcome, waited, ran, bar, process = self._cells(line, shape)
            parts = [outcome, waited and f"waited {waited}", ran and f"ran {ran}", process and f"in {process}"]
            facts = ", ".join(filter(None, parts))
            if line.call is None:
                yield from self._label(line._replace(label=f"{line.label}  {facts}"), width)
                continue
            yield from self._label(line, width)
            yield from self._label(Line(line.below, line.below, facts, ""), width)
            if bar:
                yield f"{line.below:<{before}}{bar}"

    @staticmethod
    def _label(line: Line, room: int | None) -> Iterator[str]:
        """The label of `line` behind its part of the tree, folded into `room` columns."""
        lead, inner = line.lead, None if room is None else max(_LEAST_LABEL, room - len(line.below))
        for piece in fold(visible(line.label), inner):
            yield f"{lead}{piece}"
            lead = line.below
