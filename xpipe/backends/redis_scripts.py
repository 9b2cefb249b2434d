"""The Lua scripts, put together from the parts in lua/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set
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
_RARE = {"messages", "dead", "joins", "collecting", "mishaps", "overdue", "revoking"}
"""Parts with nothing but functions, most of which most calls do without: to make them all takes longer than a call."""
_MAKE = """setmetatable(M, {__index = function(_, name)
  local make = makers[name]
  if not make then return nil end
  make()
  return M[name]
end})"""


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
    known = {one for part in parts for one in part.names}
    room = ", ".join(f"{one} = false" for part in parts if part.name not in _RARE for one in part.names)
    made = (_made(part, known) for part in parts)
    called = f"return (function()\n{linked(_read(name), known)}end)()"
    source = "\n".join((f"local M, makers = {{{room}}}, {{}}", _MAKE, *made, called))
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _made(part: Part, known: Set[str]) -> str:
    """Lua that has the names of `part` made: at once, or when one of those of a rare part is first asked for."""
    source = linked(part.source, known)
    made = f"{', '.join(f'M.{one}' for one in part.names)} = (function()\n{source}end)()"
    if part.name not in _RARE:
        return made
    makers = ", ".join(f"makers.{one}" for one in part.names)
    return f"do\nlocal function make()\n{made}\nend\n{makers} = {', '.join(['make'] * len(part.names))}\nend"


def linked(source: str, known: Set[str]) -> str:
    """`source` with the names `known` that others give taken from the table `M`, but for those that it declares itself.

    To make a function takes the longer, the more names around it it refers to: so there is only this one.
    """
    own = {name for names in _DECLARED.findall(source) for name in re.findall(r"\w+", " ".join(names))}
    return _TOKEN.sub(lambda found: f"M.{found[0]}" if found[0] in known - own else found[0], source)


def _read(name: str) -> str:
    return files("xpipe.backends").joinpath("lua", f"{name}.lua").read_text("utf-8")
