"""The XML elements of a stream, told apart by the start and end tags of their own names alone.

What is ill-formed inside an element stays in its document, where the parser reports it with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from xpipe.core.errors import WireError

if TYPE_CHECKING:
    from xpipe.wire.documents import Document
    from xpipe.wire.feed import Feed

_OPEN = re.compile(rb"<")
_ENDS = {b"<!--": re.compile(rb"-->"), b"<?": re.compile(rb"\?>"), b"<![CDATA[": re.compile(rb"\]\]>")}
_NAME = re.compile(rb"<([^\s<>/!?\"'=]+)(?=[\s/>])")
_TAG = re.compile(rb"""(?:[^<>"']|"[^"<]*"|'[^'<]*')*+>""")
_TAG_STOP = re.compile(rb"[<>]")
_DOCTYPE_TOKEN = re.compile(rb"""[\[\]<>"']""")
_QUOTES = {b'"': re.compile(rb'"'), b"'": re.compile(rb"'")}
_TAG_CLOSE = re.compile(rb">")
_PARTIAL_NAME = re.compile(rb"<[^\s<>/!?\"'=]*")
_MAX_TAG = 1_000_000
_MAX_NAME = 1000
_WRAPPER = b"messages"


def split_xml(feed: Feed) -> Iterator[Document | WireError]:
    """The documents of `feed`."""
    yield from _Splitter(feed).run()


class _Broken(WireError):
    """Text outside any document, or in one that never ends."""


class _Splitter:
    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._wrapped_at = ""
        self._forbidden = False

    def run(self) -> Iterator[Document | WireError]:
        """Broken text between two documents is one finding, not one per tag."""
        broken = False
        for found in self._found():
            if not (broken and isinstance(found, _Broken)):
                yield found
            broken = isinstance(found, _Broken)

    def _found(self) -> Iterator[Document | WireError]:
        while self._feed.skip_blank():
            if self._feed.peek() != b"<":
                yield self._stray_text()
                continue
            yield from self._markup(self._feed.peek(9))
        if self._wrapped_at:
            text = f"{self._feed.place()}: the input ends inside the <messages> that starts at {self._wrapped_at}"
            yield _Broken(text, cut_off=True)

    def _markup(self, head: bytes) -> Iterator[Document | WireError]:
        feed = self._feed
        opener = next((one for one in _ENDS if head.startswith(one)), b"")
        if opener:
            yield from self._skip_misc(opener)
        elif any(one.startswith(head) for one in _ENDS):
            yield _Broken(f"{feed.place()}: the input ends inside this markup", raw=head, cut_off=True)
            feed.drop(len(head))
        elif head.startswith(b"<!"):
            end = feed.find(_TAG_CLOSE, 0, 0)
            raw = bytes(feed.window[: end.end()]) if end else feed.head()
            yield _Broken(f"{feed.place()}: a DOCTYPE is not accepted; remove it and its entities", raw=raw)
            self._skip_doctype()
            self._forbidden = True
        elif head.startswith(b"</"):
            yield from self._end_tag()
        else:
            yield from self._start_tag()

    def _skip_misc(self, opener: bytes) -> Iterator[WireError]:
        feed = self._feed
        end = feed.find(_ENDS[opener], len(opener), 2)
        if end:
            feed.drop(end.end())
            return
        opened, raw = feed.place(), feed.head()
        if not feed.drop_through(_ENDS[opener], 2):
            yield _Broken(f"{opened}: the input ends before this {opener.decode()} is closed", raw=raw, cut_off=True)

    def _skip_doctype(self) -> None:
        """Drops the DOCTYPE at the start of the window with its subset in brackets, or what is left of the input."""
        feed, in_subset, in_declaration = self._feed, False, False
        feed.drop(2)
        while token := feed.drop_through(_DOCTYPE_TOKEN):
            if token in _QUOTES:
                feed.drop_through(_QUOTES[token])
            elif token == b"<" and feed.peek(3) == b"!--":
                feed.drop_through(_ENDS[b"<!--"], 2)
            elif token == b"<":
                in_declaration = in_subset
            elif token == b">" and not in_subset:
                return
            elif token == b">":
                in_declaration = False
            elif not in_declaration:
                in_subset = token == b"["

    def _end_tag(self) -> Iterator[WireError]:
        feed, place = self._feed, self._feed.place()
        end = feed.find(_TAG_CLOSE, 0, 0)
        tag = bytes(feed.window[: end.end() if end else len(feed.window)])
        feed.drop(len(tag))
        if self._wrapped_at and tag[2:].rstrip(b"> \t\r\n") == _WRAPPER:
            self._wrapped_at = ""
            return
        yield _Broken(
            f"{place}: this end tag closes nothing", raw=tag[: feed.max_bytes], cut_off=end is None and feed.ended
        )

    def _start_tag(self) -> Iterator[Document | WireError]:
        feed = self._feed
        while len(feed.window) < _MAX_NAME and not _NAME.match(feed.window) and feed.more():
            pass
        match = _NAME.match(feed.window)
        if match is None:
            place, ends = feed.place(), feed.ended and _PARTIAL_NAME.fullmatch(feed.window) is not None
            feed.drop(1)
            raw = b"<" + self._drop_to_markup()
            yield _Broken(f"{place}: < must be followed by the name of an element", raw=raw, cut_off=ends)
            return
        name = match[1]
        if name == _WRAPPER and not self._wrapped_at and not self._forbidden:
            self._wrapped_at = feed.place()
            end, closed = self._tag_end(len(name) + 1)
            feed.drop(end)
            self._wrapped_at = "" if closed else self._wrapped_at
            return
        found = self._element(name)
        if self._forbidden:  # it came with a DOCTYPE, which has been reported
            self._forbidden = False
            return
        yield from found

    def _stray_text(self) -> WireError:
        place = self._feed.place()
        return _Broken(f"{place}: there is text outside of any element", raw=self._drop_to_markup())

    def _drop_to_markup(self) -> bytes:
        """Drops what stands before the next markup; the start of it."""
        feed = self._feed
        match = feed.find(_OPEN, 0, 0)
        dropped = bytes(feed.window[: match.start()]) if match else feed.head()
        while match is None:
            feed.drop(len(feed.window))
            if not feed.more():
                return dropped
            match = _OPEN.search(feed.window)
        feed.drop(match.start())
        return dropped

    def _tag_end(self, at: int) -> tuple[int, bool]:
        """Where the tag ends whose inside starts at `at`, and whether it closes itself. A broken one ends at once."""
        feed = self._feed
        start = at
        while True:
            match = _TAG.match(feed.window, at)
            if match:
                return match.end(), feed.window[match.end() - 2 : match.end()] == b"/>"
            stop = _TAG_STOP.search(feed.window, start)
            if stop and (stop[0] == b"<" or len(feed.window) - at > _MAX_TAG):
                return at, False
            start = len(feed.window)
            if len(feed.window) - at > _MAX_TAG or not feed.more():
                return at, False

    def _element(self, name: bytes) -> list[Document | WireError]:
        """The element called `name` at the start of the window; several findings if it is never closed."""
        scan = _Scan(self._feed, name, bool(self._wrapped_at), self._tag_end)
        size = scan.run()
        if size:
            return [self._document(size)]
        if len(self._feed.window) > self._feed.max_bytes and not scan.spans and len(scan.open) == 1:
            return [self._too_long(scan)]
        return self._salvage(name, scan)

    def _too_long(self, scan: _Scan) -> WireError:
        feed = self._feed
        error = WireError(f"{feed.place()}: the document is longer than {feed.max_bytes} bytes", raw=feed.head())
        scan.skip()
        return error

    def _salvage(self, name: bytes, scan: _Scan) -> list[Document | WireError]:
        """What can be told of a window in which some elements called `name` are never closed."""
        feed = self._feed
        found: list[Document | WireError] = []
        full = len(feed.window) > feed.max_bytes
        stop, ends = scan.at, feed.ended and not full and scan.at == len(feed.window)
        starts = dict.fromkeys(scan.open, 0) | dict(scan.spans)
        if full and len(scan.open) > 1:  # the last one may only be under way
            stop = scan.open[-1]
            starts = {start: end for start, end in starts.items() if start < stop}
        done = 0
        for (start, end), (behind, _) in pairwise([*sorted(starts.items()), (stop, stop)]):
            feed.drop(start - done)
            done = start
            if end:
                found.append(self._document(end - start))
                done = end
            else:
                raw = bytes(feed.window[: min(behind - start, feed.max_bytes)])
                text = f"{feed.place()}: this <{name.decode('utf-8', 'replace')}> is never closed"
                found.append(_Broken(text, raw=raw, cut_off=ends))
        feed.drop(stop - done)
        return found

    def _document(self, size: int) -> Document | WireError:
        from xpipe.wire.documents import Document

        feed, where = self._feed, self._feed.place()
        data = bytes(feed.window[:size])
        feed.drop(size)
        if size > feed.max_bytes:
            return WireError(f"{where}: the document is longer than {feed.max_bytes} bytes", raw=data[: feed.max_bytes])
        return Document(data, "xml", where, feed.offset)


class _Scan:
    """Counts the tags of one name. `open`: where those never closed start; `spans`: the outermost closed ones."""

    def __init__(self, feed: Feed, name: bytes, wrapped: bool, tag_end: Callable[[int], tuple[int, bool]]) -> None:
        self._feed = feed
        quoted = re.escape(name)
        wrapper = rb"|</messages(?=[\s>])" if wrapped else b""
        self._token = re.compile(
            rb"<!--|<!\[CDATA\[|<\?|</" + quoted + rb"(?=[\s>])|<" + quoted + rb"(?=[\s/>])" + wrapper
        )
        self._name = name
        self._tag_end = tag_end
        self.open: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self.at = 0

    def run(self) -> int:
        """The size of the element at the start of the window, 0 if it is not closed within the bounds."""
        overlap = len(self._name) + 10
        while match := self._feed.find(self._token, self.at, overlap):
            token, start = match[0], match.start()
            if token in _ENDS:
                end = self._feed.find(_ENDS[token], match.end(), 2)
                if end is None:
                    break
                self.at = end.end()
            elif token.startswith(b"</"):
                if token[2:] != self._name:
                    self.at = start
                    return 0
                size = self._close(match.end())
                if size:
                    return size
            else:
                self._enter(start, match.end())
                if not self.open:
                    return self.at
        self.at = max(self.at, len(self._feed.window))
        return 0

    def skip(self) -> None:
        """Drops the window and the rest of the one element that is open, without keeping it."""
        feed, overlap = self._feed, len(self._name) + 10
        depth = len(self.open)
        feed.drop(max(0, self.at - overlap) if depth else self.at)
        at = min(overlap, len(feed.window))
        while depth:
            match = self._token.search(feed.window, at)
            if match is None:
                feed.drop(max(0, len(feed.window) - overlap))
                at = 0
                if not feed.more():
                    feed.drop(len(feed.window))
                    return
                continue
            end = self._past(match)
            if match[0] not in _ENDS:
                if match[0].startswith(b"</") and match[0][2:] != self._name:
                    feed.drop(match.start())
                    return
                depth += -1 if match[0].startswith(b"</") else 0 if end < 0 else 1
            feed.drop(abs(end))
            at = 0

    def _past(self, match: re.Match[bytes]) -> int:
        """The index behind the markup that `match` starts; negative for an element that closes itself."""
        if match[0] in _ENDS:
            end = self._feed.find(_ENDS[match[0]], match.end(), 2)
            return end.end() if end else len(self._feed.window)
        behind, closed = self._tag_end(match.end())
        return -behind if closed and not match[0].startswith(b"</") else behind

    def _enter(self, start: int, inside: int) -> None:
        self.at, closed = self._tag_end(inside)
        if not closed:
            self.open.append(start)
        elif self.open:
            self.spans.append((start, self.at))

    def _close(self, inside: int) -> int:
        self.at, _ = self._tag_end(inside)
        start = self.open.pop()
        if not self.open:
            return self.at
        while self.spans and self.spans[-1][0] > start:
            self.spans.pop()
        self.spans.append((start, self.at))
        return 0
