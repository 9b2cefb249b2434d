"""Whether the messages of a file can be decoded. Nothing is sent."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from xpipe.config.names import broadcasts
from xpipe.config.nodes import ListNode, MapNode, Node, is_unknown
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import one_line
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError, WireError
from xpipe.core.organism import OrganismDefinition
from xpipe.core.payloads import BUFFER, SEQUENCE
from xpipe.wire.inbound import Inbound, check_text

_TEXT_HINT = "Write a mapping, or JSON or XML text of one payload."


def check_messages(
    messages: list[Entry], listeners: list[Entry], definition: OrganismDefinition, imports: bool, report: Report
) -> None:
    """Reports the payloads that would become faults; those of listeners that cannot be used are passed over.

    Without `imports` only the syntax of texts is known; with it the payload classes' own code runs.
    """
    usable = {one.name for one in definition.listeners}
    groups = {group for group, entry in broadcasts(listeners) if entry.values["name"] in usable}
    known = {*usable, *groups, BUFFER, SEQUENCE}
    decoder = _Decoder(definition) if imports else None
    for entry in messages:
        readable = "payload" in entry.values and not _has_unknown(entry.node) and _check_syntax(entry, report)
        if readable and decoder is not None and entry.values.get("to") in known:
            decoder.check(entry, report)


class _Decoder:
    def __init__(self, definition: OrganismDefinition) -> None:
        self._types = PayloadTypes.of(definition)
        self._inbound = Inbound(definition.listeners, self._types)
        self._most = definition.limits.payload_bytes

    def check(self, entry: Entry, report: Report) -> None:
        """Reports what is wrong with the payload of `entry`."""
        values = entry.values
        try:
            payload = self._inbound.decode_value(values["payload"], values["to"], values.get("type", ""))
            size = len(self._types.encode(payload)[1])
        except PayloadError as error:
            path = error.path if isinstance(error, WireError) else ()
            hint = f"`xpipe schema {shlex.quote(report.file)} {shlex.quote(values['to'])}` shows what it takes."
            place = entry.place("type") if error.code == "unknown_type" else _inner(entry.place("payload"), path)
            _report(error, place, hint, report)
            return
        if size > self._most:
            message = f"The payload takes {size} bytes, over limits.payload_bytes ({self._most})."
            report.add(entry.place("payload"), "payload-too-large", message, "Send less, or raise the limit.")


def _check_syntax(entry: Entry, report: Report) -> bool:
    payload = entry.values["payload"]
    try:
        if isinstance(payload, str):
            check_text(payload)
    except WireError as error:
        _report(error, entry.place("payload"), _TEXT_HINT, report)
        return False
    return True


def _report(error: PayloadError, place: Node, hint: str, report: Report) -> None:
    said, _, advice = one_line(str(error)).partition("; ")
    told = f"{advice[:1].upper()}{advice[1:]}{'' if advice.endswith('?') else '.'}" if advice else hint
    report.add(place, error.code.replace("_", "-"), f"The payload cannot be sent: {said}.", told)


def _inner(node: Node, path: Sequence[Any]) -> Node:
    """The node at `path` in `node`, or the innermost one around it."""
    for step in path:
        key = getattr(step, "key", step)
        if isinstance(node, MapNode) and str(key) in node.entries:
            node = node.entries[str(key)][1]
        elif isinstance(node, ListNode) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
        else:
            break
    return node


def _has_unknown(node: Node) -> bool:
    """Whether a finding says already that something in `node` cannot be known."""
    if isinstance(node, MapNode):
        return any(_has_unknown(value) for _, value in node.entries.values())
    return any(map(_has_unknown, node.items)) if isinstance(node, ListNode) else is_unknown(node)
