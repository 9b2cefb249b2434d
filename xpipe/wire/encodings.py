"""Which encoding bytes from outside are in, and the way to UTF-8."""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_NOT_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "undefined", "mbcs", "oem"}


class EncodingError(ValueError):
    """The bytes are not in the encoding they claim, or nobody knows that encoding."""


def detect(head: bytes) -> str:
    """The Python codec for a stream that starts with `head` (200 bytes are enough). Raises EncodingError."""
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec
    declared = _DECLARED.match(head)
    if declared is None:
        return "utf-8"
    name = declared[1].decode()
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if not codec or codec in _NOT_TEXT or codec.startswith("utf-16") or not _is_text(codec):
        raise EncodingError(f"the encoding {name} that the document declares is not known; use UTF-8")
    return codec


def to_utf8(data: bytes | str) -> bytes:
    """`data` in UTF-8 without a byte order mark; bytes that claim to be UTF-8 are not checked. Raises EncodingError."""
    if isinstance(data, str):
        try:
            return data.removeprefix("\ufeff").encode()
        except UnicodeEncodeError:
            raise EncodingError("a lone surrogate is no text") from None
    codec = detect(data[:200])
    if codec in ("utf-8", "utf-8-sig"):
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(codec).removeprefix("\ufeff").encode()
    except UnicodeError:
        raise EncodingError(f"there are bytes that are no {codec}") from None


def _is_text(codec: str) -> bool:
    try:
        return isinstance(b"a".decode(codec), str)
    except (LookupError, UnicodeError):
        return False
