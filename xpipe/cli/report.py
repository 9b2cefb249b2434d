"""The report at the end of `xpipe run`: outputs, failures, threads, totals, and the next command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from xpipe.cli.account import Account
from xpipe.cli.console import Printer
from xpipe.cli.harvest import Harvest
from xpipe.cli.layout import Column
from xpipe.cli.pasting import command_line
from xpipe.cli.rendering import folded, output_lines
from xpipe.cli.run import Plan
from xpipe.cli.text import counted, number, size, text_lines, visible
from xpipe.cli.totals import Totals
from xpipe.core.durations import format_duration
from xpipe.inspection.glance import Page
from xpipe.runtime.stats import FaultGroup

# On a terminal; in a pipe or a file outputs, listeners and examples are whole.
MOST_OUTPUTS = 20
MOST_OUTPUT_LINES = 5
"""Lines of a payload."""
MOST_GROUPS = 8
"""Groups of failures."""
MOST_FRAMES = 3
MOST_MESSAGE_LINES = 3
MOST_TABLE_ROWS = 8
MOST_FAN_OUTS = 100
"""Fan-outs where nothing else bounds them."""

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$', re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):\n"


class Report:
    """Renders `account` of the run of `plan`.

    cut: at least one output was not printed whole; then `printed` counts by conversation those that were, in order.
    """

    def __init__(self, printer: Printer, account: Account, harvest: Harvest, plan: Plan) -> None:
        self.cut = False
        self.printed: Counter[str] = Counter()
        self._printer = printer
        self._account = account
        self._harvest = harvest
        self._plan = plan
        self._brief = printer.medium.width is not None

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from self._outputs()
        yield from self._failures()
        tables = [*([] if self._plan.details else self._listeners()), *self._fan_outs()]
        yield from self._threads_one_by_one() if self._plan.details else ()
        yield from [*tables, ""] if tables else ()
        yield self._printer.styled(summary(self._account), "bold")
        yield from self._next()

    def _command(self, command: str, *options: str) -> str:
        return visible(command_line(command, self._plan.file, *options, overrides=self._plan.overrides))

    # -- outputs

    def _outputs(self) -> Iterator[str]:
        count = self._harvest.outputs
        if self._plan.out is not None:
            yield f"{counted(count, 'output')} written to {visible(str(self._plan.out))}"
            yield ""
            return
        # What cannot be looked up later is printed whole in any case.
        is_brief = self._brief and self._account.lasts
        shown = MOST_OUTPUTS if is_brief else count
        incomplete: set[str] = set()
        for line in self._harvest.lines(shown):
            output = json.loads(line)
            first, *payload = output_lines(self._printer, output)
            yield first
            conversation, over = output["conversation"], len(payload) - MOST_OUTPUT_LINES
            if is_brief and over > 0:
                yield from payload[: MOST_OUTPUT_LINES - 1]
                yield self._printer.styled(f"  ... {counted(over + 1, 'more line')}", "dim")
                incomplete.add(conversation)
            else:
                yield from payload
                # The first outputs of a conversation can be marked as printed, not one behind another.
                self.printed[conversation] += conversation not in incomplete
        self.cut = bool(incomplete) or count > shown
        if count > shown:
            yield f"and {counted(count - shown, 'more output')}: {self._undelivered('--limit', 'all')}"
        elif self.cut:
            yield f"in full: {self._undelivered()}"
        if count:
            yield ""

    def _undelivered(self, *options: str) -> str:
        return self._command("outputs", "--undelivered", *options)

    # -- failures

    def _failures(self) -> Iterator[str]:
        groups, total = self._account.groups, self._account.totals.faults
        if not total:
            return
        shown = groups[:MOST_GROUPS] if self._brief else groups
        for group in shown:
            yield from self._failure(group)
        if others := total - sum(group.count for group in shown):
            yield f"and {number(others)} more faults of other kinds"
        if self._account.lasts:
            yield f"all of them: {self._command('dead list')}"
        elif total > len(shown):
            kept = len(self._account.faults)
            which = "all of them" if kept == total else f"the first {number(kept)}"
            yield f"--json shows {which}, one by one"
        yield ""

    def _failure(self, group: FaultGroup) -> Iterator[str]:
        fault = group.example
        yield self._printer.styled(f"{number(group.count)} x {fault.kind} in {fault.origin}", "red")
        frames = user_frames(fault.traceback)
        lines = [*folded(self._printer, map(visible, frames[-MOST_FRAMES:] if self._brief else frames), 2)]
        message = [*folded(self._printer, map(visible, text_lines(fault.text)), 2)]
        if self._brief and len(message) > MOST_MESSAGE_LINES:
            message[MOST_MESSAGE_LINES - 1 :] = ["  ..."]
        yield from (*lines, *message)

    # -- threads

    def _listeners(self) -> Iterator[str]:
        found = self._account.overview.listeners
        columns = (
            Column("listener", name=True),
            Column("threads", "right"),
            Column("states"),
            Column("slots", "right"),
            Column("size", "right"),
        )
        rows = [
            (one.listener, number(one.threads), _counts(one.states), number(one.slots), size(one.bytes))
            for one in self._few(found)
        ]
        yield from self._table(columns, rows, len(found))

    def _fan_outs(self) -> Iterator[str]:
        found = self._account.overview.fan_outs
        columns = (Column("fan-out to", name=True), Column("done"), Column("failed", "right"))
        rows = [
            (", ".join(sorted(one.targets)), f"{number(one.done)} of {number(one.total)}", number(one.failed))
            for one in self._few(found[:MOST_FAN_OUTS])
        ]
        yield from self._table(columns, rows, len(found))

    def _few(self, rows: Sequence[Any]) -> Sequence[Any]:
        return rows[:MOST_TABLE_ROWS] if self._brief else rows

    def _table(self, columns: Sequence[Column], rows: Sequence[tuple[str, ...]], total: int) -> Iterator[str]:
        if rows:
            yield from self._printer.table(columns, rows).split("\n")
        if total > len(rows):
            yield f"and {number(total - len(rows))} more"

    def _threads_one_by_one(self) -> Iterator[str]:
        registry, threads = self._account.overview.registry, self._account.overview.threads
        chains = [(row.uuid, row.chain) for row in registry.rows]
        yield from self._section(
            "Thread registry", registry, (Column("thread", whole=True), Column("call chain")), chains
        )
        columns = (
            Column("thread", whole=True),
            Column("state"),
            Column("slots", "right"),
            Column("size", "right"),
            Column("last from"),
        )
        rows = [(row.thread, row.state, number(row.slots), size(row.bytes), row.last_from) for row in threads.rows]
        yield from self._section("Context buffers", threads, columns, rows)

    def _section(
        self, title: str, page: Page[Any], columns: Sequence[Column], rows: Sequence[tuple[str, ...]]
    ) -> Iterator[str]:
        yield f"{self._printer.styled(title, 'bold')} {self._printer.styled(f'({number(page.total)})', 'dim')}"
        yield from (f"  {line}".rstrip() for line in self._printer.table(columns, rows, indent=2).split("\n"))
        if page.more:
            yield f"  and {number(page.more)} more; --json shows them all"
        yield ""

    # -- the end

    def _next(self) -> Iterator[str]:
        if self._account.lasts:
            yield f"next: {self._command('trace' if self._account.totals.conversations == 1 else 'threads')}"
        elif not self._plan.details:
            # Messages of the command line would have to be repeated.
            again = not (self._plan.inputs or self._plan.sends) and self._plan.messages
            how = self._command("run", "--details") if again else "add --details to list the threads"
            yield f"next: {how}"


def user_frames(traceback: str) -> list[str]:
    """The frames of the user's own code in `traceback`, innermost last: `handlers.py:98 in analyse`.

    Those of libraries are left out unless there are no others.
    """
    frames = list(_FRAME.finditer(traceback.rpartition(_TRACEBACK)[2]))
    own = [frame for frame in frames if not frame["file"].startswith(_libraries())] or frames
    return [_place(frame) for frame in own]


def _place(frame: re.Match[str]) -> str:
    """`frame` with its file as seen from the current folder, if it is in there."""
    file: str = frame["file"]
    with contextlib.suppress(FileNotFoundError):  # A handler may have gone to a folder and removed it.
        file = file.removeprefix(os.path.join(os.getcwd(), ""))
    return f"{file}:{frame['line']}" + (f" in {frame['function']}" if frame["function"] else "")


def _libraries() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return ("<", *(os.path.join(sysconfig.get_path(name), "") for name in names))


def _counts(states: Counter[str]) -> str:
    """`1 781 done, 9 failed`; only the state where all threads have the same."""
    if len(states) == 1:
        return next(iter(states))
    return ", ".join(f"{number(states[name])} {name}" for name in sorted(states))


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
