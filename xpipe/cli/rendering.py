"""Payloads and outputs for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xpipe.cli.console import Printer
from xpipe.cli.text import fold, payload_lines, visible


def output_lines(printer: Printer, output: dict[str, Any]) -> Iterator[str]:
    """An output as `run --json` has it: where it came from, and its payload below."""
    kind = printer.styled(output["kind"], "red" if output["kind"] == "fault" else "green")
    origin = visible(f"from {output['from']}  {output['type']}")
    yield f"  {printer.styled(output['conversation'], 'dim')}  {kind}  {origin}"
    payload = output["payload"]
    if output["kind"] == "fault" and isinstance(payload, dict):
        payload = {key: value for key, value in payload.items() if key != "traceback"}  # It is told elsewhere.
    yield from folded(printer, payload_lines(payload), 4)


def folded(printer: Printer, lines: Iterable[str], indent: int) -> Iterator[str]:
    """`lines`, each indented and folded to the width of the medium."""
    width = printer.medium.width
    room = max(20, width - indent) if width else None
    for line in lines:
        yield from (f"{' ' * indent}{piece}" for piece in fold(line, room))
