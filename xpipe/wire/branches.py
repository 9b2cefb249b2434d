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
        return _noun_of_choice(shape)
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
        return shape.holds(value)
    if isinstance(shape, Listing):
        return isinstance(value, shape.type)
    return isinstance(value, dict if isinstance(shape, Table) else tuple)


def _noun_of_choice(shape: Choice) -> str:
    values = shape.values[:12]
    if shape.enum is None or shape.kind == "str":
        return "one of " + ", ".join(map(shown, values))
    names = ", ".join(f"{value} ({shape.enum(value).name})" for value in values)
    return f"a sum of {names}" if shape.combined else f"one of {names}"


def plain_choice(shape: Choice, value: object) -> Any:
    """What stands for `value`, a member of the Enum or the plain value, on the wire. Raises Misfit."""
    if shape.enum is not None and isinstance(value, shape.enum):
        return value.value
    if is_kind(shape.kind, value):
        if value in shape.values:
            return value
        if shape.enum is not None:
            try:
                return shape.enum(value).value  # a sum of flags, or what the Enum takes for one of its members
            except Exception:  # whatever a `_missing_` of the user's raises says no
                pass
    raise Misfit(f"{shown(value)} is not {noun_of(shape)}")


def choice_text(shape: Choice, plain: Any) -> str:
    """The text of a plain value of `shape`."""
    kind = KINDS[shape.kind]
    return kind.text(kind.type(plain))
