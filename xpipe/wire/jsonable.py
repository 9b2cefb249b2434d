"""Payload -> plain data that JSON can carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from xpipe.core.codec import PayloadTypes, is_payload_class
from xpipe.core.errors import PayloadError
from xpipe.wire.branches import branch_of, noun_of, plain_choice
from xpipe.wire.misfit import Key, Misfit, shown
from xpipe.wire.scalars import KINDS, float_text, is_kind
from xpipe.wire.shapes import (
    ANYTHING,
    Choice,
    Embedded,
    Fixed,
    Listing,
    OneOf,
    Record,
    Scalar,
    Shape,
    Table,
)
from xpipe.wire.shaping import shape_of

FLOAT_MARK = "$float"
"""`{"$float": "NaN"}` is a number JSON has no literal for, where the plain text "NaN" could also be meant as text."""

_AS_THEY_ARE = {"str", "int", "bool"}


class JsonDumper:
    """Turns payloads into plain data, each value by its shape. Raises Misfit."""

    def __init__(self, types: PayloadTypes) -> None:
        self._types = types

    def dump(self, shape: Shape, value: Any) -> Any:
        if shape is ANYTHING:
            return _anything(value)
        return _DUMPERS[type(shape)](self, shape, value)

    def record(self, shape: Record, value: Any) -> Any:
        if not shape.holds(value):
            raise Misfit(f"{shown(value)} is not {noun_of(shape)}")
        plain: dict[str, Any] = {} if shape.tag_field is None else {shape.tag_field: shape.tag}
        for field, part in shape.parts(value):
            plain[field.name] = self._part(field.shape, part, field.name)
        return list(plain.values()) if isinstance(value, tuple) else plain

    def scalar(self, shape: Scalar, value: Any) -> Any:
        kind = shape.kind
        if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            return _float(value)
        if not is_kind(kind, value):
            raise Misfit(f"{shown(value)} is not {noun_of(shape)}")
        if kind == "str":
            return _carried(value)
        return KINDS[kind].type(value) if kind in _AS_THEY_ARE else KINDS[kind].text(value)

    def listing(self, shape: Listing, value: Any) -> list[Any]:
        given: Iterable[Any] = value
        if not isinstance(given, shape.type):
            raise Misfit(f"{shown(value)} is not a {shape.type.__name__}")
        items = [self._part(shape.item, item, index) for index, item in enumerate(given)]
        return sorted(items, key=_order) if shape.type in (set, frozenset) else items

    def fixed(self, shape: Fixed, value: Any) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != len(shape.items):
            raise Misfit(f"{shown(value)} is not a tuple of {len(shape.items)}")
        return [self._part(*pair, index) for index, pair in enumerate(zip(shape.items, value, strict=True))]

    def table(self, shape: Table, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misfit(f"{shown(value)} is not a mapping")
        if not isinstance(shape.key, Scalar | Choice):  # no text stands for such a key alone: a list of pairs
            pairs = ((self._part(shape.key, key, Key(key)), key, one) for key, one in value.items())
            return [[key, self._part(shape.value, one, Key(raw))] for key, raw, one in pairs]
        return {
            self._key(shape.key, key): self._part(shape.value, one, Key(key)) for key, one in value.items()
        }  # fmt: skip

    def one_of(self, shape: OneOf, value: Any) -> Any:
        if value is None and shape.nullable:
            return None
        label, branch = branch_of(shape, value)
        if label == "float" and len(shape.branches) > 1 and not math.isfinite(value):
            return {FLOAT_MARK: _float(value)}
        return self.dump(branch, value)

    def embedded(self, _: Embedded, value: Any) -> Any:
        if value is None or isinstance(value, str | dict):
            return _anything(value)
        if not is_payload_class(type(value)):
            raise Misfit(f"{shown(value)} is no payload")
        return {"type": self._types.name_of(type(value)), "payload": self.dump(shape_of(type(value)), value)}

    def _key(self, shape: Scalar | Choice, key: Any) -> str:
        plain = self._part(shape, key, Key(key))
        kind = shape.kind
        return plain if isinstance(plain, str) else KINDS[kind].text(plain)

    def _part(self, shape: Shape, value: Any, step: Any) -> Any:
        try:
            return self.dump(shape, value)
        except Misfit as misfit:
            raise misfit.under(step) from None


def _float(value: float) -> float | str:
    try:
        number = float(value)
    except OverflowError:
        raise Misfit(f"{shown(value)} is too large for a number") from None
    return number if math.isfinite(number) else float_text(number, "Infinity")


def _carried(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Misfit(f"{shown(text)} has a lone surrogate, which is no text ({error.reason})") from None
    return str(text)


def _order(item: Any) -> tuple[str, Any]:
    return (type(item).__name__, item) if isinstance(item, str | int | float) else ("", repr(item))


def _anything(value: Any) -> Any:
    """`value`, of no declared type, with what JSON lacks replaced."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _carried(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {FLOAT_MARK: _float(value)}
    if isinstance(value, dict):
        return {_plain_key(key): _within(one, Key(key)) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_within(item, index) for index, item in enumerate(value)]
    try:
        return msgspec.to_builtins(value)
    except TypeError as error:
        raise Misfit(f"{shown(value)} cannot travel as JSON: {error}") from None


def _plain_key(key: Any) -> str:
    if isinstance(key, str):
        return _carried(key)
    keys: Iterable[str] = msgspec.to_builtins({key: None}, str_keys=True)
    return next(iter(keys))


def _within(value: Any, step: Any) -> Any:
    try:
        return _anything(value)
    except Misfit as misfit:
        raise misfit.under(step) from None


def _choice(_: JsonDumper, shape: Choice, value: Any) -> Any:
    plain = plain_choice(shape, value)
    return _carried(plain) if isinstance(plain, str) else KINDS[shape.kind].type(plain)


_DUMPERS: dict[type, Callable[[JsonDumper, Any, Any], Any]] = {
    Record: JsonDumper.record,
    Scalar: JsonDumper.scalar,
    Choice: _choice,
    Listing: JsonDumper.listing,
    Fixed: JsonDumper.fixed,
    Table: JsonDumper.table,
    OneOf: JsonDumper.one_of,
    Embedded: JsonDumper.embedded,
}


def dump(payload: Any, types: PayloadTypes) -> Any:
    """`payload` as plain data. Raises PayloadError naming the field that JSON cannot carry."""
    cls = type(payload)
    try:
        return JsonDumper(types).record(shape_of(cls), payload)
    except Misfit as misfit:
        raise PayloadError(misfit.text(cls.__name__), misfit.code) from None
    except RecursionError:
        raise PayloadError(f"{cls.__name__} is nested too deeply to be written") from None
