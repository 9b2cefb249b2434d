"""The Lua scripts, put together from the parts in lua/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_RECORDS = ("layout", "records", "threads", "messages", "ready", "flush")
_PARTS: dict[str, tuple[str, ...]] = {
    "advance": (*_RECORDS, "ledger", "claim"),
    "inject": (*_RECORDS, "ledger"),
    "release": (*_RECORDS, "claim"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """Lua source, and the name under which a server keeps it once it has seen it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of lua/{name}.lua with the parts it builds on."""
    folder = files("xpipe.backends").joinpath("lua")
    parts = ("keys", *_PARTS.get(name, ("layout",)), name)
    source = "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
