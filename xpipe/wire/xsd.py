"""XSD 1.0 of payload classes, for checking documents and for the people who write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from xpipe.core.errors import PayloadError
from xpipe.wire.branches import choice_text
from xpipe.wire.misfit import Misfit
from xpipe.wire.scalars import KINDS
from xpipe.wire.shapes import Choice, Embedded, Fixed, Listing, OneOf, Record, Scalar, Shape, Table
from xpipe.wire.shaping import class_doc, shape_of
from xpipe.wire.xml_names import check_name, escape_attribute, escape_text

Lines = Iterator[str]


_known: dict[type, str] = {}


def xsd_of(cls: type) -> str:
    """The XSD of the payload class `cls`: its element, named by its bare name. The same text for the same class.

    Fields come in any order (xs:all), lists as `<item>`, dicts as `<entry>` with `<key>` and `<value>`, fixed tuples as
    `<item1>`, `<item2>`; None is `xsi:nil`, and the branch of a union is named by `xsi:type`.
    Raises PayloadError naming the field whose type or name XML cannot express.
    """
    if cls not in _known:
        _known[cls] = "\n".join(_schema([_element_of(cls)], dict(_types_of(cls)))) + "\n"
    return _known[cls]


def xsd_of_all(classes: Iterable[type]) -> str:
    """The XSD of documents of any of `classes`, single or many in one `<messages>`, as files of messages are.

    Raises PayloadError naming the field whose type or name XML cannot express, or classes of the same name.
    """
    elements: dict[str, str] = {}
    types: dict[str, list[str]] = {}
    for cls in dict.fromkeys(classes):
        name = cls.__name__
        if name in elements:
            raise PayloadError(f"two payload classes are called {name}, and a schema can have one element of a name")
        elements[name] = _element_of(cls)
        for label, lines in _types_of(cls):
            if types.setdefault(label, lines) != lines:
                raise PayloadError(f"two classes are called {label}, and a schema can have one type of a name")
    wrapped = [] if _ROOT in elements else _messages(elements)
    return "\n".join(_schema([*elements.values(), *wrapped], types)) + "\n"


def _element_of(cls: type) -> str:
    try:
        return f'<xs:element name="{check_name(cls.__name__)}" type="{shape_of(cls).label}"/>'
    except Misfit as misfit:
        raise PayloadError(misfit.text(cls.__name__)) from None


def _types_of(cls: type) -> Iterator[tuple[str, list[str]]]:
    """The global types that `cls` needs, by name."""
    try:
        for record in _records(shape_of(cls)):
            yield record.label, list(_complex(record))
    except Misfit as misfit:
        raise PayloadError(misfit.text(cls.__name__)) from None


_ROOT = "messages"


def _messages(names: Iterable[str]) -> Lines:
    yield f'<xs:element name="{_ROOT}">'
    yield "  <xs:complexType>"
    yield '    <xs:choice minOccurs="0" maxOccurs="unbounded">'
    for name in names:
        yield f'      <xs:element ref="{name}"/>'
    yield "    </xs:choice>"
    yield "  </xs:complexType>"
    yield "</xs:element>"


def _schema(elements: Iterable[str], types: Mapping[str, list[str]]) -> Lines:
    yield '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
    yield from _indent(iter(elements))
    for lines in types.values():
        yield from _indent(iter(lines))
    for kind in KINDS:
        yield from _indent(_simple(kind))
    yield from _indent(_loose("list"))
    yield from _indent(_loose("dict"))
    yield "</xs:schema>"


def _records(root: Record) -> list[Record]:
    """`root` and the records reachable from it, in the order in which they are met."""
    found: dict[int, Record] = {}
    waiting: list[Shape] = [root]
    seen: set[int] = set()
    while waiting:
        shape = waiting.pop(0)
        if id(shape) in seen:
            continue
        seen.add(id(shape))
        if isinstance(shape, Record):
            found[id(shape)] = shape
        waiting.extend(_parts(shape))
    return list(found.values())


def _parts(shape: Shape) -> list[Shape]:
    if isinstance(shape, Record):
        return [field.shape for field in shape.fields.values()]
    if isinstance(shape, OneOf):
        return list(shape.branches.values())
    if isinstance(shape, Table):
        return [shape.key, shape.value]
    if isinstance(shape, Fixed):
        return list(shape.items)
    return [shape.item] if isinstance(shape, Listing) else []


def _complex(record: Record) -> Lines:
    yield f'<xs:complexType name="{check_name(record.label)}">'
    yield from _indent(_doc(class_doc(record.cls)))
    yield "  <xs:all>"
    for field in record.fields.values():
        occurs = "" if field.required else ' minOccurs="0"'
        try:
            yield from _indent(_element(field.name, field.shape, occurs, field.doc), 4)
        except Misfit as misfit:
            raise misfit.under(field.name) from None
    yield "  </xs:all>"
    yield "</xs:complexType>"


def _doc(text: str) -> Lines:
    if text:
        yield f"<xs:annotation><xs:documentation>{escape_text(text)}</xs:documentation></xs:annotation>"


def _simple(kind: str) -> Lines:
    rule = KINDS[kind]
    yield f'<xs:simpleType name="{kind}">'
    if rule.pattern:
        pattern = f'<xs:pattern value="{escape_attribute(rule.pattern)}"/>'
        yield f'  <xs:restriction base="{rule.xsd}">{pattern}</xs:restriction>'
    else:
        yield f'  <xs:restriction base="{rule.xsd}"/>'
    yield "</xs:simpleType>"


def _loose(name: str) -> Lines:
    """The type of a list or dict as a branch of a union; what is inside is checked by the decoder."""
    yield f'<xs:complexType name="{name}">'
    yield '  <xs:sequence><xs:any processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>'
    yield "</xs:complexType>"


def _element(name: str, shape: Shape, occurs: str = "", doc: str = "") -> Lines:
    head = f'<xs:element name="{check_name(name)}"{occurs}'
    if isinstance(shape, OneOf):
        if shape.nullable:
            head += ' nillable="true"'
        if len(shape.branches) > 1:
            shape = _ANY_TYPE
        elif shape.branches:
            shape = next(iter(shape.branches.values()))
    if isinstance(shape, Embedded):
        head += ' nillable="true"'
    named = _named(shape)
    inline = [] if named is not None else list(_INLINE[type(shape)](shape))
    body = [*_doc(doc), *inline]
    head += f' type="{named}"' if named else ""
    yield f"{head}>" if body else f"{head}/>"
    yield from _indent(iter(body))
    if body:
        yield "</xs:element>"


_ANY_TYPE = Scalar("")


def _named(shape: Shape) -> str | None:
    """The name of the global type of `shape`, "" for anything at all, None for a type of its own."""
    if isinstance(shape, Scalar):
        return shape.kind
    return shape.label if isinstance(shape, Record) else None


def _choice(shape: Choice) -> Lines:
    yield "<xs:simpleType>"
    if shape.combined:
        yield '  <xs:restriction base="int"/>'
        yield "</xs:simpleType>"
        return
    yield f'  <xs:restriction base="{"xs:string" if shape.kind == "str" else "xs:token"}">'
    for value in shape.values:
        yield f'    <xs:enumeration value="{escape_attribute(choice_text(shape, value))}"/>'
    yield "  </xs:restriction>"
    yield "</xs:simpleType>"


def _sequence(elements: Lines, repeated: bool = True) -> Lines:
    yield "<xs:complexType>"
    yield '  <xs:sequence minOccurs="0" maxOccurs="unbounded">' if repeated else "  <xs:sequence>"
    yield from _indent(elements, 4)
    yield "  </xs:sequence>"
    yield "</xs:complexType>"


def _fixed(shape: Fixed) -> Lines:
    elements = (line for index, item in enumerate(shape.items) for line in _element(f"item{index + 1}", item))
    return _sequence(elements, repeated=False)


def _table(shape: Table) -> Lines:
    pair = _sequence(iter([*_element("key", shape.key), *_element("value", shape.value)]), repeated=False)
    return _sequence(iter(['<xs:element name="entry">', *_indent(pair), "</xs:element>"]))


def _embedded(_: Embedded) -> Lines:
    """A payload of any class: the XSD of its own class checks it, in which the labels of its unions mean something."""
    yield '<xs:complexType mixed="true">'
    yield '  <xs:sequence><xs:any processContents="skip" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>'
    yield '  <xs:attribute name="type"/>'
    yield "</xs:complexType>"


def _nothing(_: OneOf) -> Lines:
    yield "<xs:complexType/>"


def _indent(lines: Lines, width: int = 2) -> Lines:
    return (" " * width + line for line in lines)


_INLINE: dict[type, Callable[[Any], Lines]] = {
    Choice: _choice,
    Listing: lambda shape: _sequence(_element("item", shape.item)),
    Fixed: _fixed,
    Table: _table,
    Embedded: _embedded,
    OneOf: _nothing,
}
