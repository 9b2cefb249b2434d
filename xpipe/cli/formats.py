"""Outputs as bytes: XML, a JSON array, JSON Lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from xpipe.cli.text import safe_json, safe_xml

if TYPE_CHECKING:
    from xpipe.core.codec import PayloadTypes
    from xpipe.runtime.happenings import Output


SCHEMA_VERSION = 1
"""Of all that is printed for programs; it rises when something there changes its meaning or goes."""


class Format(NamedTuple):
    """How a stream of outputs is laid out. `in_place`: every prefix of it is of use, so a file may be followed."""

    render: Callable[[Output, PayloadTypes], bytes]
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""
    in_place: bool = False


def json_line(output: Output, types: PayloadTypes) -> bytes:
    """`output` as one JSON object without a line end. Raises PayloadError."""
    import msgspec

    from xpipe.wire.json_form import to_json

    envelope = {
        "conversation": output.conversation,
        "kind": output.kind,
        "from": output.sender,
        "type": output.type,
    }
    head = msgspec.json.encode(envelope)[:-1]
    return safe_json(head + b',"payload":' + to_json(output.payload, types) + b"}")


def encode_json(value: object) -> bytes:
    """`value` on one line of UTF-8; what UTF-8 cannot carry is escaped."""
    import json

    return safe_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def output_record(line: bytes) -> bytes:
    """`line`, an output as JSON, as a record of a stream of them."""
    return b'{"schema_version":%d,' % SCHEMA_VERSION + line[1:] + b"\n"


def _line(output: Output, types: PayloadTypes) -> bytes:
    return output_record(json_line(output, types))


def _element(output: Output, types: PayloadTypes) -> bytes:
    from xpipe.wire.xml_form import to_xml

    return safe_xml(to_xml(output.payload, types).encode()).rstrip(b"\n") + b"\n"


_XML_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<messages>\n'

FORMATS = {
    "jsonl": Format(_line, in_place=True),
    "json": Format(json_line, b"[\n", b",\n", b"\n]\n"),
    "xml": Format(_element, _XML_HEAD, b"", b"</messages>\n"),
}


def format_of(file: str) -> str:
    """The format that the extension of `file` asks for; jsonl if it asks for none."""
    extension = file.rpartition(".")[2].lower()
    return extension if extension in FORMATS else "jsonl"
