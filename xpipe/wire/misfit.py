"""Misfits: a value that does not fit its shape, with the path to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpipe.core.secrets import is_secret_name, redacted


@dataclass(frozen=True, slots=True)
class Key:
    """A step of a path into a dict."""

    key: Any


Step: TypeAlias = str | int | Key
"""A step of a path: the name of a field, the index of an item, or a Key."""


class Misfit(Exception):
    """`reason` says what is wrong at `path`, which grows outwards while the error rises.

    `mark` is whatever the raiser knows of the place, e.g. an XML element. `code` is a fault code.
    """

    def __init__(self, reason: str, *path: Step, mark: Any = None, code: str = "bad_payload") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[Step] = list(path)
        self.mark = mark
        self.code = code

    def under(self, step: Step, mark: Any = None) -> Misfit:
        """The same misfit seen from one level further out."""
        self.path.insert(0, step)
        if self.mark is None:
            self.mark = mark
        return self

    def text(self, name: str) -> str:
        """The sentence, for a payload of the class called `name`."""
        reason = self.reason
        named = (str(getattr(step, "key", step)) for step in self.path)
        if not reason.startswith(_ABOUT_NAMES) and any(map(is_secret_name, named)):
            reason = "the value, which is not shown, does not fit"
        return f"{name}{path_text(self.path)}: {reason}"


def path_text(path: Iterable[Step]) -> str:
    """`path` as in Python: `.items[3].price`."""
    parts = (f".{step}" if isinstance(step, str) else f"[{_key(step)}]" for step in path)
    return "".join(parts)


def _key(step: int | Key) -> str:
    return shown(step.key) if isinstance(step, Key) else str(step)


def shown(value: object, limit: int = 60) -> str:
    """`value` as it would be written in Python, cut to about `limit` characters."""
    if isinstance(value, str | bytes) and len(value) > limit:
        return repr(_start(value, limit)) + "..."
    if isinstance(value, dict | list | tuple | set | frozenset):
        return f"a {type(value).__name__} of {len(value)}"
    try:
        text = repr(value)
    except Exception as error:  # a hostile number or a class of the user's
        return f"a {type(value).__name__} ({type(error).__name__})"
    text = redacted(text)
    return text if len(text) <= limit else text[:limit] + "..."


def _start(value: str | bytes, limit: int) -> str | bytes:
    """The first `limit` characters without credentials, of which none is cut in two."""
    head = value[: limit * 100]
    return (
        redacted(head)[:limit] if isinstance(head, str) else redacted(head.decode("latin-1"))[:limit].encode("latin-1")
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or failing that which names there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:200], names, 1)
    if close:
        return f"did you mean {close[0]}?"
    if not names:
        return "there are none"
    shown_names = ", ".join(names[:12])
    return f"there {'is only' if len(names) == 1 else 'are'} {shown_names}" + (", ..." if len(names) > 12 else "")


def unknown_field(name: str, known: Iterable[str], mark: Any = None) -> Misfit:
    """The misfit of a field `name` that the class does not have."""
    return Misfit(f"{_NO_FIELD}; {nearest(name, known)}", shorten(name), mark=mark)


def shorten(name: str, limit: int = 60) -> str:
    """`name`, which came from outside, fit to stand in a sentence."""
    clean = redacted(name if name.isprintable() else repr(name)[1:-1])
    return clean if len(clean) <= limit else clean[:limit] + "..."


_NO_FIELD = "there is no such field"
MISSING = "the field is missing and has no default"
TWICE = "the field is given twice"
_ABOUT_NAMES = (_NO_FIELD, MISSING, TWICE)
