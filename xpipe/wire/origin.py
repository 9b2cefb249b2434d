"""Where a document comes from, and how places inside it are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xpipe.core.errors import WireError


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a document: `name`, and the line and column of its first character; 0 if inner places say nothing.

    A text that stands inside YAML or on a command line has no lines of its own in that file.
    """

    name: str
    line: int = 0
    column: int = 0

    @classmethod
    def of(cls, where: str) -> Origin:
        """The origin named `where`: `file:line:column`, or any other name for a text whose inner lines count from 1."""
        parts = where.rsplit(":", 2)
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
            return cls(parts[0], int(parts[1]), int(parts[2]))
        return cls(where, 1, 1)

    @classmethod
    def outer(cls, where: str) -> Origin:
        """An origin whose inner places are left out, so that only `where` is named."""
        return cls(where)

    def at(self, line: int, column: int) -> str:
        """The name of the place `line`, `column` (from 1) of the document."""
        if not self.line:
            return self.name
        absolute = (self.line + line - 1, column + self.column - 1 if line == 1 else column)
        if not self.name:
            return f"line {absolute[0]} column {absolute[1]}"
        return f"{self.name}:{absolute[0]}:{absolute[1]}"

    def at_offset(self, text: str, offset: int) -> str:
        """The name of the place of the character `offset` of `text`."""
        start = text.rfind("\n", 0, offset) + 1
        return self.at(text.count("\n", 0, offset) + 1, offset - start + 1)

    def error(self, place: str, sentence: str, code: str = "bad_payload", path: Sequence[object] = ()) -> WireError:
        """The error `sentence` at `place`, which is at `path` in the document."""
        return WireError(f"{place}: {sentence}" if place else sentence, code, path)
