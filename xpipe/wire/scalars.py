"""Plain values as text and back: one form for XML and JSON, lossless for every value."""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL = re.compile(rf"{_NUMBER.pattern}|[+-]?Infinity|[+-]?s?NaN[0-9]*")
_SECOND_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_NON_FINITE = {
    "NaN": math.nan,
    "INF": math.inf,
    "+INF": math.inf,
    "-INF": -math.inf,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one plain type is written. `noun` names it in errors; `parse` raises ValueError; `xsd` is its XSD base."""

    type: type
    noun: str
    text: Callable[[Any], str]
    parse: Callable[[str], Any]
    xsd: str
    pattern: str = ""


def _parse_int(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _parse_float(text: str) -> float:
    if text in _NON_FINITE:
        return _NON_FINITE[text]
    if not _NUMBER.fullmatch(text) or math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def float_text(value: float, infinity: str = "INF") -> str:
    """`value` as text; `infinity` is the word for it: `INF` in XML, `Infinity` in JSON."""
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else infinity if value > 0 else f"-{infinity}"


def _parse_bool(text: str) -> bool:
    try:
        return _BOOLS[text]
    except KeyError:
        raise ValueError(text) from None


def _parse_bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def _parse_decimal(text: str) -> decimal.Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation as error:
        raise ValueError(text) from error


def _parse_moment(cls: Any) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if _SECOND_OFFSET.search(text):  # RFC 3339, and so msgspec, has no seconds in an offset
            return cls.fromisoformat(text)
        return msgspec.convert(text, cls)

    return parse


def _text_by_msgspec(value: Any) -> str:
    text: str = msgspec.to_builtins(value)
    return text


def _parse_by_msgspec(cls: type) -> Callable[[str], Any]:
    return lambda text: msgspec.convert(text, cls)


def _isoformat(value: Any) -> str:
    text: str = value.isoformat()
    return text


_ZONE = r"(Z|[+\-][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
_CLOCK = rf"[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]+)?{_ZONE}"
_HEX = "[0-9a-fA-F]"

KINDS: dict[str, Kind] = {
    "bool": Kind(bool, "true or false", lambda value: "true" if value else "false", _parse_bool, "xs:boolean"),
    "int": Kind(int, "an integer", str, _parse_int, "xs:token", r"[+\-]?[0-9]+"),
    "float": Kind(float, "a number", float_text, _parse_float, "xs:double"),
    "str": Kind(str, "text", str, str, "xs:string"),
    "bytes": Kind(bytes, "base64", lambda value: base64.b64encode(value).decode(), _parse_bytes, "xs:base64Binary"),
    "decimal": Kind(decimal.Decimal, "a decimal number", str, _parse_decimal, "xs:token"),
    "datetime": Kind(
        datetime.datetime,
        "a date and time such as 2026-01-31T12:00:00Z",
        _isoformat,
        _parse_moment(datetime.datetime),
        "xs:token",
        rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}",
    ),
    "date": Kind(datetime.date, "a date such as 2026-01-31", _isoformat, _parse_by_msgspec(datetime.date), "xs:date"),
    "time": Kind(
        datetime.time, "a time such as 12:00:00", _isoformat, _parse_moment(datetime.time), "xs:token", _CLOCK
    ),
    "timedelta": Kind(
        datetime.timedelta,
        "a duration such as P1DT2.5S",
        _text_by_msgspec,
        _parse_by_msgspec(datetime.timedelta),
        "xs:duration",
    ),
    "uuid": Kind(
        uuid.UUID,
        "a UUID",
        str,
        _parse_by_msgspec(uuid.UUID),
        "xs:token",
        f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}",
    ),
}
"""The plain types by kind, in the order in which a text without a label is tried."""


def parse(kind: str, text: str) -> Any:
    """The value of `kind` that `text` stands for. Raises ValueError with a sentence."""
    rule = KINDS[kind]
    try:
        return rule.parse(text)
    except (ValueError, OverflowError, msgspec.ValidationError):
        from xpipe.wire.misfit import shown

        long = " (it is too long)" if kind == "int" and _INTEGER.fullmatch(text) else ""
        raise ValueError(f"{shown(text)} is not {rule.noun}{long}") from None


def is_kind(kind: str, value: object) -> bool:
    """Whether `value` is exactly of `kind`: True is no int, a datetime is no date."""
    cls = KINDS[kind].type
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "bytes":
        return isinstance(value, bytes | bytearray)
    if kind == "date":
        return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return isinstance(value, cls)
