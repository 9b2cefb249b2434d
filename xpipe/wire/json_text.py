"""JSON text -> plain data, strictly; and where in the text a value stands."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from xpipe.wire.misfit import Misfit, Step, shorten, shown

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = re.compile(r"[ \t\n\r]*")
_scan = json.JSONDecoder()


class JsonTextError(ValueError):
    """The text is no JSON; `offset` counts characters, -1 if unknown."""

    def __init__(self, reason: str, offset: int = -1) -> None:
        super().__init__(reason)
        self.offset = offset


def decode_text(data: bytes | str) -> str:
    """`data` as text without a byte order mark. Raises JsonTextError at the first byte that is no UTF-8."""
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = len(data[: error.start].decode("utf-8-sig", "replace"))
        raise JsonTextError(f"the byte 0x{data[error.start]:02x} is no UTF-8", before) from None


def parse_json(text: str) -> Any:
    """The value in `text`. Raises JsonTextError, also for duplicate keys, NaN, deep nesting and lone surrogates."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise JsonTextError(_reason(error, text), error.pos) from None
    except UnicodeEncodeError:
        raise JsonTextError("a lone surrogate is no text", _SURROGATE.search(text).start()) from None  # type: ignore[union-attr]  # found above
    except RecursionError:
        raise JsonTextError("the values are nested too deeply") from None
    except JsonTextError:
        raise
    except ValueError:  # the interpreter's bound on the digits of an int
        raise JsonTextError("a number has too many digits; write it as text") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonTextError(f"the key {shown(key)} is given twice in one object")
            seen.add(key)
    return value


def _refuse_constant(name: str) -> Any:
    raise JsonTextError(f'{name} is no JSON; write "{name}"')


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonTextError(f"the number {shorten(text)} is too large")
    return number


def _reason(error: json.JSONDecodeError, text: str) -> str:
    if not text.strip():
        return "there is no JSON value"
    if error.pos >= len(text.rstrip()):
        return "the JSON value is not closed"
    if error.msg == "Extra data":
        return "there is something after the JSON value"
    return f"this is no JSON ({error.msg[:1].lower()}{error.msg[1:]})"


def locate(text: str, path: Sequence[Step]) -> int:
    """The offset of the value at `path`, or of the innermost one around it that is found."""
    at = _skip(text, 0)
    try:
        for step in path:
            found = _member(text, at, getattr(step, "key", step))
            if found < 0:
                break
            at = found
    except (ValueError, IndexError, RecursionError):
        pass  # it parsed once, so this is a path of another text: the place found so far will do
    return at


def _member(text: str, at: int, step: Any) -> int:
    """The offset of the member `step` of the object or array at `at`, -1 if there is none."""
    keyed = text[at] == "{"
    if not keyed and (text[at] != "[" or not isinstance(step, int)):
        return -1
    index, at = 0, _skip(text, at + 1)
    while text[at] not in "}]":
        key: Any = index
        if keyed:
            key, at = _scan.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if key == step:
            return at
        at = _skip(text, _scan.raw_decode(text, at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at
        index += 1
    return -1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def as_misfit(error: JsonTextError) -> Misfit:
    """The error as a misfit whose mark is the offset."""
    return Misfit(str(error), mark=error.offset if error.offset >= 0 else None)
