"""What happened in a run, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from xpipe.cli.account import MOST_ROWS, Account
from xpipe.cli.console import Printer
from xpipe.cli.harvest import Harvest
from xpipe.cli.layout import Column
from xpipe.cli.rendering import folded, output_lines
from xpipe.cli.text import counted, number, size, text_lines, visible
from xpipe.cli.totals import Totals
from xpipe.core.durations import format_duration
from xpipe.inspection.glance import FanOut, Page, RegistryEntry
from xpipe.ports import ThreadRecord
from xpipe.runtime.stats import FaultRecord

MOST_OUTPUTS = 100
"""Outputs shown on a terminal; in a pipe or file all of them are."""


class Report:
    """Renders an account. `written_to` names the file that the outputs went to, so that they are not shown again."""

    def __init__(self, printer: Printer, account: Account, harvest: Harvest, written_to: str) -> None:
        self._printer = printer
        self._account = account
        self._harvest = harvest
        self._written_to = written_to

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from self._outputs()
        yield from self._faults()
        overview = self._account.overview
        yield from self._section("Thread registry", overview.registry, self._registry(overview.registry.rows))
        yield from self._section("Context buffers", overview.threads, self._threads(overview.threads.rows))
        if overview.buffers.total:
            yield from self._section("Fan-outs that still wait", overview.buffers, self._buffers(overview.buffers.rows))
        yield summary(self._account)

    def _heading(self, title: str, count: int) -> str:
        return f"{self._printer.styled(title, 'bold')} {self._printer.styled(f'({number(count)})', 'dim')}"

    def _section(self, title: str, page: Page[Any], table: str) -> Iterator[str]:
        yield self._heading(title, page.total)
        yield from (f"  {line}".rstrip() for line in table.split("\n"))
        if page.more:
            yield f"  and {number(page.more)} more; --json shows them all"
        yield ""

    def _registry(self, rows: Iterable[RegistryEntry]) -> str:
        columns = (Column("thread", whole=True), Column("call chain"))
        return self._printer.table(columns, [(row.uuid, row.chain) for row in rows], indent=2)

    def _threads(self, rows: Iterable[ThreadRecord]) -> str:
        columns = (
            Column("thread", whole=True),
            Column("state"),
            Column("slots", "right"),
            Column("size", "right"),
            Column("last from"),
        )
        cells = [(row.thread, row.state, number(row.slots), size(row.bytes), row.last_from) for row in rows]
        return self._printer.table(columns, cells, indent=2)

    def _buffers(self, rows: Iterable[FanOut]) -> str:
        columns = (Column("buffer", whole=True), Column("done", "right"), Column("of", "right"))
        return self._printer.table(
            columns, [(row.id, number(row.present), number(row.total)) for row in rows], indent=2
        )

    def _outputs(self) -> Iterator[str]:
        count = self._harvest.outputs
        if self._written_to:
            yield f"{counted(count, 'output')} written to {visible(self._written_to)}"
            yield ""
            return
        yield self._heading("Outputs", count)
        most = MOST_OUTPUTS if self._printer.medium.width else count
        for line in self._harvest.lines(most):
            yield from output_lines(self._printer, json.loads(line))
        if count > most:
            yield f"  and {number(count - most)} more; --format jsonl or --out FILE writes them all"
        yield ""

    def _faults(self) -> Iterator[str]:
        total = self._account.totals.faults
        if not total:
            return
        yield self._heading("Faults", total)
        for fault in self._account.faults[:MOST_ROWS]:
            yield from self._fault(fault)
        if total > MOST_ROWS:
            kept = len(self._account.faults)
            which = "them all" if kept == total else f"the first {number(kept)}"
            yield f"  and {number(total - MOST_ROWS)} more; --json shows {which}"
        yield ""

    def _fault(self, fault: FaultRecord) -> Iterator[str]:
        place = f"in {fault.origin}" + (f", attempt {fault.attempt}" if fault.attempt > 1 else "")
        yield f"  {self._printer.styled(fault.code, 'red')} {visible(place)}  thread {fault.thread}"
        lines = text_lines(fault.traceback)
        if fault.text not in fault.traceback:
            lines = [*text_lines(fault.text), *lines]
        yield from folded(self._printer, map(visible, lines), 4)


def summary(account: Account) -> str:
    """One line: what was done, how fast, and what went wrong."""
    totals, seconds = account.totals, account.timings.seconds
    pace = f" ({number(round(account.hops_per_second))}/s)" if totals.hops >= 100 else ""
    parts = [
        f"{counted(totals.conversations, 'conversation')}{_states(totals)}{_whose(totals)}",
        f"{counted(totals.hops, 'hop')} in {format_duration(seconds)}{pace}",
        counted(totals.faults, "fault"),
        *_oddities(totals),
    ]
    return ", ".join(parts)


def _states(totals: Totals) -> str:
    states = [
        ("done", totals.done),
        ("failed", totals.failed),
        ("cancelled", totals.cancelled),
        ("unfinished", totals.unfinished),
    ]
    told = [f"{number(count)} {name}" for name, count in states if count]
    return f" ({', '.join(told)})" if totals.conversations > totals.done else ""


def _whose(totals: Totals) -> str:
    """A run does hops of conversations that others have begun, too."""
    return " of its own" if totals.hops and not (totals.conversations or totals.unfinished) else ""


def _oddities(totals: Totals) -> Iterator[str]:
    named = (
        (totals.retries, "retry", "retries"),
        (totals.unanswered, "unanswered call", "unanswered calls"),
        (totals.late, "late answer", "late answers"),
        (totals.dropped, "dropped answer", "dropped answers"),
    )
    return (counted(count, one, many) for count, one, many in named if count)
