"""What a command has done to dead letters, or would do: told to people and to programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from xpipe.cli.console import Medium, Printer
from xpipe.cli.dead_view import LetterViews
from xpipe.cli.emitting import Emitter
from xpipe.cli.looking import ROWS, Form
from xpipe.cli.text import counted, number, visible
from xpipe.cli.voice import tell
from xpipe.inspection.dead_letters import LetterView

MOST_TOLD = 10
"""Problems told one by one."""


class Outcome:
    """Of `verb`, done only with `yes`; told in `form`."""

    def __init__(self, verb: str, yes: bool, form: Form) -> None:
        self._emitter = Emitter()
        self._verb = verb
        self._yes = yes
        self._form = form
        self._first: list[LetterView] = []
        self.rows: list[Mapping[str, object]] = []
        self.problems: list[str] = []

    @property
    def count(self) -> int:
        """To how many dead letters it was done, or would be."""
        return len(self.rows) - len(self.problems)

    def note(self, row: Mapping[str, object], view: LetterView, problem: str = "") -> None:
        """It was done to `view`, or would be, unless there is a `problem`; `row` is what JSON has of it."""
        self.rows.append(row)
        if problem:
            self.problems.append(f"dead letter {view.number}: {problem}")
        elif not self._yes and len(self._first) < ROWS:
            self._first.append(view)

    def tell(self, done: Sequence[str]) -> None:
        """Print all of it; `done` are the lines that tell people that it was done."""
        if self._form.json:
            self._emitter.json({"dry_run": not self._yes}, "dead_letters", self.rows)
        elif self._form.jsonl:
            self._emitter.jsonl({"dry_run": not self._yes, **row} for row in self.rows)
        elif not self._yes:
            self._emitter.lines(self._plan())
        else:
            self._emitter.lines(done)
        for problem in self.problems[:MOST_TOLD]:
            tell(visible(f"xpipe: {problem}"), "error")
        if len(self.problems) > MOST_TOLD:
            tell(f"xpipe: and {number(len(self.problems) - MOST_TOLD)} more; --json lists all", "error")
        if not self.rows:
            tell("xpipe: no dead letter matches; `xpipe dead list` shows all", "warning")
        elif self.count and not self._yes:
            tell(f"xpipe: nothing was changed; add --yes to {self._verb} {counted(self.count, 'dead letter')}")

    def _plan(self) -> Iterator[str]:
        if not self._first:
            yield f"nothing to {self._verb}"
            return
        yield LetterViews(Printer(Medium.of(self._emitter.stdout.number)), time.time()).table(self._first)
        yield ""
        more = "; these are the oldest, --json shows all" if len(self._first) < self.count else ""
        yield f"would {self._verb} {counted(self.count, 'dead letter')}{more}"
