"""Tables of what was measured, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Sample

SCHEMA_VERSION = 1

Cell = str | int | float | Sample


@dataclass(frozen=True, slots=True)
class Column:
    """digits: after the decimal point of numbers that are not whole."""

    name: str
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """What a number has to be: `limit` at least, or at most; `aim` is what it is to become."""

    what: str
    value: float
    limit: float
    at_least: bool = False
    aim: float | None = None

    @property
    def met(self) -> bool:
        return self._reaches(self.limit)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if not self.met:
            return "MISSED"
        return "met, aim reached" if self.aim is not None and self._reaches(self.aim) else "met"

    def _reaches(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit


@dataclass(frozen=True, slots=True)
class Table:
    """note: what else a reader needs to know, settings first of all."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    bars: Sequence[Bar] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All tables of one run, by case, and why a case failed. started: when, in ISO 8601."""

    started: str
    command: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    tables: dict[str, list[Table]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def all_met(self) -> bool:
        return all(bar.met for tables in self.tables.values() for table in tables for bar in table.bars)


def head_lines(report: Report) -> Iterator[str]:
    """What stands above the tables, in Markdown."""
    yield f"`{report.command}`, {report.started}"
    yield ""
    yield f"- Machine: {_listed(report.machine)}"
    yield f"- Versions: {_listed(report.versions)}"
    yield "- A number with two others in brackets: the median of the runs, the lowest and the highest."
    yield "- A ratio is the median of those of runs that were neighbours. What is compared runs in turns."
    yield "- Calibration: a fixed piece of pure Python before and after each run: how slow the machine was just then."
    yield "- Redis: a server of its own for each run, over loopback, without persistence, for everybody."


def _listed(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def summary_lines(report: Report) -> Iterator[str]:
    """All bars in one table, in Markdown."""
    yield from ("", "## Bars", "", "| case | what | measured | bar | aim | |", "|---|---|--:|--:|--:|---|")
    for name, tables in report.tables.items():
        for bar in (bar for table in tables for bar in table.bars):
            sign = "≥" if bar.at_least else "≤"
            aim = "" if bar.aim is None else f"{sign} {bar.aim:g}"
            yield f"| {name} | {bar.what} | {bar.value:.3g} | {sign} {bar.limit:g} | {aim} | {bar.verdict} |"
    for name, why in report.failures.items():
        yield f"| {name} | not measured: {why.splitlines()[0]} | | | | FAILED |"


def document(report: Report) -> str:
    """The whole report in Markdown."""
    lines = ["# Results", "", *head_lines(report), *summary_lines(report)]
    for name, tables in report.tables.items():
        lines += ["", f"## {name}", *(line for table in tables for line in table_lines(table))]
    return "\n".join(lines) + "\n"


def table_lines(table: Table) -> Iterator[str]:
    """`table` in Markdown."""
    yield from ("", f"### {table.title}", "")
    yield f"| {' | '.join(column.name for column in table.columns)} |"
    yield f"|{'|'.join('---' if _is_text(cell) else '--:' for cell in table.rows[0])}|"
    for row in table.rows:
        cells = (_shown(cell, column) for cell, column in zip(row, table.columns, strict=True))
        yield f"| {' | '.join(cells)} |"
    if table.note:
        yield from ("", table.note)
    if table.bars:
        yield ""
    for bar in table.bars:
        demand = f"at {'least' if bar.at_least else 'most'} {bar.limit:g}"
        aim = "" if bar.aim is None else f", aim {bar.aim:g}"
        yield f"- {bar.what}: **{bar.value:.3g}** ({demand}{aim}: {bar.verdict})"


def _is_text(cell: Cell) -> bool:
    return isinstance(cell, str)


def _shown(cell: Cell, column: Column) -> str:
    if isinstance(cell, Sample):
        median, lowest, highest = (f"{one:,.{column.digits}f}" for one in (cell.median, cell.lowest, cell.highest))
        return f"{median} ({lowest} to {highest})"
    if isinstance(cell, float):
        return f"{cell:,.{column.digits}f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def as_data(report: Report) -> dict[str, Any]:
    """`report` for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "started": report.started,
        "command": report.command,
        "machine": dict(report.machine),
        "versions": dict(report.versions),
        "failures": report.failures,
        "cases": {name: [_table_data(table) for table in tables] for name, tables in report.tables.items()},
    }


def _table_data(table: Table) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return {
        "title": table.title,
        "columns": names,
        "rows": [dict(zip(names, map(_cell_data, row), strict=True)) for row in table.rows],
        "bars": [_bar_data(bar) for bar in table.bars],
        "note": table.note,
    }


def _cell_data(cell: Cell) -> Any:
    return {"median": cell.median, "runs": list(cell.values)} if isinstance(cell, Sample) else cell


def _bar_data(bar: Bar) -> dict[str, Any]:
    demand = "at_least" if bar.at_least else "at_most"
    return {"what": bar.what, "value": bar.value, demand: bar.limit, "aim": bar.aim, "met": bar.met}
