"""Nodes and edges of a graph as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpipe.cli.file_documents import EdgeRow, NodeRow
    from xpipe.config.graph import Edge, Node


def node_row(node: Node) -> NodeRow:
    """A node."""
    return {
        "id": node.id,
        "name": node.name,
        "kind": node.kind,
        "agent": node.agent,
        "description": node.description,
        "calls_any": node.calls_any,
        "accepts": None if node.accepts is None else list(node.accepts),
        "answers": None if node.answers is None else list(node.answers),
    }


def edge_row(edge: Edge) -> EdgeRow:
    """An edge."""
    return {
        "from": edge.source,
        "to": edge.target,
        "kind": edge.kind,
        "step": edge.step,
        "max_in_flight": edge.max_in_flight,
        "messages": edge.messages,
        "types": None if edge.types is None else list(edge.types),
    }
