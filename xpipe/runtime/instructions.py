"""What a listener is told about the listeners it may call."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xpipe.core.codec import accepts_type
from xpipe.core.organism import Listener
from xpipe.core.payloads import BufferComplete, BufferDispatched, Fault, Items, SequenceComplete
from xpipe.runtime.topology import Topology
from xpipe.wire.json_schema import example, json_schema

_ANSWERS = (Fault, BufferComplete, BufferDispatched, SequenceComplete)
"""What comes to a listener only as an answer to a call of its own."""


def usage_instructions(listener: Listener, topology: Topology) -> str:
    """A paragraph for each peer of `listener`: its name and description, and for each payload it accepts the JSON
    Schema and an example. A group has one, and so has each of its members. Empty without a peers list.

    Of the user's own classes those that a peer takes only as answers are told of, too: nothing tells them apart.
    """
    reached = ((peer, *topology.members(peer)) for peer in sorted(listener.peers or ()) if topology.members(peer))
    names = dict.fromkeys(name for names in reached for name in names)
    return "\n\n".join("\n".join(_paragraph(name, topology)) for name in names)


def _paragraph(name: str, topology: Topology) -> Iterator[str]:
    peer = topology.get(name)
    if peer is None:
        yield f"{name}: what is sent to it goes to each of {', '.join(topology.members(name))}"
    else:
        yield f"{name}: {peer.description}" if peer.description else name
    for cls, depth in _requests(name, topology):
        yield f"  accepts {'Items of ' * depth}{cls.__name__}"
        if peer is not None:
            yield from _form(cls, depth)


def _requests(name: str, topology: Topology) -> Iterator[tuple[type, int]]:
    """The classes that all listeners called `name` accept; for Items those of the items, and how deep they lie."""
    members = [topology[member] for member in topology.members(name)]
    for cls in members[0].accepts if members else ():
        if cls is object or issubclass(cls, _ANSWERS) or not all(accepts_type(one.accepts, cls) for one in members):
            continue
        target = _target(members[0], topology) if cls is Items and len(members) == 1 else ""
        inner = [(item, depth + 1) for item, depth in _requests(target, topology)] if target else []
        yield from inner or [(cls, 0)]


def _target(listener: Listener | None, topology: Topology) -> str:
    """What gets the items of the Items that `listener` takes, "" where that is a handler."""
    while listener and listener.sequence:
        listener = topology.get(listener.sequence[0].listener)
    return listener.buffer.target if listener and listener.buffer else ""


def _form(cls: type, depth: int) -> Iterator[str]:
    schema = json_schema(cls)
    if schema is None:
        return
    shown = example(cls)
    for _ in range(depth):
        shown = {"items": [shown]}
    yield f"    schema{' of an item' if depth else ''}: {msgspec.json.encode(schema).decode()}"
    yield f"    example: {msgspec.json.encode(shown).decode()}"
