"""What XML 1.0 can carry: names, characters, and the attributes that xpipe uses."""

from __future__ import annotations

import re

from xpipe.wire.misfit import Misfit, shown

XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL = f"{{{XSI}}}nil"
TYPE = f"{{{XSI}}}type"

_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(rf"[{_START}][{_START}\-.0-9\u00b7\u0300-\u036f\u203f-\u2040]*")
_BAD = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE = _TEXT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})


def escape_text(text: str) -> str:
    """`text` as the content of an element. Raises Misfit for a character that XML 1.0 cannot carry."""
    return _carried(text).translate(_TEXT)


def escape_attribute(text: str) -> str:
    """`text` as the value of an attribute in double quotes. Raises Misfit likewise."""
    return _carried(text).translate(_ATTRIBUTE)


def check_name(name: str) -> str:
    """`name`, if it can name an element. Raises Misfit."""
    if not _NAME.fullmatch(name):
        raise Misfit(f"{shown(name)} cannot name an XML element; give the field another name or use JSON")
    return name


def _carried(text: str) -> str:
    bad = _BAD.search(text)
    if bad:
        raise Misfit(f"the character U+{ord(bad[0]):04X} at index {bad.start()} cannot travel in XML 1.0; use JSON")
    return text
