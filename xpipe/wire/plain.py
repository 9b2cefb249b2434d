"""Plain data from outside -> checked plain data -> payload."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.field_types import annotation_of
from xpipe.wire.branches import noun_of, plain_choice
from xpipe.wire.jsonable import FLOAT_MARK
from xpipe.wire.misfit import MISSING, Key, Misfit, shorten, shown, unknown_field
from xpipe.wire.scalars import is_kind, parse
from xpipe.wire.shapes import ANYTHING, Choice, Embedded, Fixed, Listing, OneOf, Record, Scalar, Shape, Table
from xpipe.wire.shaping import shape_of

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def finish(shape: Record, plain: Any) -> Any:
    """The payload of `shape` in the checked `plain`; runs its `__post_init__`. Raises Misfit."""
    try:
        return msgspec.convert(plain, shape.cls)
    except msgspec.ValidationError as error:
        reason, place = _parted(str(error))
        steps = [name or (int(index) if index else Key("...")) for name, index in _STEP.findall(place)]
        raise Misfit(_plainly(reason), *steps) from None
    except Misfit:
        raise
    except Exception as error:  # whatever a __post_init__ of the user's raises is about the document
        raise Misfit(f"{type(error).__name__}: {error}") from None


def _parted(text: str) -> tuple[str, str]:
    """The reason that msgspec gives, and the path that it names at the end."""
    reason, _, place = text.rpartition(" - at `")
    place = place.removeprefix("key in ")
    return (reason, place[1:-1]) if place.startswith("$") and place.endswith("`") else (text, "")


def close(shape: Record, values: dict[str, Any]) -> Any:
    """The plain form of a record whose fields are `values`, as msgspec wants it. Raises Misfit for a missing field."""
    for field in shape.fields.values():
        if field.required and field.name not in values:
            raise Misfit(MISSING, field.name)
    if any(field.late and field.name not in values for field in shape.fields.values()):
        return _construct(shape, values)
    if shape.array_like:
        return _as_array(shape, values)
    return values if shape.tag_field is None else {shape.tag_field: shape.tag, **values}


def _construct(shape: Record, values: dict[str, Any]) -> Any:
    """An instance made by its own `__init__`: its `__post_init__` fills fields that msgspec would ask for."""
    known: dict[str, Any] = {field.name: field for field in dataclasses.fields(shape.cls)}
    try:
        return shape.cls(
            **{
                name: msgspec.convert(value, annotation_of(shape.fields[name].info.type, lambda record: record.cls))
                for name, value in values.items()
                if known[name].init
            }
        )
    except Exception as error:  # whatever a __post_init__ of the user's raises is about the document
        raise Misfit(_plainly(str(error))) from None


def _as_array(shape: Record, values: dict[str, Any]) -> list[Any]:
    array: list[Any] = [] if shape.tag_field is None else [shape.tag]
    for name, field in shape.fields.items():
        factory = field.info.default_factory
        fallback = field.info.default if factory is msgspec.NODEFAULT else factory()
        array.append(values.get(name, fallback))
    return array


def _plainly(reason: str) -> str:
    return reason[:1].lower() + reason[1:] if reason.startswith(("Expected ", "Invalid ")) else reason


class Lifter:
    """Checks plain data against shapes, giving plain data that msgspec converts without loss. Raises Misfit."""

    def __init__(self, types: PayloadTypes) -> None:
        self._types = types

    def lift(self, shape: Shape, value: Any) -> Any:
        if shape is ANYTHING:
            return _anything(value)
        return _LIFTERS[type(shape)](self, shape, value)

    def payload(self, shape: Record, value: Any) -> Any:
        """The payload of `shape` in `value`."""
        return finish(shape, self.record(shape, value))

    def record(self, shape: Record, value: Any) -> Any:
        if type(value) is shape.cls:
            return value
        if shape.array_like and isinstance(value, list):
            value = self._named(shape, value)
        if not isinstance(value, Mapping):
            raise Misfit(f"{shown(value)} is not a mapping of the fields of {shape.cls.__name__}")
        values: dict[str, Any] = {}
        for name, part in value.items():
            field = shape.fields.get(name)
            if field is not None:
                values[name] = self._part(field.shape, part, name)
            elif name != shape.tag_field:
                raise unknown_field(str(name), shape.fields)
            elif part != shape.tag:
                raise Misfit(f"{shown(part)} is not {shown(shape.tag)}", name)
        return close(shape, values)

    def _named(self, shape: Record, value: list[Any]) -> dict[str, Any]:
        names = [*([] if shape.tag_field is None else [shape.tag_field]), *shape.fields]
        if len(value) > len(names):
            raise Misfit(f"a list of {len(value)} is longer than the {len(names)} fields of {shape.cls.__name__}")
        return dict(zip(names, value, strict=False))

    def scalar(self, shape: Scalar, value: Any) -> Any:
        kind = shape.kind
        if kind == "float":
            return _lift_float(value)
        if is_kind(kind, value):
            return value
        if isinstance(value, str) and kind not in ("int", "bool"):
            return _parsed(kind, value)
        if kind == "decimal" and isinstance(value, int | float) and not isinstance(value, bool):
            return _parsed(kind, str(value))
        raise Misfit(f"{shown(value)} is not {noun_of(shape)}")

    def choice(self, shape: Choice, value: Any) -> Any:
        return plain_choice(shape, value)

    def listing(self, shape: Listing, value: Any) -> Any:
        if not isinstance(value, list | tuple | set | frozenset):
            raise Misfit(f"{shown(value)} is not a list")
        return [self._part(shape.item, item, index) for index, item in enumerate(value)]

    def fixed(self, shape: Fixed, value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(shape.items):
            raise Misfit(f"{shown(value)} is not a list of {len(shape.items)}")
        return [self._part(*pair, index) for index, pair in enumerate(zip(shape.items, value, strict=True))]

    def table(self, shape: Table, value: Any) -> Any:
        if isinstance(value, list) and not isinstance(shape.key, Scalar | Choice):
            return self._pairs(shape, value)
        if not isinstance(value, Mapping):
            raise Misfit(f"{shown(value)} is not a mapping")
        table: dict[Any, Any] = {}
        for raw, one in value.items():
            key = self._key(shape.key, raw)
            if key in table:
                raise Misfit("the key is given twice", Key(raw))
            table[key] = self._part(shape.value, one, Key(raw))
        return table

    def _pairs(self, shape: Table, value: list[Any]) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        for index, pair in enumerate(value):
            if not isinstance(pair, list) or len(pair) != 2:
                raise Misfit(f"{shown(pair)} is not a pair of a key and a value", index)
            key = as_key(shape.key, self._part(shape.key, pair[0], index))
            if key in table:
                raise Misfit("the key is given twice", index)
            table[key] = self._part(shape.value, pair[1], index)
        return table

    def one_of(self, shape: OneOf, value: Any) -> Any:
        if value is None and (shape.nullable or not shape.branches):
            return None
        if len(shape.branches) > 1:
            return self._branch(shape, value)
        for branch in shape.branches.values():
            return self.lift(branch, value)
        raise Misfit(f"{shown(value)} is not None")

    def _branch(self, shape: OneOf, value: Any) -> Any:
        misfits = []
        marked = isinstance(value, dict) and len(value) == 1 and FLOAT_MARK in value and "float" in shape.branches
        if marked and value[FLOAT_MARK] in _NUMBERS:
            return _NUMBERS[value[FLOAT_MARK]]
        for branch in _in_question(shape, value):
            try:
                return self.lift(branch, value)
            except Misfit as misfit:
                misfits.append(misfit)
        if len(misfits) == 1:
            raise misfits[0]
        raise Misfit(f"{shown(value)} is not {noun_of(shape)}")

    def embedded(self, shape: Embedded, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, dict) and set(value) == {"type", "payload"} and isinstance(value["type"], str):
            try:
                return self._named_payload(value["type"], value["payload"])
            except Misfit:
                if not shape.addressed:
                    raise
        if isinstance(value, dict) or type(value) in self._types:
            return value
        raise Misfit(f"{shown(value)} is no payload; give a mapping, or XML or JSON text")

    def _named_payload(self, name: str, value: Any) -> Any:
        try:
            shape = shape_of(self._types.class_of(name))
        except PayloadError as error:
            raise Misfit(str(error), "type", code=error.code) from None
        try:
            return self.payload(shape, value)
        except Misfit as misfit:
            raise misfit.under("payload") from None

    def _key(self, shape: Shape, raw: Any) -> Any:
        try:
            if isinstance(raw, str) and isinstance(shape, Scalar | Choice) and shape.kind != "str":
                return self.lift(shape, _parsed(shape.kind, raw) if not _is_text_choice(shape) else raw)
            return as_key(shape, self.lift(shape, raw))
        except Misfit as misfit:
            raise Misfit(f"the key {misfit.reason}", Key(raw)) from None

    def _part(self, shape: Shape, value: Any, step: Any) -> Any:
        try:
            return self.lift(shape, value)
        except Misfit as misfit:
            raise misfit.under(step if not isinstance(step, str) else shorten(step)) from None


def _is_text_choice(shape: Shape) -> bool:
    return isinstance(shape, Choice) and shape.kind == "str"


def as_key(shape: Shape, value: Any) -> Any:
    """The plain `value` of `shape` fit to be a key: a list becomes a tuple, and the fields of a class an instance."""
    if isinstance(shape, Record):
        return finish(shape, value)
    if isinstance(shape, Fixed):
        return tuple(map(as_key, shape.items, value))
    if isinstance(value, list):
        return tuple(as_key(shape.item if isinstance(shape, Listing) else ANYTHING, item) for item in value)
    if isinstance(value, dict):
        raise Misfit(f"{shown(value)} cannot be a key")
    return value


def _lift_float(value: Any) -> float:
    if isinstance(value, str) and value in _NUMBERS:
        return _NUMBERS[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise Misfit(f"{shown(value)} is not a number")


def _parsed(kind: str, text: str) -> Any:
    try:
        return parse(kind, text)
    except ValueError as error:
        raise Misfit(str(error)) from None


def _in_question(shape: OneOf, value: Any) -> list[Shape]:
    """The branches worth trying: a mapping picks a record by its tag, a list a list; ints before floats."""
    if isinstance(value, Mapping):
        return _containers(shape, value)
    if isinstance(value, list | tuple | set | frozenset):
        return [one for one in shape.branches.values() if isinstance(one, Listing | Fixed) or _is_array(one)]
    plain = [branch for branch in shape.branches.values() if isinstance(branch, Scalar | Choice)]
    own = [branch for branch in plain if isinstance(branch, Scalar) and is_kind(branch.kind, value)]
    text = isinstance(value, str)
    rest = [branch for branch in plain if branch not in own and (not text or getattr(branch, "kind", "") != "float")]
    records = [branch for branch in shape.branches.values() if isinstance(branch, Record)]
    return [*own, *rest, *[one for one in records if type(value) is one.cls]]


def _is_array(shape: Shape) -> bool:
    return isinstance(shape, Record) and shape.array_like


def _containers(shape: OneOf, value: Mapping[Any, Any]) -> list[Shape]:
    tables: list[Shape] = [branch for branch in shape.branches.values() if isinstance(branch, Table)]
    records = [branch for branch in shape.branches.values() if isinstance(branch, Record)]
    records = [record for record in records if not record.array_like] or records
    if len(records) < 2:
        return [*records, *tables]
    field = records[0].tag_field or "type"
    tags = {record.tag: record for record in records}
    if field not in value:
        raise Misfit(f"is missing; it says which of {', '.join(map(str, tags))} this is", field)
    if not isinstance(value[field], str | int) or value[field] not in tags:
        raise Misfit(f"{shown(value[field])} is not one of {', '.join(map(shown, tags))}", field)
    return [tags[value[field]]]


def _anything(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and value.get(FLOAT_MARK) in _NUMBERS:
            return _NUMBERS[value[FLOAT_MARK]]
        return {key: _anything(one) for key, one in value.items()}
    return [_anything(item) for item in value] if isinstance(value, list) else value


_LIFTERS: dict[type, Callable[[Lifter, Any, Any], Any]] = {
    Record: Lifter.record,
    Scalar: Lifter.scalar,
    Choice: Lifter.choice,
    Listing: Lifter.listing,
    Fixed: Lifter.fixed,
    Table: Lifter.table,
    OneOf: Lifter.one_of,
    Embedded: Lifter.embedded,
}
