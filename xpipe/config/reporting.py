"""Collecting findings about one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from xpipe.config.nodes import Node
from xpipe.core.findings import Finding, Severity

_MOST_FINDINGS = 500


class Place(Protocol):
    """Anything that stands at a line and a column, or comes from the option `origin`."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...

    @property
    def origin(self) -> str: ...


class Unreadable(Exception):
    """The file cannot be read as YAML any further; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


class Report:
    """What is wrong with `file`, the path as the user gave it. Excerpts are made of its `text` and `root`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.text = ""
        self.root: Node | None = None
        self._findings: list[Finding] = []
        self._left_out = 0

    @property
    def has_errors(self) -> bool:
        """Whether the file cannot be used as it is."""
        return self._left_out > 0 or any(finding.severity == "error" for finding in self._findings)

    def add(
        self,
        place: Place,
        code: str,
        message: str,
        hint: str | Callable[[], str] = "",
        severity: Severity = "error",
    ) -> None:
        """Note something wrong at `place`. A hint that is costly to find is given as a function."""
        if len(self._findings) >= _MOST_FINDINGS:
            self._left_out += 1
            return
        text = hint if isinstance(hint, str) else hint()
        line, column = (0, 0) if place.origin else (place.line, place.column)
        self.note(Finding(place.origin or self.file, line, column, code, message, text, severity))

    def note(self, finding: Finding) -> None:
        """Note a finding that is worded already."""
        self._findings.append(finding)

    def note_only(self, finding: Finding) -> None:
        """Note `finding` in the place of all others: nothing is certain but that the file cannot be read."""
        self._findings, self._left_out = [finding], 0

    def findings(self) -> list[Finding]:
        """All findings in the order of the file, those in options first, those beyond the first 500 as a number."""
        ordered = sorted(set(self._findings), key=lambda one: (one.line, one.column, one.code, one.message))
        if ordered and self.text:
            ordered = self._quoted(ordered)
        if self._left_out:
            message = f"{self._left_out} more findings are left out."
            ordered.append(Finding(self.file, max(1, ordered[-1].line), 1, "more-findings", message))
        return ordered

    def _quoted(self, findings: list[Finding]) -> list[Finding]:
        from xpipe.config.excerpts import Excerpts  # Few files have findings.

        excerpts = Excerpts(self.text, self.root)
        return [replace(one, excerpt=excerpts.of(one.line, one.column)) for one in findings]

    def unreadable(self, line: int, column: int, code: str, message: str, hint: str = "") -> Unreadable:
        """The error to raise when nothing after this place can be read."""
        return Unreadable(Finding(self.file, line, column, code, message, hint))
