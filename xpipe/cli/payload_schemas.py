"""What the listeners of an organism take, as a JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpipe.config.wording import did_you_mean
from xpipe.core.errors import UsageError
from xpipe.core.organism import Listener, OrganismDefinition
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, SequenceStart
from xpipe.wire.json_schema import DIALECT, Schema, json_schemas

_SYSTEM = {BUFFER: BufferStart, SEQUENCE: SequenceStart}


@dataclass(frozen=True, slots=True)
class Taker:
    """A listener, and the classes of the payloads that it takes."""

    name: str
    description: str
    classes: tuple[type, ...]


def accepted(definition: OrganismDefinition, name: str = "") -> list[Taker]:
    """The listener `name`, the members of the group of that name, or all listeners. Raises UsageError."""
    if name in _SYSTEM:
        return [Taker(name, "", (_SYSTEM[name],))]
    chosen = [one for one in definition.listeners if not name or name == one.name or _is_member(one, name)]
    if not chosen:
        known = [one.name for one in definition.listeners]
        hint = did_you_mean(name, known).replace("Did", "did") or f"{definition.file} has {', '.join(known[:10])}"
        raise UsageError(f"{definition.file} has no listener {name!r}; {hint}")
    return [Taker(one.name, one.description, one.accepts) for one in chosen]


def _is_member(listener: Listener, group: str) -> bool:
    return listener.broadcast and listener.name.rpartition(".")[0] == group


def json_document(organism: str, takers: list[Taker]) -> Schema:
    """A JSON Schema of all that `takers` take: a branch for each, titled by its name. Raises PayloadError."""
    classes = list(dict.fromkeys(cls for taker in takers for cls in taker.classes))
    references, definitions = json_schemas(classes)
    by_class = dict(zip(classes, references, strict=True))
    branches = [_branch(taker, [by_class[cls] for cls in taker.classes]) for taker in takers]
    head = {"$schema": DIALECT, "title": f"what the organism {organism} takes"}
    body: dict[str, Any] = branches[0] if len(branches) == 1 else {"anyOf": branches}
    return {**head, **body, "$defs": definitions}


def _branch(taker: Taker, references: list[Schema]) -> Schema:
    told = {"title": taker.name} | ({"description": taker.description} if taker.description else {})
    return told | (references[0] if len(references) == 1 else {"anyOf": references})
