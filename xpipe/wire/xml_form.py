"""Payload <-> XML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError, WireError
from xpipe.wire.misfit import Misfit
from xpipe.wire.origin import Origin
from xpipe.wire.xml_write import XmlWriter

if TYPE_CHECKING:
    from lxml.etree import _Element

    from xpipe.wire.xml_text import XmlText

T = TypeVar("T")


def to_xml(payload: Any, types: PayloadTypes) -> str:
    """`payload` as one element named by its class, without a declaration. Raises PayloadError naming the field."""
    name = type(payload).__name__
    try:
        return XmlWriter(types).document(payload)
    except Misfit as misfit:
        raise PayloadError(misfit.text(name), misfit.code) from None
    except RecursionError:
        raise PayloadError(f"{name} is nested too deeply to be written") from None


def from_xml(cls: type[T], text: bytes | str, types: PayloadTypes, where: str | Origin = "") -> T:
    """The payload of class `cls` in `text`, one element, checked against the XSD of `cls`. Raises WireError.

    `where` is the `file:line:column` of the first character of `text`; errors name absolute places.
    """
    from xpipe.wire.xml_text import XmlText

    document = XmlText(text, where if isinstance(where, Origin) else Origin.of(where))
    root = document.root
    if root.tag != cls.__name__:
        name = str(root.tag).rpartition("}")[2]
        sentence = f"<{cls.__name__}> is expected and not <{name}>"
        if str(root.tag).startswith("{"):
            sentence = f"<{name}> has a namespace; payloads have none, remove xmlns"
        raise document.origin.error(document.place(root), sentence)
    return read_element(cls, root, document, types)


def read_element(cls: type[T], element: _Element, document: XmlText, types: PayloadTypes) -> T:
    """The payload of class `cls` in `element` of `document`. Raises WireError."""
    from xpipe.wire.xml_read import XmlReader

    origin = document.origin
    try:
        payload: T = XmlReader(types).payload(cls, element)
    except Misfit as misfit:
        place = document.place(element if misfit.mark is None else misfit.mark)
        raise origin.error(place, misfit.text(cls.__name__), misfit.code) from None
    except RecursionError:
        raise origin.error(document.place(element), f"{cls.__name__}: elements are nested too deeply") from None
    except WireError:
        raise
    except PayloadError as error:
        raise origin.error(document.place(element), str(error), error.code) from None
    return payload
