"""Collecting findings about one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol, get_args

from xpipe.config.nodes import Node
from xpipe.core.findings import Finding, Severity

_MOST_FINDINGS = 500
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


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
    """What is wrong with `file`, the path as the user gave it. Excerpts are made of its `text` and `root`.

    options: those that findings may be about, in the order in which they were given.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.text = ""
        self.root: Node | None = None
        self.options: list[str] = []
        self._findings: dict[Severity, list[Finding]] = {severity: [] for severity in _SEVERITIES}
        self._left_out: Counter[Severity] = Counter()

    @property
    def has_errors(self) -> bool:
        """Whether the file cannot be used as it is."""
        return bool(self._findings["error"])

    def add(
        self,
        place: Place,
        code: str,
        message: str,
        hint: str | Callable[[], str] = "",
        severity: Severity = "error",
    ) -> None:
        """Note something wrong at `place`. A hint that is costly to find is given as a function."""
        if len(self._findings[severity]) >= _MOST_FINDINGS:
            self._left_out[severity] += 1
            return
        text = hint if isinstance(hint, str) else hint()
        line, column = (0, 0) if place.origin else (place.line, place.column)
        self.note(Finding(place.origin or self.file, line, column, code, message, text, severity))

    def note(self, finding: Finding) -> None:
        """Note a finding that is worded already."""
        self._findings[finding.severity].append(finding)

    def note_only(self, finding: Finding) -> None:
        """Note `finding` in the place of all others: nothing is certain but that the file cannot be read."""
        for findings in self._findings.values():
            findings.clear()
        self._left_out.clear()
        self.note(finding)

    def withdraw(self, place: Place, codes: Collection[str]) -> None:
        """Take back what has been noted under one of `codes` at `place` in the file: nothing of it is used."""
        where = (place.line, place.column)
        for told in self._findings.values():
            told[:] = [one for one in told if one.code not in codes or (one.line, one.column) != where]

    def blame(self, option: str, others: Collection[Finding]) -> None:
        """Let the errors that are not among `others` be about `option`, whatever line of the file tells of them."""
        self.options.append(option)
        errors = self._findings["error"]
        for at, one in enumerate(errors):
            if one.line and one not in others:
                message = f"{one.message.removesuffix('.')} ({one.place})."
                errors[at] = replace(one, file=option, line=0, column=0, message=message)

    def findings(self) -> list[Finding]:
        """The findings in the order of the file, those in options first; the mildest beyond 500 only as a number."""
        kept, left_out = self._worst()
        order = {option: at for at, option in enumerate(dict.fromkeys(self.options))}
        ordered = sorted(kept, key=lambda one: (one.line, order.get(one.file, 0), one.column, one.code, one.message))
        if ordered and self.text:
            ordered = self._quoted(ordered)
        if left_out:
            ordered.append(_summary(left_out, self.file, max(1, ordered[-1].line)))
        return ordered

    def _worst(self) -> tuple[set[Finding], Counter[Severity]]:
        """The findings to be told, and how many are not."""
        kept: set[Finding] = set()
        left_out = self._left_out.copy()
        for severity, findings in self._findings.items():
            distinct = list(dict.fromkeys(findings))
            room = len(distinct) if severity == "error" else max(0, _MOST_FINDINGS - len(kept))
            kept.update(distinct[:room])
            left_out[severity] += len(distinct[room:])
        return kept, +left_out

    def _quoted(self, findings: list[Finding]) -> list[Finding]:
        from xpipe.config.excerpts import Excerpts  # Few files have findings.

        excerpts = Excerpts(self.text, self.root)
        return [replace(one, excerpt=excerpts.of(one.line, one.column)) for one in findings]

    def unreadable(self, line: int, column: int, code: str, message: str, hint: str = "") -> Unreadable:
        """The error to raise when nothing after this place can be read."""
        return Unreadable(Finding(self.file, line, column, code, message, hint))


def _summary(left_out: Counter[Severity], file: str, line: int) -> Finding:
    """The finding in the place of those left out, as bad as the worst of them."""
    worst = next(severity for severity in _SEVERITIES if left_out[severity])
    count = left_out.total()
    message = "1 more finding is left out." if count == 1 else f"{count} more findings are left out."
    return Finding(file, line, 1, "more-findings", message, severity=worst)
