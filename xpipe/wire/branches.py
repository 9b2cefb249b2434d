"""Which branch of a union a Python value belongs to, for writing it."""

from __future__ import annotations

from typing import Any

from xpipe.wire.misfit import Misfit, shown
from xpipe.wire.scalars import KINDS, is_kind
from xpipe.wire.shapes import Choice, Embedded, Fixed, Listing, OneOf, Record, Scalar, Shape, Table


def branch_of(union: OneOf, value: object) -> tuple[str, Shape]:
    """The label and shape of the branch that `value`, not None, belongs to. Raises Misfit."""
    for label, shape in union.branches.items():
        if _belongs(shape, value):
            return label, shape
    for label in ("float", "list"):  # an int where only floats are declared; a set or tuple in an `Any`
        if label in union.branches and isinstance(value, int if label == "float" else list | tuple | set | frozenset):
            return label, union.branches[label]
    raise Misfit(f"{shown(value)} is not {noun_of(union)}")


def noun_of(shape: Shape) -> str:
    """What is expected, for an error."""
    if isinstance(shape, Scalar):
        return KINDS[shape.kind].noun
    if isinstance(shape, Choice):
        return "one of " + ", ".join(map(shown, shape.values[:12]))
    if isinstance(shape, OneOf):
        nouns = [noun_of(branch) for branch in list(shape.branches.values())[:12]]
        return " or ".join([*nouns, "None"] if shape.nullable or not nouns else nouns)
    return _NOUNS[type(shape)] if not isinstance(shape, Record) else shape.cls.__name__


_NOUNS: dict[type[Any], str] = {
    Listing: "a list",
    Fixed: "a list",
    Table: "a mapping",
    Embedded: "a payload",
}


def _belongs(shape: Shape, value: object) -> bool:
    if isinstance(shape, Scalar):
        return is_kind(shape.kind, value)
    if isinstance(shape, Choice):
        return isinstance(value, shape.enum) if shape.enum else is_kind(shape.kind, value) and value in shape.values
    if isinstance(shape, Record):
        return type(value) is shape.cls
    if isinstance(shape, Listing):
        return isinstance(value, shape.type)
    return isinstance(value, dict if isinstance(shape, Table) else tuple)


def choice_value(shape: Choice, value: object) -> str | int:
    """What stands for `value` on the wire. Raises Misfit."""
    plain = value.value if shape.enum is not None and isinstance(value, shape.enum) else value  # type: ignore[attr-defined]  # an Enum member
    if isinstance(plain, str | int) and not isinstance(plain, bool) and plain in shape.values:
        return plain
    raise Misfit(f"{shown(value)} is not {noun_of(shape)}")
