"""How findings speak of what they found in a file."""

from __future__ import annotations

from collections.abc import Iterable

from xpipe.config.nodes import ListNode, MapNode, Node
from xpipe.core.module_names import plain_names

_LONGEST = 80
_LONGEST_LINE = 200
_MOST_OPTIONS = 1000
_MOST_LISTED = 8


def quote(text: str) -> str:
    """`text` in double quotes on one line, without credentials, control characters escaped and long text cut."""
    from xpipe.core.secrets import redacted  # Few files have errors.

    text = redacted(text)
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f'"{printable(shown)}"'


def printable(text: str) -> str:
    """`text` with control characters and the like as escapes, so that it stays one line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def one_line(text: str) -> str:
    """The first line of `text` that holds something: printable, bounded, no full stop, modules under plain names."""
    line = next((line.strip() for line in plain_names(text).splitlines() if line.strip()), "")
    from xpipe.core.secrets import redacted

    line = redacted(line)
    return printable(line.rstrip(".") if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ...")


def found(node: Node, secret: bool = False) -> str:
    """What `node` is, for `must be ..., not <this>`. The value of a secret is never shown, nor that of a variable."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list" if node.items else "an empty list"
    kind = _kind(node.value)
    if secret or node.value is None:
        return kind
    if node.varied:
        return f"{kind} (from {quote(node.source)})"
    return quote(node.source) if kind == "text" else quote(node.source)[1:-1]


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A hint naming the one of `options` nearest to `word`, or nothing."""
    near = nearest(word, options)
    return f"Did you mean {quote(near)}?" if near else ""


def nearest(word: str, options: Iterable[str]) -> str:
    """The one of `options` that is like `word`, "" if none is."""
    import difflib  # costs as much as all of this package, and few files have errors

    names = list(dict.fromkeys(options))
    if len(word) > _LONGEST or len(names) > _MOST_OPTIONS:
        return ""
    folded = {name.casefold(): name for name in reversed(names)}
    near = difflib.get_close_matches(word.casefold(), folded, 1, 0.6)
    return folded[near[0]] if near else ""


def listed(introduction: str, names: Iterable[str]) -> str:
    """A hint with the first of `names`."""
    known = [one if one.isprintable() and len(one) <= _LONGEST else quote(one) for one in dict.fromkeys(names)]
    rest = ", ..." if len(known) > _MOST_LISTED else "."
    return f"{introduction} {', '.join(known[:_MOST_LISTED])}{rest}"


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "text"
