"""Stored payloads as plain data, decoded without the user's classes: nothing but data can come of it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from xpipe.core.payloads import BufferComplete, BufferStart, Items, SequenceComplete, SequenceStart

_HOLDS_PAYLOADS = frozenset(
    cls.__name__ for cls in (BufferStart, Items, BufferComplete, SequenceStart, SequenceComplete)
)


class Undecodable(Exception):
    """Stored bytes that are no payload; the text says why."""


def is_utf8(text: str) -> bool:
    """Whether `text`, which may come from the command line, can be stored at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_payload(type: str, data: bytes) -> Any:
    """The payload of the type `type` in `data` as JSON would hold it. Raises Undecodable."""
    try:
        return _plain(msgspec.msgpack.decode(data), type in _HOLDS_PAYLOADS)
    except RecursionError:
        raise Undecodable("the payload is nested too deeply to be shown") from None
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Undecodable(f"the payload is damaged: {error}") from None


def _plain(value: Any, packed: bool) -> Any:
    """`packed`: a pair of a name and bytes is a payload inside a payload."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _without_literal(value)
    if isinstance(value, list):
        if packed and _is_payload(value):
            return {"type": value[0], "payload": plain_payload(*value)}
        return [_plain(item, packed) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, packed) for key, item in value.items()}
    return _text(value)


def _without_literal(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _is_payload(value: list[Any]) -> bool:
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], bytes)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(_plain(key, packed=False))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value.data).decode() if isinstance(value, msgspec.msgpack.Ext) else str(value)
