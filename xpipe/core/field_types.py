"""The types of the fields of a payload class, as msgspec reads their annotations."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Union, get_origin

import msgspec
from msgspec import inspect as kinds

RECORDS = (kinds.StructType, kinds.DataclassType, kinds.TypedDictType, kinds.NamedTupleType)
"""The types that have fields."""
CONTAINERS: dict[type, type] = {
    kinds.ListType: list,
    kinds.SetType: set,
    kinds.FrozenSetType: frozenset,
    kinds.VarTupleType: tuple,
    kinds.TupleType: tuple,
    kinds.DictType: dict,
}
"""Container types without fields, and how to build their annotations."""

_PLAIN: dict[str, Any] = {
    "AnyType": Any,
    "NoneType": None,
    "BoolType": bool,
    "IntType": int,
    "FloatType": float,
    "StrType": str,
    "BytesType": bytes,
    "ByteArrayType": bytearray,
    "MemoryViewType": memoryview,
    "DateTimeType": datetime.datetime,
    "TimeType": datetime.time,
    "DateType": datetime.date,
    "TimeDeltaType": datetime.timedelta,
    "UUIDType": uuid.UUID,
    "DecimalType": decimal.Decimal,
    "ExtType": msgspec.msgpack.Ext,
    "RawType": msgspec.Raw,
    "UnsetType": msgspec.UnsetType,
}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
_encode = msgspec.msgpack.Encoder().encode


def field_types(cls: Any) -> kinds.Type:
    """The description of `cls`, whose fields msgspec finds from now on whatever their names are.

    Raises TypeError or NameError, or whatever evaluating the annotations raises, if `cls` cannot be decoded.
    """
    info = kinds.type_info(cls)
    for one in types_in(info):
        if isinstance(one, kinds.StructType):
            _encode(one.tag_field)
        elif isinstance(one, RECORDS):
            _cache_names(one)
    return info


def _cache_names(record: Any) -> None:
    """Encode the names of the fields of `record`.

    msgspec compares a key with the UTF-8 form that a name caches when it is first encoded, and without one (names
    beyond ASCII) it takes the field for missing. The cache belongs to the object: these are the class's own.
    """
    own = getattr(class_of(record), "__dataclass_fields__", {})
    for field in record.fields:
        _encode([field.name, field.encode_name, own[field.name].name if field.name in own else None])


def class_of(record: Any) -> type:
    """The class of a type with fields; for a parametrised generic the class itself."""
    return get_origin(record.cls) or record.cls  # type: ignore[no-any-return]  # a class either way


def late_fields(record: Any) -> set[str]:
    """The fields of a dataclass that its `__init__` does not set: an instance may be without them."""
    own = getattr(class_of(record), "__dataclass_fields__", {})
    return {one.name for one in record.fields if one.required and one.name in own and not own[one.name].init}


def types_in(info: Any) -> Iterator[kinds.Type]:
    """`info` and all types inside it; recursive classes are visited once."""
    return _types_in(info, set())


def _types_in(info: Any, seen: set[Any]) -> Iterator[kinds.Type]:
    if isinstance(info, tuple | list):
        for one in info:
            yield from _types_in(one, seen)
    elif isinstance(info, kinds.Type | kinds.Field):
        cls = getattr(info, "cls", None)
        if cls is not None:
            if cls in seen:
                return
            seen.add(cls)
        if isinstance(info, kinds.Type):
            yield info
        for name in info.__struct_fields__:
            yield from _types_in(getattr(info, name), seen)


def annotation_of(info: Any, record: Callable[[Any], Any]) -> Any:
    """The annotation that `info` describes; `record` says what stands for a type with fields."""
    kind = type(info).__name__
    if kind in _PLAIN:
        return _bounded(_PLAIN[kind], info)
    match info:
        case kinds.StructType() | kinds.DataclassType() | kinds.TypedDictType() | kinds.NamedTupleType():
            return record(info)
        case kinds.Metadata():
            return annotation_of(info.type, record)
        case kinds.UnionType():
            return Union[tuple(annotation_of(one, record) for one in info.types)]  # noqa: UP007  made of a tuple
        case kinds.LiteralType():
            return Literal[info.values]
        case kinds.ListType():
            found: Any = list[annotation_of(info.item_type, record)]  # type: ignore[misc]  # made at run time
        case kinds.SetType():
            found = set[annotation_of(info.item_type, record)]  # type: ignore[misc]
        case kinds.FrozenSetType():
            found = frozenset[annotation_of(info.item_type, record)]  # type: ignore[misc]
        case kinds.VarTupleType():
            found = tuple[annotation_of(info.item_type, record), ...]  # type: ignore[misc]
        case kinds.TupleType():
            return tuple[tuple(annotation_of(one, record) for one in info.item_types)]  # type: ignore[misc]
        case kinds.DictType():
            found = dict[annotation_of(info.key_type, record), annotation_of(info.value_type, record)]  # type: ignore[misc]
        case _:
            return info.cls
    return _bounded(found, info)


def _bounded(annotation: Any, info: Any) -> Any:
    bounds = {name: value for name in _BOUNDS if (value := getattr(info, name, None)) is not None}
    return Annotated[annotation, msgspec.Meta(**bounds)] if bounds else annotation
