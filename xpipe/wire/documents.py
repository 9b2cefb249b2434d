"""Documents from a stream, one by one, in flat memory; a broken one does not spoil the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, Literal

from xpipe.core.errors import WireError
from xpipe.wire.encodings import EncodingError
from xpipe.wire.feed import Feed

Form = Literal["xml", "json"]

_SUFFIXES = {".xml": "xml", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_FORMS = {"xml": "xml", "json": "json", "jsonl": "jsonl", "ndjson": "jsonl"}


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its bytes in UTF-8, and `where` (file:line:column) the first of them stands.

    `offset` is the number of bytes of the stream, as UTF-8 and without a byte order mark, up to the end of it. `line`:
    it is all of this line of a stream that is UTF-8, and `resume_lines` can go on after it; else 0. unterminated: it is
    the last line of the stream, without a line break.
    """

    data: bytes
    form: Form
    where: str
    offset: int = 0
    line: int = 0
    unterminated: bool = False


def read_documents(
    stream: BinaryIO, name: str, form: str | None = None, max_bytes: int = 256 * 1024 * 1024
) -> Iterator[Document | WireError]:
    """The documents in `stream`, and a WireError in the place of each that is broken or longer than `max_bytes`.

    JSON: Lines, one value of any number of lines, values one after the other, or an array of them. XML: elements one
    after the other, or one `<messages>` around them. `form` is xml, json, jsonl or None: then the suffix of `name`
    says, or the first byte that is not blank.
    """
    feed = Feed(stream, name, max_bytes)
    try:
        chosen = _FORMS.get(form or "") or _SUFFIXES.get(PurePath(name).suffix.lower()) or _sniff(feed)
        yield from _split(feed, chosen)
    except EncodingError as error:
        yield WireError(f"{feed.place()}: {error}; the rest of {name} is not read", raw=feed.head())


def resume_lines(stream: BinaryIO, name: str, max_bytes: int, offset: int, line: int) -> Iterator[Document | WireError]:
    """As `read_documents`, after a document that ended at `offset` in `line`; `stream` goes on from there."""
    from xpipe.wire.json_split import split_json

    return split_json(Feed(stream, name, max_bytes, offset, line), lines=True)


def _sniff(feed: Feed) -> str:
    feed.skip_blank()
    return "xml" if feed.peek() == b"<" else "json"


def _split(feed: Feed, form: str) -> Iterator[Document | WireError]:
    if form == "xml":
        from xpipe.wire.xml_split import split_xml

        return split_xml(feed)
    from xpipe.wire.json_split import split_json

    return split_json(feed, lines=form == "jsonl")
