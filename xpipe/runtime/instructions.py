"""What a listener is told about the listeners it may call."""

from __future__ import annotations

from xpipe.core.organism import Listener
from xpipe.runtime.topology import Topology


def usage_instructions(listener: Listener, topology: Topology) -> str:
    """A line for each peer of `listener`: its name, what it accepts, its description. Empty without a peers list."""
    lines = []
    for peer in sorted(listener.peers or ()):
        for name in topology.members(peer):
            about = topology[name].description
            lines.append(f"- {name} accepts {topology.accepted(name)}{f': {about}' if about else ''}")
    return "\n".join(lines)
