"""YAML syntax errors as findings, in words that need no knowledge of YAML parsers."""

from __future__ import annotations

import re
from typing import Any

from xpipe.config.reporting import Report, Unreadable
from xpipe.config.wording import one_line

_BRACKET = re.compile(r"(?<!\$)[\[{]")
# The problem as either of the two parsers words it -> what it means. The first match counts.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        r"cannot start any token.*\\t|found a tab character",
        "A tab stands where only spaces may.",
        "Indent with spaces.",
    ),
    (r"cannot start any token", "A value cannot begin with this character.", "Put the value in quotes."),
    (
        r"mapping values are not allowed",
        "A colon with a space after it is not allowed here.",
        "Put the value in quotes, or check the indentation.",
    ),
    (r"could not find expected ':'", "A key is not followed by a colon.", 'Write "key: value".'),
    (
        r"did not find expected ',' or|expected ',' or",
        "A list or mapping in brackets is not closed.",
        "Close it, or separate its parts with commas.",
    ),
    (
        r"unexpected end of stream|unexpected document indicator",
        "A quoted text is not closed.",
        "Add the closing quote.",
    ),
    (
        r"unknown escape|escape sequence|escape character|expected escape|hexdecimal|hexadecimal",
        "A backslash is followed by no known escape.",
        "Use single quotes for text with backslashes.",
    ),
    (
        r"did not find expected key|did not find expected '-'|expected <block end>|block sequence entries are not",
        "The line does not fit those before it.",
        "Check its indentation, and that quotes and brackets are closed.",
    ),
    (
        r"expected '?<document start>",
        "The text goes on after the end of the document.",
        "Check the indentation of this line.",
    ),
    (
        r"expected (?:the )?node content",
        "A value is missing, or a bracket closes what it does not open.",
        "Write the value, or the bracket that fits.",
    ),
)


def explain(error: Exception, text: str, report: Report) -> Unreadable:
    """The finding for `error`, which the YAML parser raised on `text`."""
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message, hint = _meaning(problem, _character(text, line, column))
    if "not closed" in message and getattr(error, "context_mark", None):
        opened = error.context_mark  # type: ignore[attr-defined]  # only errors with marks come here
        line, column = opened.line + 1, opened.column + 1
    return report.unreadable(line, column, "yaml-syntax", message, _variable_hint(text, line) or hint)


def _meaning(problem: str, character: str) -> tuple[str, str]:
    described = problem + ("\\t" if character == "\t" else "")
    for pattern, message, hint in _MEANINGS:
        if re.search(pattern, described, re.IGNORECASE):
            return message, hint
    return f"This is not valid YAML: {one_line(problem)}.", ""


def _character(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    return lines[line - 1][column - 1 : column] if line <= len(lines) else ""


def _variable_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    shown = lines[line - 1] if line <= len(lines) else ""
    parts = shown.replace('"', "'").split("'")
    unquoted = any((bracket := _BRACKET.search(part)) and part.rfind("${") >= bracket.end() for part in parts)
    return 'Inside [ ] and { } a variable needs quotes: "${NAME}".' if unquoted else ""
