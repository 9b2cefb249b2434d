"""Payloads and outputs for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xpipe.cli.console import Printer
from xpipe.cli.text import fold, payload_lines, visible


def output_lines(printer: Printer, output: Mapping[str, Any]) -> Iterator[str]:
    """An output as `run --json` has it: where it came from, and its payload below."""
    kind = printer.styled(output["kind"], "red" if output["kind"] == "fault" else "green")
    origin = visible(f"from {output['from']}  {output['type']}")
    yield f"  {printer.styled(output['conversation'], 'dim')}  {kind}  {origin}"
    payload = output["payload"]
    if output["kind"] == "fault":
        payload = of_fault(payload)
    yield from folded(printer, payload_lines(payload), 4)


def of_fault(payload: object) -> object:
    """The payload of a fault without what is long there, and whole in JSON."""
    if not isinstance(payload, dict):
        return payload
    return {key: value for key, value in payload.items() if key not in ("traceback", "causes")}


def folded(printer: Printer, lines: Iterable[str], indent: int) -> Iterator[str]:
    """`lines`, each indented and folded to the width of the medium."""
    width = printer.medium.width
    room = max(20, width - indent) if width else None
    for line in lines:
        yield from (f"{' ' * indent}{piece}" for piece in fold(line, room))
