"""Shapes: what a payload class looks like on the wire, read from its annotations once per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import msgspec


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain value; `kind` is a key of `xpipe.wire.scalars.KINDS`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values of `kind` (str, int or bool): a Literal, or the values of the Enum `enum`.

    `combined`: it is a Flag, and sums of the values are values, too.
    """

    kind: str
    values: tuple[Any, ...]
    enum: type[Enum] | None = None
    combined: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A list, set, frozenset or variadic tuple; `type` is the Python type."""

    type: type
    item: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A tuple of a fixed length, each place with a shape of its own."""

    items: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A dict."""

    key: Shape
    value: Shape


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """A union: its branches by label, in the order of the annotation. A lone branch needs no label on the wire."""

    branches: Mapping[str, Shape]
    nullable: bool


@dataclass(frozen=True, slots=True)
class Embedded:
    """A payload of any class inside one of xpipe's own, or None, or text or a mapping passed on as it is.

    addressed: it is on its way to a listener, whose class may have the fields `type` and `payload` itself.
    """

    addressed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RecordField:
    """A field: `attribute` in Python, `name` on the wire. `late`: `__post_init__` fills it if it is absent.

    info: what msgspec knows of it.
    """

    attribute: str
    name: str
    shape: Shape
    required: bool
    late: bool = False
    doc: str = ""
    info: Any = None


@dataclass(slots=True, eq=False)
class Record:
    """A dataclass, Struct, TypedDict or NamedTuple.

    `label` is unique among the classes reachable from one payload class.
    """

    cls: type
    label: str
    tag_field: str | None = None
    tag: str | int | None = None
    array_like: bool = False
    fields: dict[str, RecordField] = field(default_factory=dict)

    def holds(self, value: object) -> bool:
        """Whether `value` is a member."""
        if issubclass(self.cls, dict):  # a TypedDict
            return type(value) is dict and value.keys() <= self.fields.keys()
        return type(value) is self.cls

    def parts(self, value: Any) -> list[tuple[RecordField, Any]]:
        """The set fields of `value`, with their values."""
        if isinstance(value, dict):
            return [(self.fields[name], part) for name, part in value.items()]
        found = ((one, getattr(value, one.attribute, msgspec.UNSET)) for one in self.fields.values())
        return [(one, part) for one, part in found if part is not msgspec.UNSET]


Shape: TypeAlias = Scalar | Choice | Listing | Fixed | Table | OneOf | Embedded | Record


def _anything() -> OneOf:
    from xpipe.wire.scalars import KINDS

    branches: dict[str, Shape] = {kind: Scalar(kind) for kind in KINDS}
    anything = OneOf(branches, nullable=True)
    branches["list"] = Listing(list, anything)
    branches["dict"] = Table(anything, anything)
    return anything


ANYTHING = _anything()
"""The shape of `Any`: plain values, lists and dicts of them."""

EMBEDDED = Embedded()
ADDRESSED = Embedded(addressed=True)
