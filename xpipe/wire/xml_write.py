"""Payload -> XML elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from xpipe.core.codec import PayloadTypes, is_payload_class
from xpipe.wire.branches import branch_of, choice_text, noun_of, plain_choice
from xpipe.wire.misfit import Key, Misfit, shown
from xpipe.wire.scalars import KINDS, is_kind
from xpipe.wire.shapes import ANYTHING, Choice, Embedded, Fixed, Listing, OneOf, Record, Scalar, Shape, Table
from xpipe.wire.shaping import shape_of
from xpipe.wire.xml_names import XSI, check_name, escape_attribute, escape_text

Steps = Iterable[tuple[str, Shape, Any, Any]]
"""Children to write: element name, shape, value and the step of the path."""


class XmlWriter:
    """Writes one document. Raises Misfit."""

    def __init__(self, types: PayloadTypes) -> None:
        self._types = types
        self._parts: list[str] = []
        self._uses_xsi = False

    def document(self, payload: Any) -> str:
        """`payload` as one element that stands alone."""
        cls = type(payload)
        name = check_name(cls.__name__)
        self._record(name, shape_of(cls), payload, "")
        if self._uses_xsi:
            start = self._parts[0]
            self._parts[0] = f'{start[: 1 + len(name)]} xmlns:xsi="{XSI}"{start[1 + len(name) :]}'
        return "".join(self._parts)

    def write(self, name: str, shape: Shape, value: Any, attributes: str = "") -> None:
        _WRITERS[type(shape)](self, name, shape, value, attributes)

    def one_of(self, name: str, shape: OneOf, value: Any, attributes: str) -> None:
        if value is None and shape.nullable:
            self._nil(name)
            return
        label, branch = branch_of(shape, value)
        if len(shape.branches) > 1:
            self._uses_xsi = True
            attributes += f' xsi:type="{label}"'
        self.write(name, branch, value, attributes)

    def scalar(self, name: str, shape: Scalar, value: Any, attributes: str) -> None:
        kind = shape.kind
        number = kind == "float" and isinstance(value, int) and not isinstance(value, bool)
        if not is_kind(kind, value) and not number:
            raise Misfit(f"{shown(value)} is not {noun_of(shape)}")
        try:
            text = KINDS[kind].text(float(value) if number else value)
        except (ValueError, OverflowError):  # the interpreter's bound on the digits of an int, or a float's range
            raise Misfit(f"{shown(value)} is too large") from None
        self._leaf(name, text, attributes)

    def choice(self, name: str, shape: Choice, value: Any, attributes: str) -> None:
        self._leaf(name, choice_text(shape, plain_choice(shape, value)), attributes)

    def listing(self, name: str, shape: Listing, value: Any, attributes: str) -> None:
        if not isinstance(value, list | tuple | set | frozenset):
            raise Misfit(f"{shown(value)} is not a list")
        items = sorted(value, key=_order) if isinstance(value, set | frozenset) else value
        self._parent(name, attributes, (("item", shape.item, item, index) for index, item in enumerate(items)))

    def fixed(self, name: str, shape: Fixed, value: Any, attributes: str) -> None:
        if not isinstance(value, tuple) or len(value) != len(shape.items):
            raise Misfit(f"{shown(value)} is not a tuple of {len(shape.items)}")
        pairs = enumerate(zip(shape.items, value, strict=True))
        self._parent(name, attributes, ((f"item{index + 1}", *pair, index) for index, pair in pairs))

    def table(self, name: str, shape: Table, value: Any, attributes: str) -> None:
        if not isinstance(value, dict):
            raise Misfit(f"{shown(value)} is not a mapping")
        self._parts.append(f"<{name}{attributes}>")
        for key, one in value.items():
            self._parent("entry", "", (("key", shape.key, key, Key(key)), ("value", shape.value, one, Key(key))))
        self._parts.append(f"</{name}>")

    def embedded(self, name: str, _: Embedded, value: Any, attributes: str) -> None:
        if value is None:
            self._nil(name)
        elif isinstance(value, str):
            self._leaf(name, value, attributes)
        elif type(value) is dict:
            self.write(name, ANYTHING.branches["dict"], value, ' type="dict"')
        elif is_payload_class(type(value)):
            self._payload(name, value)
        else:
            raise Misfit(f"{shown(value)} is no payload")

    def _payload(self, name: str, value: Any) -> None:
        cls = type(value)
        known = self._types.name_of(cls)
        self._parts.append(f"<{name}>" if known == cls.__name__ else f'<{name} type="{escape_attribute(known)}">')
        self._record(check_name(cls.__name__), shape_of(cls), value, "")
        self._parts.append(f"</{name}>")

    def _record(self, name: str, shape: Record, value: Any, attributes: str) -> None:
        if not shape.holds(value):
            raise Misfit(f"{shown(value)} is not {noun_of(shape)}")
        parts = ((field.name, field.shape, part, field.name) for field, part in shape.parts(value))
        self._parent(name, attributes, parts)

    def _parent(self, name: str, attributes: str, children: Steps) -> None:
        self._parts.append(f"<{name}{attributes}>")
        for child, shape, value, step in children:
            try:
                self.write(check_name(child), shape, value)
            except Misfit as misfit:
                raise misfit.under(step) from None
        self._parts.append(f"</{name}>")

    def _leaf(self, name: str, text: str, attributes: str) -> None:
        self._parts.append(f"<{name}{attributes}>{escape_text(text)}</{name}>")

    def _nil(self, name: str) -> None:
        self._uses_xsi = True
        self._parts.append(f'<{name} xsi:nil="true"/>')


def _order(item: Any) -> tuple[str, str]:
    """A set has no order; its document has one, the same in every process."""
    if isinstance(item, bool | int):
        return "", f"{item < 0}{'' if item < 0 else f'{abs(item):040d}'}{item}"
    if isinstance(item, frozenset):
        return type(item).__name__, repr(sorted(map(_order, item)))
    return type(item).__name__, repr(item)


_WRITERS: dict[type, Callable[[XmlWriter, str, Any, Any, str], None]] = {
    Record: XmlWriter._record,
    Scalar: XmlWriter.scalar,
    Choice: XmlWriter.choice,
    Listing: XmlWriter.listing,
    Fixed: XmlWriter.fixed,
    Table: XmlWriter.table,
    OneOf: XmlWriter.one_of,
    Embedded: XmlWriter.embedded,
}
