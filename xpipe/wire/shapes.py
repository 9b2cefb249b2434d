"""Shapes: what a payload class looks like on the wire, read from its annotations once per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """A plain value; `kind` is a key of `xpipe.wire.scalars.KINDS`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts (kind `str`) or integers (kind `int`): a Literal, or the values of the Enum `enum`."""

    kind: str
    values: tuple[Any, ...]
    enum: type | None = None


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
    """A payload of any class inside one of xpipe's own, or None, or text or a mapping passed on as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordField:
    """A field: `attribute` in Python, `name` on the wire. `late`: `__post_init__` fills it if it is absent."""

    attribute: str
    name: str
    shape: Shape
    required: bool
    late: bool = False
    doc: str = ""


@dataclass(slots=True, eq=False)
class Record:
    """A dataclass or Struct. `label` is unique among the classes reachable from one payload class."""

    cls: type
    label: str
    tag_field: str | None = None
    tag: str | int | None = None
    array_like: bool = False
    fields: dict[str, RecordField] = field(default_factory=dict)


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
