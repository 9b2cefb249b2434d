"""From annotations to shapes."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from xpipe.core.errors import PayloadError
from xpipe.core.field_types import class_of, field_types
from xpipe.core.payloads import SYSTEM_PAYLOADS, BufferItemResult, BufferStart, Items, SequenceStart
from xpipe.wire.scalars import KINDS, is_kind
from xpipe.wire.shapes import (
    ADDRESSED,
    ANYTHING,
    EMBEDDED,
    Choice,
    Embedded,
    Fixed,
    Listing,
    OneOf,
    Record,
    RecordField,
    Scalar,
    Shape,
    Table,
)

_RESERVED = {*KINDS, "list", "dict"}


_known: dict[type, Record] = {}


def shape_of(cls: type) -> Record:
    """The shape of the payload class `cls`. Raises PayloadError naming the class and what of it cannot travel."""
    shape = _known.get(cls)
    if shape is None:
        shape = _known[cls] = _shape(cls)
    return shape


def _shape(cls: type) -> Record:
    try:
        info = field_types(cls)
    except (TypeError, NameError, ValueError, AttributeError, RecursionError) as error:
        raise PayloadError(f"{cls.__name__} cannot be a payload: {error}") from None
    if not isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
        raise PayloadError(f"{cls.__name__} cannot be a payload; make it a dataclass or a msgspec Struct")
    return _Shaper().record(info)


class _Shaper:
    """Reads the shapes of one payload class and of all that it contains."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
        self._labels: set[str] = set(_RESERVED)
        self._kept: list[Any] = []  # an id stands for an object only while that is alive

    def shape(self, info: Any) -> Shape:
        kind = _SCALARS.get(type(info).__name__)
        if kind is not None:
            return Scalar(kind)
        shape = _SHAPERS.get(type(info).__name__)
        if shape is None:
            raise _Unsupported(_name_of(info))
        return shape(self, info)

    def record(self, info: Any) -> Record:
        known = self._records.get(id(info))
        if known is not None:
            return known
        self._kept.append(info)
        cls = class_of(info)
        record = Record(
            cls,
            self._label(cls.__name__),
            getattr(info, "tag_field", None),
            getattr(info, "tag", None),
            isinstance(info, msgspec.inspect.NamedTupleType) or getattr(info, "array_like", False),
        )
        self._records[id(info)] = record
        record.fields.update((field.encode_name, self._field(cls, field)) for field in info.fields)
        return record

    def union(self, info: Any) -> OneOf:
        branches: dict[str, Shape] = {}
        nullable = False
        for shape in map(self.shape, info.types):
            inner = shape if isinstance(shape, OneOf) else OneOf({_label_of(shape): shape}, False)
            nullable = nullable or inner.nullable
            for label, branch in inner.branches.items():
                if not isinstance(branch, Choice) or label not in branches:  # `str` takes what a Literal of it takes
                    branches[label] = branch
        return OneOf(branches, nullable)

    def _field(self, cls: type, field: Any) -> RecordField:
        doc, own = _doc_of(field), getattr(cls, "__dataclass_fields__", {}).get(field.name)
        try:
            shape = self.shape(field.type)
        except _Unsupported as error:
            text = f"{cls.__name__}.{field.name} cannot be sent: the type {error} is not supported"
            raise PayloadError(f"{text}; use a dataclass, a Struct or a standard type") from None
        if _holds_payloads(cls):
            shape = _embed(shape, ADDRESSED if cls in _SENT_ON else EMBEDDED)
        if own is not None:
            doc = doc or str(
                own.metadata.get("doc") or own.metadata.get("description") or getattr(own, "doc", "") or ""
            )
        late = field.required and own is not None and not own.init
        return RecordField(field.name, field.encode_name, shape, field.required and not late, late, doc, field)

    def _label(self, name: str) -> str:
        label, count = name, 1
        while label in self._labels:
            count += 1
            label = f"{name}.{count}"
        self._labels.add(label)
        return label


