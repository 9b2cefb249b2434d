"""The Lua scripts, put together from the parts in lua/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_RECORDS = ("layout", "records", "threads", "messages", "dead", "ready", "flush")
_LEDGER = ("calls", *_RECORDS, "joins", "collecting", "mishaps", "overdue", "revoking", "ledger")
_ROWS = ("layout", "messages", "rows")
_FORGETTING = ("layout", "forgetting")
_SETTLING = ("layout", "settling")
_PAIRS = ("layout", "pairs")
_PARTS: dict[str, tuple[str, ...]] = {
    "advance": (*_LEDGER, "commit", "claim"),
    "inject": _LEDGER,
    "cancel": _LEDGER,
    "release": _RECORDS,
    "set_aside": _RECORDS,
    "set_hop_aside": _RECORDS,
    "discard": (*_RECORDS, "forgetting"),
    "set_entry_aside": (*_RECORDS, "pairs"),
    "damaged_page": (*_ROWS, "pairs", "damage"),
    "damaged_of": (*_PAIRS, "damage"),
    "enroll": ("clock",),
    "lease": ("calls", "clock"),
    "pumps": ("clock",),
    "delivered": _SETTLING,
    "clear": _SETTLING,
    "adopt": ("calls", *_ROWS),
    "drop_dead": ("calls",),
    "conversation_row": _ROWS,
    "conversations_page": _ROWS,
    "threads_page": _ROWS,
    "thread_rows": _ROWS,
    "buffers_page": _ROWS,
    "hops_page": _ROWS,
    "slots_page": (*_ROWS, "pairs", "damage"),
    "forget": _FORGETTING,
    "forget_ended": _FORGETTING,
    "make_room": _FORGETTING,
    "open": _PAIRS,
    "renew": _PAIRS,
    "registry_set": _PAIRS,
    "registry_page": _PAIRS,
    "orphans": _PAIRS,
    "damaged_entries": _PAIRS,
    "damaged_pairs": _PAIRS,
}

_TOKEN = re.compile(r"--.*|'(?:\\.|[^'\\\n])*'|(?<![.\w])[A-Za-z_]\w*\b(?!\s*=[^=])")
"""A comment, a string, or a name that is not that of a field."""
_DECLARED = re.compile(
    r"--.*|\blocal (?!function)(\w+(?:,\s*\w+)*)|\bfor (\w+(?:, \w+)*)|\bfunction ?([\w.]*)\(([\w, ]*)",
)
_AT_ONCE = {"keys", "calls"}
"""Parts that look at what is stored, to refuse a call; the others are made when something of them is first asked for:
most calls do without some, and to make them all takes longer than a call."""
_TABLE = """local M
M = setmetatable({{{room}}}, {{__index = function(_, at)
{parts}
return rawget(M, at)
end}})"""
"""All names that parts give, by number: it is an array, which takes less to make than one by name."""


@dataclass(frozen=True, slots=True)
class Part:
    """Lua that others build on; it ends by returning the `names` that it gives them."""

    name: str
    source: str
    names: list[str]

    @classmethod
    def of(cls, name: str) -> Part:
        source = _read(name)
        return cls(name, source, re.findall(r"\w+", source.rpartition("\nreturn ")[2]))


@dataclass(frozen=True, slots=True)
class Script:
    """Lua source, and the name under which a server keeps it once it has seen it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of lua/{name}.lua with the parts it builds on."""
    parts = [Part.of(part) for part in ("keys", *_PARTS.get(name, ("layout",)))]
    names = [one for part in parts for one in part.names]
    places = {one: f"M[{at}]" for at, one in enumerate(names, 1)}
    later = "\n".join(_made_later(part, places) for part in parts if part.name not in _AT_ONCE)
    table = _TABLE.format(room=", ".join(["nil"] * len(names)), parts=later)
    made = (_made(part, places) for part in parts if part.name in _AT_ONCE)
    source = "\n".join((table, *made, f"return (function()\n{linked(_read(name), places)}end)()"))
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _made(part: Part, places: Mapping[str, str]) -> str:
    """Lua that makes `part`."""
    given = ", ".join(places[one] for one in part.names)
    return f"{given} = (function()\n{linked(part.source, places)}end)()"


def _made_later(part: Part, places: Mapping[str, str]) -> str:
    """Lua that makes `part` if `M[at]` is one of its names, which have places one after the other."""
    first, last = (places[part.names[at]][2:-1] for at in (0, -1))
    return f"if at >= {first} and at <= {last} then\n{_made(part, places)}\nend"


def linked(source: str, places: Mapping[str, str]) -> str:
    """`source` with the names that others give taken from the table `M`, but for those that it declares itself.

    To make a function takes the longer, the more names around it it refers to: so there is only this one.
    """
    own = {name for names in _DECLARED.findall(source) for name in re.findall(r"\w+", " ".join(names))}
    taken = {name: place for name, place in places.items() if name not in own}
    return _TOKEN.sub(lambda found: taken.get(found[0], found[0]), source)


def _read(name: str) -> str:
    return files("xpipe.backends").joinpath("lua", f"{name}.lua").read_text("utf-8")
