"""Payloads and outputs for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xpipe.cli.console import Printer
from xpipe.cli.text import columns, fold, payload_lines, text_lines, visible


def output_lines(printer: Printer, output: Mapping[str, Any]) -> Iterator[str]:
    """An output as `run --json` has it: where it came from, and below its payload, or what a fault says."""
    kind = printer.styled(output["kind"], "red" if output["kind"] == "fault" else "green")
    head = f"{printer.styled(output['conversation'], 'dim')}  {kind}"
    origin = visible(f"from {output['from']}  {output['type']}")
    width = printer.medium.width
    if width and columns(f"{output['conversation']}  {output['kind']}  {origin}") > width:
        yield head
        yield from folded(printer, [origin], 2)
    else:
        yield f"{head}  {origin}"
    payload = output["payload"]
    if output["kind"] == "fault" and isinstance(payload, dict):
        lines: Iterable[str] = map(visible, text_lines(f"{payload.get('code')}: {payload.get('text')}"))
    else:
        lines = payload_lines(payload)
    yield from folded(printer, lines, 2)


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
