"""A stream as a window of UTF-8 bytes that moves forward, with line and column."""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

from xpipe.wire.encodings import EncodingError, detect

_CHUNK = 64 * 1024
_CONTINUATION = bytes(range(0x80, 0xC0))
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")


class Feed:
    """`window` is what is read and not yet dropped; `at` indexes into it. Reading raises EncodingError.

    The stream may be the rest of one, from the byte `offset` in `line` on.
    """

    def __init__(self, stream: BinaryIO, name: str, max_bytes: int, offset: int = 0, line: int = 1) -> None:
        self.name = name
        self.max_bytes = max_bytes
        self.window = bytearray()
        self.offset = offset
        self.ended = False
        self._line = line
        self._column = 1
        self._read = getattr(stream, "read1", stream.read)
        self._decoder: codecs.IncrementalDecoder | None = None
        self._started = False

    @property
    def line(self) -> int:
        """The line in which the window begins, 0 if `offset` does not count the bytes of the stream itself."""
        return self._line if self._decoder is None else 0

    def more(self) -> bool:
        """Reads on; False at the end of the stream."""
        if not self._started:
            return self._start()
        chunk = b"" if self.ended else self._read(_CHUNK)
        self._append(chunk or b"")
        return not self.ended

    def drop(self, count: int) -> None:
        """Forgets the first `count` bytes of the window."""
        last = self.window.rfind(b"\n", 0, count)
        if last >= 0:
            self._line += self.window.count(b"\n", 0, count)
            self._column = 1
        self._column += _characters(self.window, last + 1, count)
        self.offset += count
        del self.window[:count]

    def place(self, at: int = 0) -> str:
        """The file:line:column of the byte `at` of the window."""
        last = self.window.rfind(b"\n", 0, at)
        line = self._line + self.window.count(b"\n", 0, at)
        column = _characters(self.window, last + 1, at) + (self._column if last < 0 else 1)
        return f"{self.name}:{line}:{column}"

    def head(self) -> bytes:
        """The start of the window, up to the size limit of a document."""
        return bytes(self.window[: self.max_bytes])

    def skip_blank(self) -> bool:
        """Drops white space at the start of the window, reading on as needed; False if nothing else is left."""
        while True:
            match = _NOT_BLANK.search(self.window)
            if match:
                self.drop(match.start())
                return True
            self.drop(len(self.window))
            if not self.more():
                return False

    def peek(self, count: int = 1) -> bytes:
        """The first `count` bytes of the window, fewer at the end of the stream."""
        while len(self.window) < count and self.more():
            pass
        return bytes(self.window[:count])

    def find(self, pattern: re.Pattern[bytes], start: int, overlap: int) -> re.Match[bytes] | None:
        """The first match from `start` on, reading on while the window fits into `max_bytes`.

        `overlap` is one less than the longest match of `pattern`.
        """
        while True:
            match = pattern.search(self.window, start)
            if match or len(self.window) > self.max_bytes:
                return match
            start = max(start, len(self.window) - overlap)
            if not self.more():
                return None

    def drop_through(self, pattern: re.Pattern[bytes], overlap: int = 0) -> bytes:
        """Drops what comes before the end of the first match, however long; the match, or b"" if the stream ends first.

        `overlap` is one less than the longest match of `pattern`.
        """
        while (match := pattern.search(self.window)) is None:
            self.drop(max(0, len(self.window) - overlap))
            if not self.more():
                self.drop(len(self.window))
                return b""
        found = match[0]
        self.drop(match.end())
        return found

    def _start(self) -> bool:
        self._started = True
        head = bytearray()
        while len(head) < 4 or (head.lstrip().startswith(b"<?") and len(head) < 200 and b"?>" not in head):
            chunk = self._read(_CHUNK)
            if not chunk:
                break
            head += chunk
        codec = detect(bytes(head[:200]))
        if codec != "utf-8":
            self._decoder = codecs.getincrementaldecoder(codec)()
        self.ended = not head
        self._append(bytes(head))
        return not self.ended

    def _append(self, chunk: bytes) -> None:
        if not chunk:
            self.ended = True
        if self._decoder is None:
            self.window += chunk
            return
        try:
            self.window += self._decoder.decode(chunk, self.ended).encode()
        except UnicodeError as error:
            raise EncodingError(f"there are bytes that are not of the encoding of the file ({error})") from None


def _characters(window: bytearray, start: int, end: int) -> int:
    """How many characters start in this part of the window."""
    return len(window[start:end].translate(None, _CONTINUATION))
