"""The Lua scripts, put together from the parts in lua/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_RECORDS = ("layout", "records", "threads", "messages", "dead", "ready", "flush")
_LEDGER = ("calls", *_RECORDS, "revoking", "ledger")
_ROWS = ("layout", "messages", "rows")
_FORGETTING = ("layout", "forgetting")
_SETTLING = ("layout", "settling")
_PAIRS = ("layout", "pairs")
_PARTS: dict[str, tuple[str, ...]] = {
    "advance": (*_LEDGER, "commit", "claim"),
    "inject": _LEDGER,
    "cancel": _LEDGER,
    "release": (*_RECORDS, "claim"),
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


@dataclass(frozen=True, slots=True)
class Script:
    """Lua source, and the name under which a server keeps it once it has seen it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of lua/{name}.lua with the parts it builds on."""
    parts = map(_part, _PARTS.get(name, ("layout",)))
    source = "\n".join((_read("keys"), *parts, f"return (function()\n{_read(name)}end)()"))
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _part(name: str) -> str:
    """A part ends by returning the names that others may use: Lua bounds the local names of one function.

    And a function that refers to a name takes the longer to make, the more names there are beside it.
    """
    source = _read(name)
    names = source.rpartition("\nreturn ")[2].strip()
    return f"local {names} = (function()\n{source}end)()"


def _read(name: str) -> str:
    return files("xpipe.backends").joinpath("lua", f"{name}.lua").read_text("utf-8")
