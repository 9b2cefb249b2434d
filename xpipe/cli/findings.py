"""Findings for people, for programs, and as workflow commands of GitHub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from xpipe.cli.text import columns, fold, visible
from xpipe.core.findings import Finding, Severity

if TYPE_CHECKING:
    from xpipe.cli.console import Printer
    from xpipe.cli.file_documents import FindingRow
    from xpipe.core.findings import Excerpt

_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_WIDEST = 160
"""Columns of an excerpt where nothing else bounds it."""
_GUTTER = 8
"""Columns of the line number beside it, up to 99 999."""
_BEFORE = 40
"""Columns of a long line that are shown before the caret."""


def finding_lines(printer: Printer, findings: Iterable[Finding]) -> Iterator[str]:
    """Each finding with its place, its line of the file, and what to do; an empty line between two."""
    first = True
    for finding in findings:
        if not first:
            yield ""
        first = False
        yield from _headline(printer, finding)
        if finding.excerpt is not None:
            yield from _excerpt(printer, finding.excerpt, finding.line)
        if finding.hint:
            yield from fold(visible(f"    hint: {finding.hint}"), printer.medium.width)


def _headline(printer: Printer, finding: Finding) -> Iterator[str]:
    mark = f"{finding.severity}[{finding.code}]"
    for piece in fold(visible(f"{finding.place}: {mark}: {finding.message}"), printer.medium.width):
        before, found, after = piece.partition(mark)
        yield f"{before}{printer.styled(found, _STYLES[finding.severity])}{after}" if found else piece


def _excerpt(printer: Printer, excerpt: Excerpt, line: int) -> Iterator[str]:
    text, caret = _window(excerpt, (printer.medium.width or _WIDEST) - _GUTTER)
    yield f"{printer.styled(f'{line:>5} |', 'dim')} {text}".rstrip()
    yield f"{printer.styled('      |', 'dim')} {' ' * caret}{printer.styled('^', 'bold')}"


def _window(excerpt: Excerpt, room: int) -> tuple[str, int]:
    """The part of the line around its caret that fits into `room` columns, and the columns before the caret."""
    before, after = visible(excerpt.text[: excerpt.caret]), visible(excerpt.text[excerpt.caret :])
    most = min(_BEFORE, room // 2)
    if columns(before) + columns(after) > room and columns(before) > most:
        before = before[-most:]
        while columns(before) > most:
            before = before[1:]
        before = f"...{before}"
    rest = max(4, room - columns(before))
    if columns(after) > rest:
        after = after[: rest - 3]
        while columns(after) > rest - 3:
            after = after[:-1]
        after += "..."
    return before + after, columns(before)


def finding_row(finding: Finding) -> FindingRow:
    """A finding for JSON; one about an option has neither line nor column."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line or None,
        "column": finding.column or None,
        "message": finding.message,
        "hint": finding.hint,
    }


def workflow_command(finding: Finding) -> str:
    """A finding as GitHub Actions shows it beside the line that it is about."""
    text = f"{finding.message} {finding.hint}".strip()
    places: dict[str, object] = {}
    if finding.line:
        places = {"file": finding.file, "line": finding.line, "col": finding.column}
    else:
        text = f"{finding.file}: {text}"
    properties = {**places, "title": f"xpipe {finding.code}"}
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {shown}::{_data(text)}"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return visible(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
