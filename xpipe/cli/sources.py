"""Where messages come from: messages:, --send and --input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from xpipe.cli.tracking import Reading
from xpipe.core.errors import PayloadError, WireError
from xpipe.core.messages import Cursor, Injection, Rejected
from xpipe.core.secrets import redacted
from xpipe.wire.documents import Document, read_documents
from xpipe.wire.origin import Origin

if TYPE_CHECKING:
    from xpipe.core.organism import StartMessage
    from xpipe.runtime.intake import Intake

MOST_KEPT = 1_000
"""Rejected messages of a run that become dead letters: a file of the wrong kind must not push out all others."""

YAML, SEND, INPUT = "yaml", "cli", "in"
"""Names of the initiators."""


@dataclass(frozen=True, slots=True)
class Send:
    """A `--send`: its payload is text, read already."""

    to: str
    payload: bytes
    where: str


@dataclass(frozen=True, slots=True)
class Given:
    """A message from `source`, not looked at yet: a value for `to`, a document, or what is wrong with it.

    reading: the pass over its file that takes it, if the backend keeps how far that is; cursor: the place behind it.
    """

    source: str
    content: Any
    to: str = ""
    type: str = ""
    where: str = ""
    reading: Reading | None = None
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """A file to read, `-` for stdin. reading: the pass over it, None if nobody keeps how far it has been read."""

    path: str
    reading: Reading | None = None


def given(
    messages: Sequence[StartMessage], sends: Sequence[Send], inputs: Sequence[Input], max_bytes: int
) -> Iterator[Given]:
    """All that comes in, in this order; files are opened one after the other. May block. Raises UsageError."""
    for message in messages:
        yield Given(YAML, message.payload, message.to, message.type, message.where)
    for send in sends:
        yield Given(SEND, send.payload, send.to, where=send.where)
    for one in inputs:
        documents = _documents(one.path, max_bytes)
        if one.reading is None:
            yield from (Given(INPUT, document) for document in documents)
        else:
            for document, cursor in one.reading.documents(documents):
                yield Given(INPUT, document, reading=one.reading if cursor else None, cursor=cursor)


def _documents(name: str, max_bytes: int) -> Iterator[Document | WireError]:
    shown = "stdin" if name == "-" else name
    try:
        with contextlib.closing(open_input(name)) as stream:
            yield from read_documents(stream, shown, None, max_bytes)
    except OSError as error:
        yield WireError(f"{shown}: cannot be read further: {error.strerror}")


def open_input(name: str) -> BinaryIO:
    """The file called `name`, or stdin for `-`. Raises OSError."""
    # A second reader on fd 0: the interpreter wants a lock of its sys.stdin when it ends, and a reader may hold it.
    return open(0, "rb", closefd=False) if name == "-" else open(name, "rb")


def weight(one: Given) -> int:
    """About how many bytes `one` takes."""
    content = one.content.data if isinstance(one.content, Document) else one.content
    return len(content) if isinstance(content, str | bytes) else 0


class Gate:
    """Makes injections of what is given; what does not fit becomes a conversation that is a fault (F10)."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._rejected = 0

    def injection(self, one: Given) -> tuple[Injection, PayloadError | None]:
        """The injection, and what is wrong with `one`."""
        try:
            to, payload = self._decode(one)
            return self._intake.injection(one.source, to, payload), None
        except PayloadError as error:
            # Arguments and broken documents may hold what UTF-8, and so a stored fault, cannot.
            told = PayloadError(_storable(str(error)), error.code)
            self._rejected += 1
            kept = _rejected(one) if self._rejected <= MOST_KEPT else None
            return self._intake.rejection(one.source, redacted(_storable(one.to)), told, kept), told

    def _decode(self, one: Given) -> tuple[str, object]:
        if isinstance(one.content, WireError):
            raise one.content
        inbound = self._intake.inbound
        if isinstance(one.content, Document):
            return inbound.decode(one.content)
        return one.to, inbound.decode_value(one.content, one.to, one.type, one.where)


def _rejected(one: Given) -> Rejected:
    """The record of `one`, which is not a message."""
    match one.content:
        case Document(data, where=where):
            text = data.decode("utf-8", "backslashreplace")
        case WireError(raw=raw, where=where):
            text = raw.decode("utf-8", "backslashreplace")
        case bytes(raw):
            text, where = raw.decode("utf-8", "backslashreplace"), one.where
        case value:
            text, where = value if isinstance(value, str) else repr(value), one.where
    origin = Origin.of(where)
    return Rejected(redacted(_storable(origin.name)), 0 if origin.name == where else origin.line, _storable(text))


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
