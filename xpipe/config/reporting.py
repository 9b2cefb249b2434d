"""Collecting findings about one file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xpipe.core.findings import Finding, Severity

_MOST_FINDINGS = 500


class Place(Protocol):
    """Anything that stands at a line and a column."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class Unreadable(Exception):
    """The file cannot be read as YAML any further; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


class Report:
    """What is wrong with `file`, the path as the user gave it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._findings: list[Finding] = []
        self._left_out = 0

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
        self.note(Finding(self.file, place.line, place.column, code, message, text, severity))

    def note(self, finding: Finding) -> None:
        """Note a finding that is worded already."""
        self._findings.append(finding)

    def findings(self) -> list[Finding]:
        """All findings in the order of the file, those beyond the first 500 as a number."""
        ordered = sorted(set(self._findings), key=lambda one: (one.line, one.column, one.code, one.message))
        if self._left_out:
            last = ordered[-1]
            message = f"{self._left_out} more findings are left out."
            ordered.append(Finding(self.file, last.line, last.column, "more-findings", message))
        return ordered

    def unreadable(self, line: int, column: int, code: str, message: str, hint: str = "") -> Unreadable:
        """The error to raise when nothing after this place can be read."""
        return Unreadable(Finding(self.file, line, column, code, message, hint))
