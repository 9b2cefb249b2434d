"""Element tree -> plain data, checked against shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.wire.branches import noun_of, plain_choice
from xpipe.wire.misfit import TWICE, Key, Misfit, shorten, shown, unknown_field
from xpipe.wire.plain import as_key, close, finish
from xpipe.wire.scalars import parse
from xpipe.wire.shapes import ANYTHING, Choice, Embedded, Fixed, Listing, OneOf, Record, Scalar, Shape, Table
from xpipe.wire.shaping import shape_of
from xpipe.wire.xml_names import NIL, TYPE, XSI
from xpipe.wire.xsd import xsd_of

if TYPE_CHECKING:
    from lxml.etree import XMLSchema, _Element

_MAPPING = Table(ANYTHING, ANYTHING)
_SPACE = " \t\r\n"


_schemas: dict[type, XMLSchema] = {}


def _schema_of(cls: type) -> XMLSchema:
    from lxml import etree

    schema = _schemas.get(cls)
    if schema is None:
        schema = _schemas[cls] = etree.XMLSchema(etree.fromstring(xsd_of(cls)))
    return schema


class XmlReader:
    """Reads elements by shape. Raises Misfit whose mark is the element."""

    def __init__(self, types: PayloadTypes) -> None:
        self._types = types

    def payload(self, cls: type, element: _Element) -> Any:
        """The payload of `cls` in `element`, checked against the XSD of `cls`."""
        shape = shape_of(cls)
        for name in ("schemaLocation", "noNamespaceSchemaLocation"):  # libxml2 would go and read that file
            element.attrib.pop(f"{{{XSI}}}{name}", "")
        schema = _schema_of(cls)
        valid = schema.validate(element)
        plain = self.read(shape, element)  # its sentences are better than those of libxml2
        if not valid:
            raise Misfit(_schema_sentence(schema, cls), mark=element)
        try:
            return finish(shape, plain)
        except Misfit as misfit:
            misfit.mark = _descend(element, misfit.path)
            raise

    def read(self, shape: Shape, element: _Element) -> Any:
        if isinstance(shape, OneOf):
            return self.one_of(shape, element)
        _check_attributes(element, _allowed(shape, element))
        return _READERS[type(shape)](self, shape, element)

    def record(self, shape: Record, element: _Element) -> Any:
        _check_no_text(element, shape.fields)
        values: dict[str, Any] = {}
        for child in element:
            name = _name(child)
            field = shape.fields.get(name)
            if field is None:
                raise unknown_field(name, shape.fields, child)
            if name in values:
                raise Misfit(TWICE, name, mark=child)
            values[name] = self._part(field.shape, child, name)
        try:
            return close(shape, values)
        except Misfit as misfit:
            misfit.mark = misfit.mark if misfit.mark is not None else element
            raise

    def scalar(self, shape: Scalar, element: _Element) -> Any:
        return _parsed(shape.kind, element)

    def choice(self, shape: Choice, element: _Element) -> Any:
        text = _text(element)
        try:
            return plain_choice(shape, text if shape.kind == "str" else parse(shape.kind, text.strip(_SPACE)))
        except ValueError:
            raise Misfit(f"{shown(text)} is not {noun_of(shape)}", mark=element) from None
        except Misfit as misfit:
            misfit.mark = element
            raise

    def listing(self, shape: Listing, element: _Element) -> Any:
        _check_no_text(element, ("item",))
        for child in element:
            _expect(child, "item")
        return [self._part(shape.item, child, index) for index, child in enumerate(element)]

    def fixed(self, shape: Fixed, element: _Element) -> Any:
        names = [f"item{index + 1}" for index in range(len(shape.items))]
        _check_no_text(element, names)
        parts = _children(element, names)
        return [self._part(*pair, index) for index, pair in enumerate(zip(shape.items, parts, strict=True))]

    def table(self, shape: Table, element: _Element) -> Any:
        _check_no_text(element, ("entry",))
        table: dict[Any, Any] = {}
        for index, entry in enumerate(element):
            _expect(entry, "entry")
            _check_attributes(entry)
            _check_no_text(entry, ("key", "value"))
            first, second = _children(entry, ["key", "value"])
            key = as_key(shape.key, self._part(shape.key, first, index))
            if key in table:
                raise Misfit("the key is given twice", Key(key), mark=first)
            table[key] = self._part(shape.value, second, Key(key))
        return table

    def one_of(self, shape: OneOf, element: _Element) -> Any:
        if element.get(NIL, "false").strip() in ("true", "1"):
            if not shape.nullable:
                raise Misfit(f"None is not {noun_of(shape)}", mark=element)
            _check_attributes(element, (NIL, TYPE))
            if len(element) or element.text:
                raise Misfit("the element is marked xsi:nil and yet not empty", mark=element)
            return None
        if len(shape.branches) > 1:
            return self._labelled(shape, element)
        for branch in shape.branches.values():
            _check_attributes(element, (NIL, *_allowed(branch, element)))
            return _READERS[type(branch)](self, branch, element)
        raise Misfit('only None fits here; write xsi:nil="true"', mark=element)

    def _labelled(self, shape: OneOf, element: _Element) -> Any:
        label = element.get(TYPE)
        if label is None:
            return self._unlabelled(shape, element)
        label = label.strip(_SPACE)
        if label not in shape.branches:
            raise Misfit(f'xsi:type="{shorten(label)}" is not one of {", ".join(shape.branches)}', mark=element)
        _check_attributes(element, (TYPE, NIL))
        branch = shape.branches[label]
        return _READERS[type(branch)](self, branch, element)

    def _unlabelled(self, shape: OneOf, element: _Element) -> Any:
        """The label may be left out where it can be told: the only list or class, or the first plain type that fits."""
        _check_attributes(element, (NIL,))
        plain = {label: one for label, one in shape.branches.items() if isinstance(one, Scalar | Choice)}
        inner = [one for label, one in shape.branches.items() if label not in plain]
        if (len(element) or not plain) and len(inner) == 1:
            return _READERS[type(inner[0])](self, inner[0], element)
        if not len(element) and plain:
            return self._first_fit(list(plain.values()), shape, element)
        raise Misfit(
            f"the attribute xsi:type is missing; it says which of {', '.join(shape.branches)} this is", mark=element
        )

    def _first_fit(self, plain: list[Any], union: OneOf, element: _Element) -> Any:
        if union is ANYTHING:
            return _text(element)
        for branch in sorted(plain, key=lambda one: (one.kind == "str", one.kind == "bool")):
            try:
                return _READERS[type(branch)](self, branch, element)
            except Misfit:
                continue
        raise Misfit(f"{shown(_text(element))} is not {noun_of(union)}", mark=element)

    def embedded(self, _: Embedded, element: _Element) -> Any:
        if element.get(NIL, "false").strip() in ("true", "1") and not len(element):
            return None
        if element.get("type") == "dict":
            return self.table(_MAPPING, element)
        if not len(element):
            return _text(element)
        if len(element) > 1 or _loose_text(element):
            raise Misfit("one payload element is expected, or text", mark=element)
        return self._named(element.get("type") or _name(element[0]), element[0])

    def _named(self, name: str, element: _Element) -> Any:
        try:
            cls = self._types.class_of(name)
        except PayloadError as error:
            raise Misfit(str(error), mark=element, code=error.code) from None
        if cls.__name__ != _name(element):
            raise Misfit(f"<{_name(element)}> is not <{cls.__name__}>", mark=element)
        return self.payload(cls, element)

    def _part(self, shape: Shape, element: _Element, step: Any) -> Any:
        try:
            return self.read(shape, element)
        except Misfit as misfit:
            raise misfit.under(step, element) from None


def _parsed(kind: str, element: _Element) -> Any:
    text = _text(element)
    try:
        return text if kind == "str" else parse(kind, text.strip(_SPACE))
    except ValueError as error:
        if not text.strip(_SPACE):
            raise Misfit("the text is missing", mark=element) from None
        raise Misfit(str(error), mark=element) from None


def _text(element: _Element) -> str:
    if len(element):
        child = element[0]
        raise Misfit(f"text is expected and not <{_name(child)}>", mark=child)
    return element.text or ""


def _name(element: _Element) -> str:
    tag = str(element.tag)
    if tag.startswith("{"):
        space, _, name = tag[1:].partition("}")
        raise Misfit(
            f"<{shorten(name)}> is in the namespace {shorten(space)}; payloads have none, remove it", mark=element
        )
    return tag


def _loose_text(element: _Element) -> str:
    texts = [element.text, *(child.tail for child in element)]
    return next((text.strip(_SPACE) for text in texts if text and text.strip(_SPACE)), "")


def _check_no_text(element: _Element, names: Any) -> None:
    loose = _loose_text(element)
    if loose:
        wanted = ", ".join(f"<{name}>" for name in list(names)[:5]) or "nothing"
        raise Misfit(f"the text {shown(loose)} stands where {wanted} is expected", mark=element)


def _check_attributes(element: _Element, allowed: tuple[str, ...] = ()) -> None:
    for name in element.attrib:
        if name == NIL and element.get(NIL, "").strip() in ("true", "1") and NIL not in allowed:
            raise Misfit("None does not fit here; the element is marked xsi:nil", mark=element)
        if name not in allowed and name != NIL:
            shown_name = shorten(str(name).replace(f"{{{XSI}}}", "xsi:"))
            raise Misfit(f"the attribute {shown_name} is not known; fields are elements", mark=element)


def _children(element: _Element, names: list[str]) -> list[_Element]:
    """The children of `element` called `names`, in that order."""
    found = {_name(child): child for child in element}
    for child in element:
        if _name(child) not in names:
            raise Misfit(f"<{_name(child)}> is not expected; there are {', '.join(names)}", mark=child)
        if found[_name(child)] is not child:
            raise Misfit(f"<{_name(child)}> is given twice", mark=found[_name(child)])
    for name in names:
        if name not in found:
            raise Misfit(f"<{name}> is missing", mark=element)
    return [found[name] for name in names]


def _expect(element: _Element, name: str) -> None:
    if _name(element) != name:
        raise Misfit(f"<{name}> is expected and not <{_name(element)}>", mark=element)


def _allowed(shape: Shape, element: _Element) -> tuple[str, ...]:
    if isinstance(shape, Embedded):
        return NIL, "type"
    return (TYPE,) if element.get(TYPE) == _type_of(shape) else ()


def _type_of(shape: Shape) -> str:
    if isinstance(shape, Record):
        return shape.label
    return shape.kind if isinstance(shape, Scalar | Choice) else "dict" if isinstance(shape, Table) else "list"


def _schema_sentence(schema: XMLSchema, cls: type) -> str:
    detail = getattr(getattr(schema.error_log, "last_error", None), "message", "no reason given").replace("\n", " ")
    return f"it does not match the XSD of {cls.__name__} ({shorten(detail, 200)})"


def _descend(element: _Element, path: list[Any]) -> _Element:
    """The element at `path`, or the innermost around it that is found."""
    for step in path:
        children = [child for child in element if child.tag in (step, "item", f"item{step}")]
        if isinstance(step, int):
            children = children[step : step + 1]
        if not children:
            break
        element = children[0]
    return element


_READERS: dict[type, Callable[[XmlReader, Any, _Element], Any]] = {
    Record: XmlReader.record,
    Scalar: XmlReader.scalar,
    Choice: XmlReader.choice,
    Listing: XmlReader.listing,
    Fixed: XmlReader.fixed,
    Table: XmlReader.table,
    Embedded: XmlReader.embedded,
}
