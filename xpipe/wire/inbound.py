"""Documents from outside -> (listener, payload)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import WireError
from xpipe.core.organism import Listener
from xpipe.wire.documents import Document
from xpipe.wire.json_form import read_json, read_value
from xpipe.wire.json_text import locate
from xpipe.wire.misfit import Step, shorten, shown
from xpipe.wire.origin import Origin
from xpipe.wire.targets import Targets, Unresolved, Wanted

if TYPE_CHECKING:
    from lxml.etree import _Element

    from xpipe.wire.xml_text import XmlText

_T = TypeVar("_T")

_ENVELOPE = {"to", "type", "payload"}


class Inbound:
    """Finds the listener and the class of what comes from outside, by the rules of docs/semantics.md, and decodes it.

    Every failure is a WireError whose code is bad_payload, unknown_target, unknown_type or ambiguous_payload.
    """

    def __init__(self, listeners: Iterable[Listener], types: PayloadTypes) -> None:
        self._types = types
        self._targets = Targets(listeners, types)

    def decode(self, document: Document, to: str | None = None, type: str | None = None) -> tuple[str, object]:
        """The listener and the payload of `document`, bare or in an envelope.

        JSON that looks like an envelope is the payload itself if its target is known and it fits.
        `to` and `type` say what a bare one does not; an envelope that says something else is an error.
        """
        origin, wanted = Origin.of(document.where), Wanted(to or "", type or "")
        if document.form == "xml":
            return self._xml(document.data, origin, wanted)
        return self._json(document.data, origin, wanted)

    def decode_value(self, value: object, to: str, type: str = "", where: str = "") -> object:
        """The payload for `to` in `value`: a payload, a mapping, or XML or JSON text. `where` names the place of it."""
        return self._any(value, Origin.outer(where), Wanted(to, type))[1]

    def _any(self, value: object, origin: Origin, wanted: Wanted) -> tuple[str, object]:
        if isinstance(value, bytes):
            start = value.lstrip(b" \t\r\n\xef\xbb\xbf")[:1]
            return self._xml(value, origin, wanted) if start == b"<" else self._json(value, origin, wanted)
        if isinstance(value, str):
            return self._xml(value.lstrip(), origin, wanted) if _is_xml(value) else self._json(value, origin, wanted)
        return self._value(value, "", origin, wanted)

    def _json(self, data: bytes | str, origin: Origin, wanted: Wanted) -> tuple[str, object]:
        text, value = read_json(data, origin)
        return self._value(value, text, origin, wanted)

    def _value(self, value: Any, text: str, origin: Origin, wanted: Wanted) -> tuple[str, object]:
        if not (isinstance(value, Mapping) and "payload" in value and set(value) <= _ENVELOPE):
            return self._payload(value, text, origin, wanted)
        bare: WireError | None = None
        if self._targets.are_known(wanted):
            try:
                return self._payload(value, text, origin, wanted)
            except WireError as error:
                bare = error
        try:
            return self._opened(value, text, origin, wanted)
        except WireError as error:
            raise bare if bare is not None and self._targets.fit(value, wanted) else error from None

    def _opened(self, envelope: Mapping[str, Any], text: str, origin: Origin, wanted: Wanted) -> tuple[str, object]:
        place = _places(text, origin)
        inner = Wanted(*(_said(envelope, key, wanted, origin, place) for key in ("to", "type")))
        value = envelope["payload"]
        if isinstance(value, str):
            return self._any(value, Origin.outer(place("payload")), inner)
        return self._payload(value, text, origin, inner, ("payload",))

    def _payload(
        self, value: Any, text: str, origin: Origin, wanted: Wanted, prefix: tuple[str, ...] = ()
    ) -> tuple[str, object]:
        place = _places(text, origin)(*prefix)
        if type(value) in self._types:
            return self._resolve(lambda: self._targets.for_payload(type(value), wanted), origin, place)[0], value
        if not isinstance(value, Mapping):
            if wanted.to:
                self._resolve(lambda: self._targets.check_listener(wanted.to), origin, place)
            raise origin.error(place, f"{shown(value)} is not a payload; pass an object with its fields")
        listener, cls = self._resolve(lambda: self._targets.for_mapping(value, wanted), origin, place)
        return listener, read_value(cls, value, self._types, origin, text, prefix)

    def _xml(self, data: bytes | str, origin: Origin, wanted: Wanted) -> tuple[str, object]:
        from xpipe.wire.xml_form import read_element
        from xpipe.wire.xml_text import XmlText

        document = XmlText(data, origin)
        element = document.root
        if element.tag == "message":
            wanted, element = _unwrapped(document, wanted)
        name = _bare_name(document, element)
        listener, cls = self._resolve(lambda: self._targets.for_root(name, wanted), origin, document.place(element))
        return listener, read_element(cls, element, document, self._types)

    def _resolve(self, choose: Callable[[], _T], origin: Origin, place: str) -> _T:
        try:
            return choose()
        except Unresolved as error:
            raise origin.error(place, str(error), error.code) from None


def _places(text: str, origin: Origin) -> Callable[..., str]:
    """A function that locates the value at a path in `text`."""

    def place(*path: Step) -> str:
        return origin.at_offset(text, locate(text, path)) if text else origin.name

    return place


def _said(value: Mapping[str, Any], key: str, wanted: Wanted, origin: Origin, place: Callable[..., str]) -> str:
    """What an envelope, or failing that the caller, says for `key`."""
    said, known = value.get(key), getattr(wanted, key)
    if said is None or said == "":
        return str(known)
    if not isinstance(said, str):
        raise origin.error(place(key), f"{shown(said)} is not the name of a {_MEANT[key]}; write it as text")
    if known and said != known:
        raise origin.error(place(key), f"the envelope says {key} {shorten(said)} and the caller {shorten(known)}")
    return said


def check_text(text: str) -> None:
    """That `text` is JSON or XML. Raises WireError."""
    origin = Origin.outer("")
    if _is_xml(text):
        from xpipe.wire.xml_text import XmlText

        XmlText(text.lstrip(), origin)
    else:
        read_json(text, origin)


def _is_xml(text: str) -> bool:
    return text.lstrip(" \t\r\n\ufeff").startswith("<")


_MEANT = {"to": "listener", "type": "payload type"}


def _unwrapped(document: XmlText, wanted: Wanted) -> tuple[Wanted, _Element]:
    """What the envelope around `document` says, and the payload element in it."""
    root, origin = document.root, document.origin
    heads = {"to": wanted.to, "type": wanted.type}
    payloads: list[_Element] = []
    seen: set[str] = set()
    for child in root:
        tag = str(child.tag)
        if tag not in heads:
            payloads.append(child)
            continue
        if tag in seen:
            raise origin.error(document.place(child), f"the envelope has a second <{tag}>")
        seen.add(tag)
        said = {tag: (child.text or "").strip()}
        heads[tag] = _said(said, tag, wanted, origin, lambda *_, at=child: document.place(at))
    if len(payloads) != 1:
        count = len(payloads) or "none"
        where = document.place(payloads[1] if payloads else root)
        raise origin.error(where, f"a <message> holds one payload element beside <to>, and this one holds {count}")
    loose = [root.text, *(child.tail for child in root)]
    stray = next((text.strip() for text in loose if text and text.strip()), "")
    if stray:
        raise origin.error(document.place(root), f"the text {shown(stray)} stands in a <message> beside its elements")
    return Wanted(heads["to"], heads["type"]), payloads[0]


def _bare_name(document: XmlText, element: _Element) -> str:
    tag = str(element.tag)
    if tag.startswith("{"):
        name = tag.rpartition("}")[2]
        place = document.place(element)
        raise document.origin.error(place, f"<{shorten(name)}> has a namespace; payloads have none, remove xmlns")
    return tag
