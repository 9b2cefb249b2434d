"""JSON Schema of payload classes, and an example of what fits it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as kinds

from xpipe.core.errors import PayloadError

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
        return msgspec.json.schema(cls)
    except (TypeError, NameError):
        return None


def json_schemas(classes: Iterable[type]) -> tuple[list[Schema], dict[str, Schema]]:
    """A reference for each of `classes`, and what they refer to in `#/$defs/`; objects have no unknown fields.

    They say what comes in and goes out as JSON, but for numbers that are not finite, mappings whose keys are no text,
    and Structs that are arrays elsewhere. Raises PayloadError for fields that JSON Schema cannot express.
    """
    chosen = list(classes)
    try:
        references, definitions = msgspec.json.schema_components(chosen, ref_template="#/$defs/{name}")
    except (TypeError, NameError) as error:
        names = ", ".join(cls.__name__ for cls in chosen)
        raise PayloadError(f"JSON Schema cannot express {names}: {error}") from None
    for part in objects_in(definitions):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
        if part.get("format") == "decimal":
            part["type"] = ["string", "number"]
        if isinstance(part.get("description"), str):
            part["description"] = inspect.cleandoc(part["description"])
    return list(references), definitions


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
            return {one.encode_name: _field(one, depth) for one in kind.fields if one.required or depth > 0}
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