def _holds_payloads(cls: type) -> bool:
    return cls in SYSTEM_PAYLOADS or cls is BufferItemResult


_SENT_ON = (BufferStart, Items, SequenceStart)


def _embed(shape: Shape, embedded: Embedded) -> Shape:
    if shape is ANYTHING:
        return embedded
    if isinstance(shape, Listing) and shape.item is ANYTHING:
        return Listing(shape.type, embedded)
    return shape


def _doc_of(field: Any) -> str:
    extra = getattr(field.type, "extra_json_schema", None) or {}
    return str(extra.get("description") or extra.get("title") or "")


def class_doc(cls: type) -> str:
    """The docstring of `cls`, without the signature that `dataclass` and `NamedTuple` put in its place."""
    doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    made = dataclasses.is_dataclass(cls) or issubclass(cls, tuple)
    return "" if made and doc.startswith(f"{cls.__name__}(") else doc


def _label_of(shape: Shape) -> str:
    if isinstance(shape, Record):
        return shape.label
    if isinstance(shape, Scalar | Choice):
        return shape.kind
    return "dict" if isinstance(shape, Table) else "list"


class _Unsupported(Exception):
    """A type without a form in XML and JSON; the text is its name."""


def _name_of(info: Any) -> str:
    return str(getattr(getattr(info, "cls", None), "__name__", type(info).__name__.removesuffix("Type")))


def _custom(_: _Shaper, info: Any) -> Shape:
    if info.cls is not object:
        raise _Unsupported(_name_of(info))
    return ANYTHING


def _literal(_: _Shaper, info: Any) -> Shape:
    branches: dict[str, Shape] = {}
    for kind in ("bool", "int", "str"):
        values = tuple(value for value in info.values if is_kind(kind, value))
        if values:
            branches[kind] = Choice(kind, values)
    nullable = None in info.values
    return next(iter(branches.values())) if len(branches) == 1 and not nullable else OneOf(branches, nullable)


def _enum(_: _Shaper, info: Any) -> Shape:
    values = tuple(member.value for member in info.cls)
    kind = "int" if all(isinstance(value, int) for value in values) else "str"
    return Choice(kind, values, info.cls, issubclass(info.cls, enum.Flag))


def _listing(cls: type) -> Callable[[_Shaper, Any], Shape]:
    return lambda shaper, info: Listing(cls, shaper.shape(info.item_type))


_SCALARS = {
    "StrType": "str",
    "IntType": "int",
    "FloatType": "float",
    "BoolType": "bool",
    "BytesType": "bytes",
    "ByteArrayType": "bytes",
    "DecimalType": "decimal",
    "DateTimeType": "datetime",
    "DateType": "date",
    "TimeType": "time",
    "TimeDeltaType": "timedelta",
    "UUIDType": "uuid",
}

_SHAPERS: Mapping[str, Callable[[_Shaper, Any], Shape]] = {
    "AnyType": lambda _, info: ANYTHING,  # noqa: ARG005  every shaper takes the two
    "NoneType": lambda _, info: OneOf({}, True),  # noqa: ARG005  every shaper takes the two
    "UnsetType": lambda _, info: OneOf({}, False),  # noqa: ARG005  every shaper takes the two
    "UnionType": _Shaper.union,
    "LiteralType": _literal,
    "EnumType": _enum,
    "ListType": _listing(list),
    "SetType": _listing(set),
    "FrozenSetType": _listing(frozenset),
    "VarTupleType": _listing(tuple),
    "TupleType": lambda shaper, info: Fixed(tuple(map(shaper.shape, info.item_types))),
    "DictType": lambda shaper, info: Table(shaper.shape(info.key_type), shaper.shape(info.value_type)),
    "StructType": _Shaper.record,
    "DataclassType": _Shaper.record,
    "TypedDictType": _Shaper.record,
    "NamedTupleType": _Shaper.record,
    "CustomType": _custom,
    "Metadata": lambda shaper, info: shaper.shape(info.type),
}
