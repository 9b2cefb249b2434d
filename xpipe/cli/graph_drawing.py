"""A graph in the languages of Mermaid and Graphviz. Names of listeners may hold any printable character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from xpipe.cli.graph_words import call_words, kind_words, node_notes
from xpipe.config.graph import Edge, Graph, Node

# Mermaid reads a label as Markdown: a number or dash at its beginning is a list, underscores around a word stress it.
_NOT_PLAIN = re.compile(r"[^\w .,:-]|^[\d-]|\b_|_\b")
_MERMAID_SHAPES = {
    "worker": ("[[", "]]"),
    "buffer": ("{{", "}}"),
    "sequence": ("[/", "/]"),
    "group": ("([", "])"),
    "messages": ("((", "))"),
}
_DOT_SHAPES = {
    "worker": "box3d",
    "buffer": "hexagon",
    "sequence": "cds",
    "group": "folder",
    "messages": "circle",
}
_DOTTED = ("member", "reply")


def mermaid_lines(graph: Graph) -> Iterator[str]:
    """A flowchart."""
    ids = _ids(graph)
    yield "flowchart LR"
    yield f"  %% {_mermaid_text(graph.organism)}"
    for node in graph.nodes:
        opening, closing = _MERMAID_SHAPES.get(node.kind, ("[", "]"))
        yield f'  {ids[node.id]}{opening}"{"<br/>".join(map(_mermaid_text, _label(node)))}"{closing}'
    for edge in graph.edges:
        arrow = "-.->" if edge.kind in _DOTTED else "-->"
        words = call_words(edge)
        about = f'|"{_mermaid_text(words)}"|' if words else ""
        yield f"  {ids[edge.source]} {arrow}{about} {ids[edge.target]}"


def dot_lines(graph: Graph) -> Iterator[str]:
    """A digraph."""
    ids = _ids(graph)
    yield f"digraph {_quoted(graph.organism)} {{"
    yield "  rankdir=LR;"
    yield '  node [shape=box, fontname="sans-serif"];'
    yield '  edge [fontname="sans-serif"];'
    for node in graph.nodes:
        shape = f", shape={_DOT_SHAPES[node.kind]}" if node.kind in _DOT_SHAPES else ""
        yield f"  {ids[node.id]} [label={_dot_label(_label(node))}{shape}];"
    for edge in graph.edges:
        yield f"  {ids[edge.source]} -> {ids[edge.target]}{_dot_options(edge)};"
    yield "}"


def _ids(graph: Graph) -> dict[str, str]:
    """Names that both languages take as they are: listeners may be called `end`, or hold brackets."""
    return {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}


def _label(node: Node) -> list[str]:
    return [node.name, *filter(None, [kind_words(node)]), *node_notes(node)]


def _mermaid_text(text: str) -> str:
    """`text` inside quotes; what might mean something there is written as the number of its character."""
    return _NOT_PLAIN.sub(lambda match: f"#{ord(match[0])};", text)


def _dot_options(edge: Edge) -> str:
    words = call_words(edge)
    options = [f"label={_dot_label([words])}"] if words else []
    if edge.kind in _DOTTED:
        options.append("style=dashed")
    return f" [{', '.join(options)}]" if options else ""


def _dot_label(lines: list[str]) -> str:
    """Lines of text as a label, in which & begins the name of a character."""
    return _quoted("\n".join(lines).replace("&", "&amp;"), lambda text: text.replace("\n", "\\n"))


def _quoted(text: str, finish: Callable[[str], str] = str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{finish(escaped)}"'
