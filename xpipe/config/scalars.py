"""The types of plain YAML scalars: the YAML 1.2 core schema, so that `NO`, `1:30` and `2024-01-01` stay text."""

from __future__ import annotations

import re

_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,999})")
_BASED = {"0o": (re.compile(r"0o[0-7]{1,1000}"), 8), "0x": (re.compile(r"0x[0-9a-fA-F]{1,1000}"), 16)}
_FLOAT = re.compile(r"(?=.*[.eE])[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def resolve(text: str) -> object:
    """The value of the plain scalar `text`: None, bool, int, float or str.

    Differs from the core schema in one thing: a number with leading zeros (`0123`) stays text, whose readers
    disagree whether it is octal.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    pattern, base = _BASED.get(text[:2], (None, 0))
    if pattern and pattern.fullmatch(text):
        return int(text, base)
    return float(text) if _FLOAT.fullmatch(text) else text
