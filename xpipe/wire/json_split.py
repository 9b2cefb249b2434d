"""The JSON values of a stream, told apart by brackets and strings; whether they are right is for the decoder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xpipe.core.errors import WireError

if TYPE_CHECKING:
    from xpipe.wire.documents import Document
    from xpipe.wire.feed import Feed

_NEWLINE = re.compile(rb"\n")
_OUTSIDE = re.compile(rb'["{}\[\]]|\n(?=[^\n])')
_INSIDE = re.compile(rb'["\n]|\\[\s\S]')
_SCALAR_END = re.compile(rb"[\s,\]\[{}]")
_BLANK_LINE_REST = re.compile(rb"[ \t\r]*\n")


def split_json(feed: Feed, lines: bool) -> Iterator[Document | WireError]:
    """The documents of `feed`; `lines`: each line is one, which is also so once the first line is a whole value."""
    if not lines and feed.skip_blank():
        if feed.peek() == b"[":
            yield from _array(feed)
        elif feed.peek() == b"{":
            found, one_line = _value(feed)
            yield found
            lines = one_line and _line_ends(feed)
        else:
            lines = True
    yield from _lines(feed) if lines else _values(feed)


def _lines(feed: Feed) -> Iterator[Document | WireError]:
    while feed.skip_blank():
        end = feed.find(_NEWLINE, 0, 0)
        size = end.start() if end else len(feed.window)
        if size > feed.max_bytes:
            yield _too_long(feed)
            feed.drop_through(_NEWLINE)
        else:
            yield _document(feed, size, feed.line, unterminated=end is None)


def _values(feed: Feed) -> Iterator[Document | WireError]:
    while feed.skip_blank():
        if feed.peek() == b"[":
            yield from _array(feed)
        elif feed.peek() == b"{":
            yield _value(feed)[0]
        else:
            yield _stray(feed)


def _array(feed: Feed) -> Iterator[Document | WireError]:
    """The elements of the array at the start of the window, each a document."""
    opened = feed.place()
    feed.drop(1)
    wants, first, told = True, True, False
    while feed.skip_blank():
        byte = feed.peek()
        if byte == b"]":
            if wants and not first:
                yield WireError(f"{feed.place()}: a value is expected after the comma; remove the comma")
            feed.drop(1)
            return
        if byte == b",":
            if wants and not told:
                yield WireError(f"{feed.place()}: a value is expected before the comma")
            wants, told = True, wants
            feed.drop(1)
            continue
        if not wants:
            yield WireError(f"{feed.place()}: a comma is missing before this value")
        wants, first, told = False, False, False
        yield _value(feed)[0] if byte in (b"{", b"[") else _scalar(feed)
    yield WireError(f"{feed.place()}: the input ends inside the array that starts at {opened}", cut_off=True)


def _value(feed: Feed) -> tuple[Document | WireError, bool]:
    """The object or array at the start of the window, and whether it stands on one line."""
    depth, at, one_line = 0, 0, True
    while True:
        match = feed.find(_OUTSIDE, at, 1)
        if match is None:
            return _unclosed(feed), False
        byte, at = match[0], match.end()
        if byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth == 0:
                return _document(feed, at), one_line
        elif byte == b'"':
            end = _string_end(feed, at)
            if end < 0:
                return _unclosed(feed), False
            if end == 0:
                return _broken_at_newline(feed, at), False
            at = end
        else:
            one_line = False
            if _starts_anew(feed.window, match.start()):
                return _broken(feed, match.end()), False


def _string_end(feed: Feed, at: int) -> int:
    """The index behind the string whose content starts at `at`; 0 if a line ends first, -1 if the input does."""
    while True:
        match = feed.find(_INSIDE, at, 1)
        if match is None:
            return -1
        if match[0] == b"\n":
            return 0
        at = match.end()
        if match[0] == b'"':
            return at


def _starts_anew(window: bytearray, newline: int) -> bool:
    """Whether a `{` in the first column cannot belong to the value before it: nothing there asks for a value."""
    if window[newline + 1 : newline + 2] != b"{":
        return False
    before = window[max(0, newline - 4096) : newline].rstrip()
    return bool(before) and before[-1] not in b":,[{"


def _line_ends(feed: Feed) -> bool:
    while b"\n" not in feed.window and len(feed.window) < 4096 and feed.more():
        pass
    return bool(_BLANK_LINE_REST.match(feed.window)) or not feed.window.strip()


def _document(feed: Feed, size: int, line: int = 0, unterminated: bool = False) -> Document | WireError:
    from xpipe.wire.documents import Document

    if size > feed.max_bytes:
        error = _too_long(feed)
        feed.drop(size)
        return error
    data, where = bytes(feed.window[:size]).rstrip(b" \t\r"), feed.place()
    feed.drop(size)
    return Document(data, "json", where, feed.offset, line, unterminated)


def _scalar(feed: Feed) -> Document | WireError:
    """A value of an array that is no object; the decoder says what is wrong with it."""
    if feed.peek() == b'"':
        end = _string_end(feed, 1)
        if end > 0:
            return _document(feed, end)
    match = feed.find(_SCALAR_END, 1, 0)
    return _document(feed, match.start() if match else len(feed.window))


def _stray(feed: Feed) -> Document | WireError:
    end = feed.find(_NEWLINE, 0, 0)
    if end is None and len(feed.window) > feed.max_bytes:
        error = _too_long(feed)
        feed.drop_through(_NEWLINE)
        return error
    return _document(feed, end.start() if end else len(feed.window))


def _too_long(feed: Feed) -> WireError:
    return WireError(f"{feed.place()}: the document is longer than {feed.max_bytes} bytes", raw=feed.head())


def _unclosed(feed: Feed) -> WireError:
    """The value at the start of the window does not end in it: it is too long, or the input ends."""
    if len(feed.window) > feed.max_bytes:
        error = _too_long(feed)
        _skip_value(feed)
        return error
    error = WireError(f"{feed.place()}: the input ends before this JSON value is closed", raw=feed.head(), cut_off=True)
    feed.drop(len(feed.window))
    return error


def _broken(feed: Feed, size: int) -> WireError:
    raw = bytes(feed.window[:size])
    error = WireError(f"{feed.place()}: this JSON value is not closed before the next one starts", raw=raw)
    feed.drop(size)
    return error


def _broken_at_newline(feed: Feed, at: int) -> WireError:
    raw = bytes(feed.window[:at])
    error = WireError(f"{feed.place(at - 1)}: the line ends inside this string; write a line break as \\n", raw=raw)
    feed.drop(at)
    feed.drop_through(_NEWLINE)
    _drop_to_start(feed)
    return error


def _drop_to_start(feed: Feed) -> None:
    """Goes on at the next line that starts with a value in its first column."""
    while feed.peek() and feed.peek() not in (b"{", b"["):
        feed.drop_through(_NEWLINE)


def _skip_value(feed: Feed) -> None:
    """Drops the value at the start of the window, however long, without keeping it."""
    depth, inside = 0, False
    while True:
        match = (_INSIDE if inside else _OUTSIDE).search(feed.window)
        if match is None:
            feed.drop(max(0, len(feed.window) - 1))
            if not feed.more():
                feed.drop(len(feed.window))
                return
            continue
        byte = match[0]
        if byte == b'"':
            inside = not inside
        elif not inside and byte in (b"{", b"[", b"}", b"]"):
            depth += 1 if byte in (b"{", b"[") else -1
        newline = byte == b"\n"
        restarts = newline and (inside or _starts_anew(feed.window, match.start()))
        feed.drop(match.end())
        if (depth <= 0 and not inside) or restarts:
            return
