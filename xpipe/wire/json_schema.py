"""JSON Schema of payload classes, and an example of what fits it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from enum import Flag
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as kinds

from xpipe.core.errors import PayloadError
from xpipe.core.field_types import class_of, field_types, late_fields, types_in

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEEPEST = 4
"""Levels of an example; what is nested deeper is left out, so that a class that contains itself comes to an end."""
_VALUES: dict[type[kinds.Type], Any] = {
    kinds.StrType: "text",
    kinds.IntType: 1,
    kinds.FloatType: 1.5,
    kinds.BoolType: True,
    kinds.NoneType: None,
    kinds.BytesType: "",
    kinds.ByteArrayType: "",
    kinds.DateTimeType: "2026-01-31T12:00:00Z",
    kinds.DateType: "2026-01-31",
    kinds.TimeType: "12:00:00",
    kinds.TimeDeltaType: "PT1H",
    kinds.UUIDType: "00000000-0000-4000-8000-000000000000",
    kinds.DecimalType: "1.5",
    kinds.AnyType: "anything",
    kinds.RawType: "anything",
}


def json_schema(cls: type) -> dict[str, Any] | None:
    """The JSON Schema (2020-12) of the payload class `cls`; None if it has fields that JSON Schema cannot express."""
    try:
        schema = msgspec.json.schema(cls, schema_hook=_schema_of_custom)
    except (TypeError, NameError, NotImplementedError):
        return None
    _amend(schema, [cls])
    return schema


def json_schemas(classes: Iterable[type]) -> tuple[list[Schema], dict[str, Schema]]:
    """A reference for each of `classes`, and what they refer to in `#/$defs/`; objects have no unknown fields.

    They say what comes in and goes out as JSON, but for numbers that are not finite, mappings whose keys are no text,
    and Structs that are arrays elsewhere. Raises PayloadError for fields that JSON Schema cannot express.
    """
    chosen = list(classes)
    try:
        references, definitions = msgspec.json.schema_components(
            chosen, schema_hook=_schema_of_custom, ref_template="#/$defs/{name}"
        )
    except (TypeError, NameError, NotImplementedError) as error:
        names = ", ".join(cls.__name__ for cls in chosen)
        raise PayloadError(f"JSON Schema cannot express {names}: {error}") from None
    _amend(definitions, chosen)
    for part in objects_in(definitions):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
        if part.get("format") == "decimal":
            part["type"] = ["string", "number"]
        if isinstance(part.get("description"), str):
            part["description"] = inspect.cleandoc(part["description"])
    return list(references), definitions


def _schema_of_custom(cls: type) -> Schema:
    if cls is not object:
        raise NotImplementedError(f"{cls.__name__} is no data type")
    return {"description": "any value"}


def _amend(schema: Any, classes: Iterable[type]) -> None:
    """Say in `schema` what msgspec does not: sums of flags are values, too, and `__post_init__` fills fields."""
    types = list(types_in(tuple(map(field_types, classes))))
    flags = {one.cls.__name__ for one in types if isinstance(one, kinds.EnumType) and issubclass(one.cls, Flag)}
    late = {class_of(one).__name__: late_fields(one) for one in types if isinstance(one, kinds.DataclassType)}
    for part in objects_in(schema):
        title = str(part.get("title", "")).partition("[")[0]
        if "enum" in part and title in flags:
            part["type"] = "integer"
            part["description"] = f"the sum of any of {', '.join(map(str, part.pop('enum')))}"
        elif "required" in part and late.get(title):
            part["required"] = [name for name in part["required"] if name not in late[title]]


def objects_in(schema: Any) -> Iterator[Schema]:
    """All objects in a JSON Schema, itself included."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from objects_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects_in(value)


def example(cls: type) -> Any:
    """A payload of `cls` as JSON has it, with its defaults where there are any."""
    return _example(kinds.type_info(cls), DEEPEST)


def _example(kind: kinds.Type, depth: int) -> Any:
    match kind:
        case kinds.Metadata():
            return _example(kind.type, depth)
        case kinds.StructType() | kinds.DataclassType() | kinds.TypedDictType() | kinds.NamedTupleType():
            fields = [one for one in kind.fields if one.required or (depth > 0 and _has_default(one))]
            return {one.encode_name: _field(one, depth) for one in fields}
        case kinds.ListType() | kinds.SetType() | kinds.FrozenSetType() | kinds.CollectionType() | kinds.VarTupleType():
            return [_example(kind.item_type, depth - 1)] if depth > 0 else []
        case kinds.TupleType():
            return [_example(one, depth - 1) for one in kind.item_types]
        case kinds.DictType():
            return {}
        case kinds.UnionType():
            return _example(_branch(kind, depth), depth)
        case kinds.LiteralType():
            return kind.values[0]
        case kinds.EnumType():
            return next(iter(kind.cls)).value
    return _VALUES.get(type(kind), "anything")


def _has_default(field: kinds.Field) -> bool:
    return field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT


def _field(field: kinds.Field, depth: int) -> Any:
    if field.required:
        return _example(field.type, depth - 1)
    if field.default is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default)
    made = field.default_factory()
    return msgspec.to_builtins(made) if dataclasses.is_dataclass(made) or isinstance(made, msgspec.Struct) else made


def _branch(union: kinds.UnionType, depth: int) -> kinds.Type:
    nothing = [one for one in union.types if isinstance(one, kinds.NoneType)]
    return nothing[0] if nothing and depth <= 0 else next(one for one in union.types if one not in nothing)
