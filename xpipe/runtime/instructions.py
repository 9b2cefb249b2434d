"""What a listener is told about the listeners it may call."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xpipe.core.organism import Listener
from xpipe.core.payloads import SYSTEM_PAYLOADS
from xpipe.runtime.topology import Topology
from xpipe.wire.json_schema import example, json_schema


def usage_instructions(listener: Listener, topology: Topology) -> str:
    """A paragraph for each peer of `listener`: its name and description, and for each payload it accepts the JSON
    Schema and an example. Empty without a peers list."""
    names = [name for peer in sorted(listener.peers or ()) for name in topology.members(peer)]
    return "\n\n".join("\n".join(_paragraph(topology[name])) for name in dict.fromkeys(names))


def _paragraph(peer: Listener) -> Iterator[str]:
    yield f"{peer.name}: {peer.description}" if peer.description else peer.name
    for cls in peer.accepts:
        if cls not in SYSTEM_PAYLOADS and cls is not object:
            yield from _accepted(cls)


def _accepted(cls: type) -> Iterator[str]:
    yield f"  accepts {cls.__name__}"
    schema = json_schema(cls)
    if schema is not None:
        yield f"    schema: {msgspec.json.encode(schema).decode()}"
        yield f"    example: {msgspec.json.encode(example(cls)).decode()}"
