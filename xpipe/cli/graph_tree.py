"""A graph as a tree for people: every call is shown, and what a listener calls in turn is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xpipe.cli.console import Printer
from xpipe.cli.graph_words import call_words, is_declared, kind_words, node_notes
from xpipe.cli.layout import Column
from xpipe.cli.text import counted
from xpipe.config.graph import Edge, Graph, Node

CIRCLE = "calls back: a circle"
ABOVE = "its calls: see above"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree: what is drawn before its node, the call that led to it, and a note on where it leads."""

    lead: str
    node: Node
    call: Edge | None
    note: str = ""


def tree_lines(printer: Printer, graph: Graph) -> Iterator[str]:
    """The tree, under a line that says whose it is."""
    listeners = sum(is_declared(node) for node in graph.nodes)
    about = f"{counted(listeners, 'listener')}, state in {graph.backend}"
    yield f"{printer.styled(graph.organism, 'bold')}  {printer.styled(about, 'dim')}"
    yield ""
    rows = list(tree_rows(graph))
    columns = [Column("listener", name=True), Column("kind", whole=True), Column("takes"), Column("notes")]
    cells = [_cells(row) for row in rows]
    empty = {index for index in (2, 3) if not any(line[index] for line in cells)}
    shown = [index for index in range(len(columns)) if index not in empty]
    yield printer.table([columns[index] for index in shown], [[line[index] for index in shown] for line in cells])


def _cells(row: Row) -> tuple[str, ...]:
    node, call = row.node, row.call
    step = f"{call.step}. " if call is not None and call.step is not None else ""
    words = call_words(call) if call is not None and not step else ""
    takes, notes = ("", [row.note]) if row.note else (", ".join(node.accepts or ()), node_notes(node))
    return f"{row.lead}{step}{node.name}", kind_words(node), takes, "; ".join(filter(None, [words, *notes]))


def tree_rows(graph: Graph) -> Iterator[Row]:
    """The nodes, those that nobody calls first, below each whom it calls. It ends, whatever the graph is like."""
    nodes = {node.id: node for node in graph.nodes}
    calls: dict[str, list[Edge]] = {id: [] for id in nodes}
    called = set()
    for edge in graph.edges:
        if edge.kind != "reply":
            calls[edge.source].append(edge)
            if edge.source != edge.target:
                called.add(edge.target)
    opened: set[str] = set()
    seen: set[str] = set()
    # Where all of some call each other in a circle, one of them begins.
    for root in [*(id for id in nodes if id not in called), *nodes]:
        if root not in seen:
            for row in _branch(root, nodes, calls, opened):
                seen.add(row.node.id)
                yield row


def _branch(root: str, nodes: dict[str, Node], calls: dict[str, list[Edge]], opened: set[str]) -> Iterator[Row]:
    path: list[str] = []
    stack: list[tuple[str, Edge | None, int, str, str]] = [(root, None, 0, "", "")]
    while stack:
        id, call, depth, lead, below = stack.pop()
        del path[depth:]
        above = id in opened and bool(calls[id])
        yield Row(lead, nodes[id], call, (CIRCLE if id in path else ABOVE) if above else "")
        if above:
            continue
        opened.add(id)
        path.append(id)
        for edge in reversed(calls[id]):
            last = edge is calls[id][-1]
            mark, rest = ("└─ ", "   ") if last else ("├─ ", "│  ")
            stack.append((edge.target, edge, depth + 1, below + mark, below + rest))
