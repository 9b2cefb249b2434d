"""The kinds of values that keys of organism.yaml take: what they are called, their JSON Schema, how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xpipe.config.nodes import ListNode, MapNode, Node, ScalarNode, data_of, is_unknown
from xpipe.core.durations import LONGEST_DURATION, parse_duration, shortest_duration

SHORTEST_TTL = 30
"""In seconds. What is alive is renewed every few seconds, and must not expire before."""
LARGEST_NUMBER = 2**53
_MOST_ITEMS = 10**15 - 1
_MEANT = {
    **dict.fromkeys(("yes", "y", "on", "1"), "true"),
    **dict.fromkeys(("no", "n", "off", "0"), "false"),
}
"""What people mean by these; YAML 1.2 takes them for text or numbers."""
_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", re.ASCII)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(B|[kK]B|[kK]iB|MB|MiB|GB|GiB)", re.ASCII)
_REDIS_URL = re.compile(r"(redis|rediss|unix)://", re.IGNORECASE)
_LARGE = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_UNITS = {"b": 1, "kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20, "gb": 10**9, "gib": 2**30}


class Mismatch(Exception):
    """`node` is not what its key takes. `wrong_type`: not even the right sort of YAML value. `more`: other items."""

    def __init__(
        self, node: Node, wrong_type: bool, expected: str = "", hint: str = "", more: tuple[Mismatch, ...] = ()
    ) -> None:
        self.node = node
        self.more = more
        self.wrong_type = wrong_type
        self.expected = expected
        self.hint = hint
        super().__init__(expected)


@dataclass(frozen=True)
class Kind:
    """A kind of value. `expected` completes "must be ..."; `read` gives the value of a node or raises Mismatch.

    schema: what a JSON Schema can tell of it; write: a value as people write it, None if that is the value itself;
    advice: what to write, where a Mismatch has no hint of its own.
    """

    expected: str
    read: Callable[[Node], Any]
    schema: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[Any], Any] | None = None
    advice: str = ""


def text_of(node: Node) -> str:
    """The text of a scalar. That of a variable counts as it is, whatever type it looks like. Raises Mismatch."""
    if isinstance(node, ScalarNode):
        if isinstance(node.value, str):
            return node.value
        if node.varied:
            return node.text
        raise Mismatch(node, True, hint="Put it in quotes.")
    raise Mismatch(node, True, hint=_quoting(node))


def _quoting(node: Node) -> str:
    if isinstance(node, ListNode):
        return "Write one value."
    inside = ", inside those of the shell: 'PATH=\"VALUE\"'" if node.origin else ""
    return f"A colon at the end or before a space makes a mapping; put text with one in quotes{inside}."


def _filled_text(node: Node) -> str:
    text = text_of(node)
    if not text.strip():
        raise Mismatch(node, False)
    return text


def _redis_url(node: Node) -> str:
    text = _filled_text(node)
    if not _REDIS_URL.match(text):
        raise Mismatch(node, False)
    return text


def _flag(node: Node) -> bool:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, bool):
        return value
    meant = _MEANT.get(str(value).strip().lower()) if isinstance(node, ScalarNode) else None
    raise Mismatch(node, True, hint=f"Write {meant}." if meant else "")


def _texts(node: Node) -> list[str]:
    if not isinstance(node, ListNode):
        raise Mismatch(node, True)
    wrong = [mismatch for item in node.items if (mismatch := _mismatch_of_item(item))]
    if wrong:
        raise Mismatch(wrong[0].node, wrong[0].wrong_type, wrong[0].expected, wrong[0].hint, tuple(wrong[1:]))
    return [text_of(item) for item in node.items]


def _mismatch_of_item(item: Node) -> Mismatch | None:
    try:
        _filled_text(item)
    except Mismatch as mismatch:
        return Mismatch(item, mismatch.wrong_type, "a list of text", mismatch.hint)
    return None


def texts_in(node: Node) -> list[tuple[Node, str]]:
    """The texts of a list, or the one text that stands for it, each with its place; what is no text is left out."""
    items = node.items if isinstance(node, ListNode) else [node]
    return [(item, text_of(item)) for item in items if not is_unknown(item) and _mismatch_of_item(item) is None]


def _text_or_texts(node: Node) -> list[str]:
    if not isinstance(node, ListNode):
        return [_filled_text(node)]
    if not node.items:
        raise Mismatch(node, False, "text or a list of at least one text")
    return _texts(node)


def _duration(node: Node) -> float:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Mismatch(node, True)
    try:
        seconds = parse_duration(value)
    except (ValueError, OverflowError):
        raise Mismatch(node, False) from None
    if seconds > LONGEST_DURATION:
        raise Mismatch(node, False, "a duration of at most 36500d", "Write a shorter one.")
    return seconds


def _time_to_live(node: Node) -> float:
    seconds = _duration(node)
    if 0 < seconds < SHORTEST_TTL:
        raise Mismatch(node, False, f"0 for never, or a duration of at least {SHORTEST_TTL}s", "Write a longer one.")
    return seconds


def _size(node: Node) -> int:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Mismatch(node, True)
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise Mismatch(node, False)
        value = int(float(match[1]) * _UNITS[match[2].lower()])
    if not 1 <= value <= LARGEST_NUMBER:
        raise Mismatch(node, False)
    return value


def _fraction(node: Node) -> float:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch(node, True)
    if not 0 <= value <= 1:
        raise Mismatch(node, False)
    return float(value)


def _share(node: Node) -> str:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, str):
        match = _PERCENTAGE.fullmatch(value.strip())
        if match is None or float(match[1]) > 100:
            raise Mismatch(node, False)
        return f"{match[1]}%"
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mismatch(node, True)
    if not 0 <= value <= _MOST_ITEMS:
        raise Mismatch(node, False)
    return str(value)


def _payload(node: Node) -> Any:
    return data_of(node) if isinstance(node, MapNode) else _filled_text(node)


def whole_number(least: int) -> Kind:
    """A whole number of at least `least`."""

    def read(node: Node) -> int:
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, bool) or not isinstance(value, int):
            raise Mismatch(node, True)
        if not least <= value <= LARGEST_NUMBER:
            raise Mismatch(node, False)
        return value

    schema = {"type": "integer", "minimum": least, "maximum": LARGEST_NUMBER}
    return Kind(f"a whole number of at least {least}", read, schema, advice=f"Write {least} or more")


def choice(*names: str) -> Kind:
    """One of `names`."""

    def read(node: Node) -> str:
        text = text_of(node)
        if text not in names:
            raise Mismatch(node, False)
        return text

    return Kind(f"{', '.join(names[:-1])} or {names[-1]}", read, {"enum": list(names)}, advice="Write one of these")


def _size_text(count: int) -> str | int:
    unit = next(unit for unit, size in _LARGE.items() if not count % size)
    return count if unit == "B" else f"{count // _LARGE[unit]}{unit}"


def _share_value(share: str) -> str | int:
    return share if share.endswith("%") else int(share)


_DURATION_TEXT = {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?\s*$"}
_SIZE_TEXT = {"type": "string", "pattern": r"^\s*[0-9]{1,15}(\.[0-9]{1,9})?\s*(B|[kK]B|[kK]iB|MB|MiB|GB|GiB)\s*$"}
_SHARE_TEXT = {"type": "string", "pattern": r"^\s*(0?[0-9]{1,2}(\.[0-9]{1,6})?|100(\.0{1,6})?)\s*%\s*$"}
_FILLED = {"type": "string", "pattern": r"\S"}
_TEXTS_SCHEMA = {"type": "array", "items": _FILLED}

_DURATION_ADVICE = "Write seconds, or a number with its unit, ms, s, m, h or d"

TEXT = Kind("text", text_of, {"type": "string"}, advice="Write text")
FILLED_TEXT = Kind("text that is not empty", _filled_text, _FILLED, advice="Write text")
REDIS_URL = Kind(
    "a URL such as redis://host:6379/0",
    _redis_url,
    {"type": "string", "pattern": "^[rR][eE][dD][iI][sS][sS]?://|^[uU][nN][iI][xX]://"},
    advice="Write redis://host:6379/0, rediss://host for TLS, or unix:///path/to/socket",
)
FLAG = Kind("true or false", _flag, {"type": "boolean"}, advice="Write one of the two without quotes")
TEXTS = Kind("a list of text", _texts, _TEXTS_SCHEMA, advice="Write [one, another]")
TEXT_OR_TEXTS = Kind(
    "text or a list of text",
    _text_or_texts,
    {"anyOf": [_FILLED, {**_TEXTS_SCHEMA, "minItems": 1}]},
    advice="Write one name, or [one, another]",
)
DURATION = Kind(
    "a duration such as 30s",
    _duration,
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": LONGEST_DURATION}, _DURATION_TEXT]},
    shortest_duration,
    _DURATION_ADVICE,
)
TIME_TO_LIVE = Kind(
    "a duration such as 30s",
    _time_to_live,
    {"anyOf": [{"const": 0}, {"type": "number", "minimum": SHORTEST_TTL, "maximum": LONGEST_DURATION}, _DURATION_TEXT]},
    shortest_duration,
    _DURATION_ADVICE,
)
SIZE = Kind(
    "a size in bytes such as 64MiB",
    _size,
    {"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}, _SIZE_TEXT]},
    _size_text,
    "Write bytes, or a number with its unit, such as kB or MiB",
)
FRACTION = Kind(
    "a number from 0 to 1", _fraction, {"type": "number", "minimum": 0, "maximum": 1}, advice="Write one such as 0.5"
)
SHARE = Kind(
    "a whole number or a percentage such as 90%",
    _share,
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": _MOST_ITEMS}, _SHARE_TEXT]},
    _share_value,
    "Write how many, or from 0% to 100%",
)
PAYLOAD = Kind(
    "a mapping, or JSON or XML text",
    _payload,
    {"anyOf": [{"type": "object"}, _FILLED]},
    advice="Write its fields with their values, as {name: Ada}",
)
