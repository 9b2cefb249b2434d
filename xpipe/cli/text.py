"""Text for people: nothing in it can steer a terminal, and nothing is cut off."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

# What nobody sees: line separators, marks that reorder what follows them, blanks without width, tags.
_UNSEEN = (
    "\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
# C0, DEL and C1 besides.
_HIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}]")
_HIDDEN_BUT_LINES = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_PLAIN = re.compile(r"[^\W\d_][\w .,;/+()'@!?=-]*(?<! )")
_RESERVED = frozenset(("true", "false", "null", "yes", "no", "on", "off", "none"))
_JOINTS = (re.compile("(?= )"), re.compile(r"[./](?=[^\s./])"), re.compile("(?=~)|%[0-9A-F]{2}|[-_,:;](?! )"))
"""Where a line may be folded; one kind of place only where there is none of those before."""
_BRANCHES = " -├└│─"
_BELOW = str.maketrans("-├└─", " │  ")
_HIDDEN_IN_UTF8 = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe1\xa0\x8e|\xe2\x80[\x8b\x8e\x8f\xa8-\xae]|\xe2\x81[\xa0-\xa4\xa6-\xaf]"
    rb"|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf3\xa0[\x80\x81][\x80-\xbf]"
)
"""All of it that JSON lets through."""


def visible(text: str, keep_lines: bool = False) -> str:
    """`text` with its control characters written out: `\\x1b`; with `keep_lines` newlines stay newlines."""
    return (_HIDDEN_BUT_LINES if keep_lines else _HIDDEN).sub(_written_out, text)


def is_hidden(text: str) -> bool:
    """Whether `visible` would write something in `text` out, newlines aside."""
    return _HIDDEN_BUT_LINES.search(text) is not None


def _written_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def text_lines(text: str) -> list[str]:
    """The lines of `text`. Only a newline ends one: with what else `splitlines` splits at messages could forge some."""
    return text.removesuffix("\n").split("\n") if text else []


def safe_json(line: bytes) -> bytes:
    """JSON `line` with those characters escaped that JSON lets through and `visible` writes out."""
    return _HIDDEN_IN_UTF8.sub(_escaped, line)


def _escaped(match: re.Match[bytes]) -> bytes:
    import json

    return json.dumps(match[0].decode())[1:-1].encode()


def safe_xml(document: bytes) -> bytes:
    """The same for an XML document."""
    return _HIDDEN_IN_UTF8.sub(lambda match: b"&#x%x;" % ord(match[0].decode()), document)


def payload_lines(value: Any) -> Iterator[str]:
    """`value`, as JSON would hold it, in the manner of YAML."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{_scalar(key)}:", inner)
    elif isinstance(value, list) and value and not _is_short(value):
        for inner in value:
            yield from _item(inner)
    else:
        yield _scalar(value)


def _entry(head: str, inner: Any) -> Iterator[str]:
    if isinstance(inner, dict | list) and inner and not _is_short(inner):
        yield head
        yield from (f"  {line}" for line in payload_lines(inner))
    else:
        yield f"{head} {_scalar(inner)}"


def _item(inner: Any) -> Iterator[str]:
    mark = "- "
    for line in payload_lines(inner):
        yield f"{mark}{line}"
        mark = "  "


def _is_short(value: Any) -> bool:
    """Whether `value` fits on a line as it is."""
    parts = value.values() if isinstance(value, dict) else value
    return not any(isinstance(part, dict | list) for part in parts) and len(_scalar(value)) <= 60


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    import json

    return visible(json.dumps(value, ensure_ascii=False))


def fold(line: str, width: int | None) -> Iterator[str]:
    """`line` in pieces of at most `width` columns, continued under its own indentation; whole without a width.

    It is folded between words, else between the segments of chains and paths, else inside of them.
    """
    if width is None or columns(line) <= width:
        yield line
        return
    lead = len(line) - len(line.lstrip(_BRANCHES))
    indent = line[:lead][: width * 2 // 3].translate(_BELOW)
    at, prefix, room = 0, "", width
    while at < len(line):
        end = _end_of_piece(line, at, max(at, lead), room)
        yield f"{prefix}{line[at:end].rstrip()}"
        at, prefix, room = end, indent, width - len(indent)
        while line.startswith(" ", at):
            at += 1


def least_columns(line: str, kinds: int | None = None) -> int:
    """How many columns `fold` needs to fold `line` only between words (1), words and segments (2), or at any joint."""
    lead = len(line) - len(line.lstrip(_BRANCHES))
    ends = sorted({match.end() for joint in _JOINTS[:kinds] for match in joint.finditer(line, lead)} | {len(line)})
    return lead + max(columns(line[begin:end].strip()) for begin, end in zip([lead, *ends], ends, strict=False))


def _end_of_piece(line: str, start: int, first: int, room: int) -> int:
    """Where the piece ends that starts at `start`: within `room`, with something from `first` on."""
    end = _reach(line, start, room)
    if end == len(line):
        return end
    for joint in _JOINTS:
        last = max((match.end() for match in joint.finditer(line, first, end + 1) if match.end() <= end), default=0)
        if line[first:last].strip():
            return last
    escape = line.rfind("%", max(end - 2, first + 1), end)
    return escape if escape > 0 else end


def _reach(line: str, start: int, room: int) -> int:
    """The end of what fits into `room` columns from `start` on; one character at least."""
    if line.isascii():
        return min(len(line), start + room)
    used = 0
    for index in range(start, len(line)):
        used += _columns_of(line[index])
        if used > room and index > start:
            return index
    return len(line)


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes: two for a wide character, none for one that joins the one before."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def number(count: int) -> str:
    """`12 345` for people."""
    return f"{count:,}".replace(",", " ")


def counted(count: int, one: str, many: str = "") -> str:
    """`1 fault`, `2 faults`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def size(count: int) -> str:
    """Bytes for people: `812 B`, `1.3 MiB`."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1023.5 or unit == "GiB":
            return f"{amount:.{0 if amount >= 99.95 else 1}f} {unit}"
    raise AssertionError("unreachable")
