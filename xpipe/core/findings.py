"""Findings: what is wrong with a file, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error keeps the file from running, a warning does not, a note may well be as it is meant to be."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The line of a finding with secrets masked; `caret` is the offset in it of what the finding is about."""

    text: str
    caret: int


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong with a file. `line` and `column` count from 1; `hint` says what to do, or is empty.

    What stands in an option has no line: `file` is the option then, and both are 0. No credential is shown, wherever
    the text comes from.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    excerpt: Excerpt | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        from xpipe.core.secrets import redacted  # Few files have errors.

        for name in ("file", "message", "hint"):
            object.__setattr__(self, name, redacted(getattr(self, name)))

    @property
    def place(self) -> str:
        """Where it is: `file:line:column`, or the option."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.place}: {self.severity}[{self.code}]: {self.message}{hint}"
