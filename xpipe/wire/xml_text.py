"""XML text -> element tree, and where in the text an element stands. Entities, DTDs and the network stay off."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING
from xml.parsers import expat

from xpipe.core.errors import WireError
from xpipe.wire.encodings import EncodingError, to_utf8
from xpipe.wire.origin import Origin
from xpipe.wire.xml_names import XSI

if TYPE_CHECKING:
    from lxml.etree import XMLParser, XMLSyntaxError, _Element

_PROLOG = re.compile(rb"(?:\s+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
_PLACE = re.compile(r", line \d+, column \d+$")
_ROOT = re.compile(rb"<[^\s<>/!?]+")
_DECLARATION = f' xmlns:xsi="{XSI}"'.encode()

_SENTENCES: tuple[tuple[str, str], ...] = (
    (r"Opening and ending tag mismatch: (\S+) line \d+ and (\S+)", r"<\1> is closed by </\2>"),
    (r"Premature end of data in tag (\S+)", r"the document ends inside <\1>"),
    (r"Couldn't find end of Start Tag (\S+)", r"the tag <\1 is not closed"),
    (r"expected '>'", "a tag is not closed by >"),
    (r"Excessive depth in document: (\d+)", r"elements are nested more than \1 levels deep"),
    (r"Namespace prefix (\S+) .*", r"the prefix \1: is not declared; the elements of payloads have none"),
    (r"Entity '(.+?)' not defined", r"&\1; is not known; write the character itself"),
    (r"xmlParseEntityRef: no name", "a bare & must be written &amp;"),
    (r"EntityRef: expecting ';'", "a bare & must be written &amp;"),
    (r".*?(?:Char|xmlChar value) (0x[0-9A-Fa-f]+|\d+).*", r"the character \1 cannot travel in XML"),
    (r".*[Ii]nvalid bytes.*|.*not proper UTF-8.*", "there are bytes that are no UTF-8"),
    (r".*Text node too long.*", "a text is longer than 10,000,000 bytes; send it as JSON"),
    (r"Attribute (\S+) redefined", r"the attribute \1 is given twice"),
    (r"Document is empty|Start tag expected.*", "an element is expected"),
    (r"Extra content at the end of the document", "there is something after the element"),
    (r"StartTag: invalid element name", "< must be followed by the name of an element, or be written &lt;"),
)


class XmlText:
    """A parsed document. `root` is its element; comments and processing instructions are gone."""

    def __init__(self, data: bytes | str, origin: Origin) -> None:
        """Raises WireError with the place in `origin`."""
        self.origin = origin
        self._data = self._encoded(data)
        self.root = self._parse()

    def place(self, element: _Element) -> str:
        """The file:line:column of the start tag of `element`, which is in this document."""
        index = next(number for number, one in enumerate(self.root.iter()) if one is element)
        line, column = _start_of(self._data, index)
        return self.origin.at(line, column)

    def _encoded(self, data: bytes | str) -> bytes:
        try:
            return to_utf8(data)
        except EncodingError as error:
            raise self.origin.error(self.origin.at(1, 1), str(error)) from None

    def _parse(self) -> _Element:
        from lxml import etree

        data, start = self._data, _prolog_end(self._data)
        if data.startswith(b"<!DOCTYPE", start):
            place = _place_of(data, start)
            raise self.origin.error(self.origin.at(*place), "a DOCTYPE is not accepted; remove it and its entities")
        root = _ROOT.match(data, start)
        cut = root.end() if root and b"xsi:" in data and b"xmlns:xsi" not in data else -1
        try:
            return etree.fromstring(data if cut < 0 else data[:cut] + _DECLARATION + data[cut:], _parser())
        except etree.XMLSyntaxError as error:
            raise self._syntax_error(error, cut) from None

    def _syntax_error(self, error: XMLSyntaxError, cut: int) -> WireError:
        line, column = error.position
        if cut >= 0 and (line, column) > (place := _place_of(self._data, cut)) and line == place[0]:
            column -= len(_DECLARATION)
        sentence = _sentence(error.msg or "it cannot be read")
        return self.origin.error(self.origin.at(line or 1, max(column, 1)), sentence)


@functools.cache
def _parser() -> XMLParser:
    from lxml import etree

    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _sentence(message: str) -> str:
    message = _PLACE.sub("", message.replace("\n", " ").rstrip()).rstrip()
    for pattern, sentence in _SENTENCES:
        match = re.match(pattern, message)
        if match:
            return match.expand(sentence)
    return f"this is no well-formed XML ({message[:1].lower()}{message[1:]})"


def _prolog_end(data: bytes) -> int:
    match = _PROLOG.match(data)
    return match.end() if match else 0


def _place_of(data: bytes, offset: int) -> tuple[int, int]:
    start = data.rfind(b"\n", 0, offset) + 1
    return data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode("utf-8", "replace")) + 1


def _start_of(data: bytes, index: int) -> tuple[int, int]:
    """Line and column, from 1, of the start tag number `index` (from 0) of a well-formed document.

    Expat again, and only for errors: libxml2 keeps no columns.
    """
    left, place = index, (1, 1)
    parser = expat.ParserCreate("utf-8")

    def start(*_: object) -> None:
        nonlocal left, place
        if left == 0:
            place = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        left -= 1

    parser.StartElementHandler = start
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        return place
    return place
