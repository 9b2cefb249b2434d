"""What is said of the nodes and edges of a graph, in every drawing alike."""

from __future__ import annotations

from collections.abc import Iterator

from xpipe.cli.text import counted, number
from xpipe.config.graph import SYSTEM, Edge, Node


def kind_words(node: Node) -> str:
    """How a node works: `async`, `agent, thread`; nothing for the messages of the file."""
    if node.kind == "messages":
        return ""
    return f"agent, {node.kind}" if node.agent else node.kind


def is_declared(node: Node) -> bool:
    """Whether a node is a listener of the file."""
    return node.kind not in ("messages", "group") and node.id not in SYSTEM


def node_notes(node: Node) -> Iterator[str]:
    """What else is known of a node."""
    if node.calls_any:
        yield "may call any listener"
    if node.answers is not None:
        yield f"may answer {', '.join(node.answers)}" if node.answers else "never answers"


def call_words(edge: Edge) -> str:
    """What an edge is about, nothing for a plain call."""
    match edge.kind:
        case "message":
            return counted(edge.messages or 0, "message")
        case "item":
            return f"each item, {number(edge.max_in_flight or 0)} at once"
        case "step":
            return f"step {edge.step}"
        case "member":
            return "member"
        case "reply":
            return ", ".join(edge.types or ())
    return ""
