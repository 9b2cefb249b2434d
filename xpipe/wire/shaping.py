"""From annotations to shapes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from xpipe.core.errors import PayloadError
from xpipe.core.payloads import SYSTEM_PAYLOADS, BufferItemResult
from xpipe.wire.scalars import KINDS
from xpipe.wire.shapes import (
    ANYTHING,
    EMBEDDED,
    Choice,
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
        info = msgspec.inspect.type_info(cls)
    except (TypeError, NameError, ValueError, AttributeError, RecursionError) as error:
        raise PayloadError(f"{cls.__name__} cannot be a payload: {error}") from None
    if not isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
        raise PayloadError(f"{cls.__name__} cannot be a payload; make it a dataclass or a msgspec Struct")
    return _Shaper(cls).record(info)


class _Shaper:
    """Reads the shapes of one payload class and of all that it contains."""

    def __init__(self, root: type) -> None:
        self._root = root
        self._records: dict[int, Record] = {}
        self._labels: set[str] = set(_RESERVED)
        self._kept: list[Any] = []  # an id stands for an object only while that is alive

    def shape(self, info: Any) -> Shape:
        kind = _SCALARS.get(type(info).__name__)
        if kind is not None:
            return Scalar(kind)
        shape = _SHAPERS.get(type(info).__name__)
        if shape is None:
            raise PayloadError(f"{self._root.__name__} cannot travel as XML or JSON: {_unsupported(info)}")
        return shape(self, info)

    def record(self, info: Any) -> Record:
        known = self._records.get(id(info))
        if known is not None:
            return known
        self._kept.append(info)
        record = Record(
            info.cls,
            self._label(info.cls.__name__),
            getattr(info, "tag_field", None),
            getattr(info, "tag", None),
            getattr(info, "array_like", False),
        )
        self._records[id(info)] = record
        record.fields.update((field.encode_name, self._field(info.cls, field)) for field in info.fields)
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
        shape = self.shape(field.type)
        if _holds_payloads(cls):
            shape = _embed(shape)
        if own is not None:
            doc = doc or str(
                own.metadata.get("doc") or own.metadata.get("description") or getattr(own, "doc", "") or ""
            )
        late = field.required and own is not None and not own.init
        return RecordField(field.name, field.encode_name, shape, field.required and not late, late, doc)

    def _label(self, name: str) -> str:
        label, count = name, 1
        while label in self._labels:
            count += 1
            label = f"{name}.{count}"
        self._labels.add(label)
        return label


def _holds_payloads(cls: type) -> bool:
    return cls in SYSTEM_PAYLOADS or cls is BufferItemResult


def _embed(shape: Shape) -> Shape:
    if shape is ANYTHING:
        return EMBEDDED
    if isinstance(shape, Listing) and shape.item is ANYTHING:
        return Listing(shape.type, EMBEDDED)
    return shape


def _doc_of(field: Any) -> str:
    extra = getattr(field.type, "extra_json_schema", None) or {}
    return str(extra.get("description") or extra.get("title") or "")


def class_doc(cls: type) -> str:
    """The docstring of `cls`, without the signature that `dataclass` puts in its place."""
    doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    return "" if dataclasses.is_dataclass(cls) and doc.startswith(f"{cls.__name__}(") else doc


def _label_of(shape: Shape) -> str:
    if isinstance(shape, Record):
        return shape.label
    if isinstance(shape, Scalar | Choice):
        return shape.kind
    return "dict" if isinstance(shape, Table) else "list"


def _unsupported(info: Any) -> str:
    name = getattr(getattr(info, "cls", None), "__name__", type(info).__name__.removesuffix("Type"))
    return f"the type {name} is not supported; use a dataclass, a Struct or a standard type"


def _literal(_: _Shaper, info: Any) -> Shape:
    branches: dict[str, Shape] = {}
    for kind, cls in (("int", int), ("str", str)):
        values = tuple(value for value in info.values if isinstance(value, cls))
        if values:
            branches[kind] = Choice(kind, values)
    nullable = None in info.values
    return next(iter(branches.values())) if len(branches) == 1 and not nullable else OneOf(branches, nullable)


def _enum(_: _Shaper, info: Any) -> Shape:
    values = tuple(member.value for member in info.cls)
    return Choice("int" if all(isinstance(value, int) for value in values) else "str", values, info.cls)


def _listing(cls: type) -> Callable[[_Shaper, Any], Shape]:
    return lambda shaper, info: Listing(cls, shaper.shape(info.item_type))


_SCALARS = {
    "StrType": "str",
    "IntType": "int",
    "FloatType": "float",
    "BoolType": "bool",
    "BytesType": "bytes",
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
    "Metadata": lambda shaper, info: shaper.shape(info.type),
}
