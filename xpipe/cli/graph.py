"""`xpipe graph`: the command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import options
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile, find_file
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.emitting import Emitter
    from xpipe.config.graph import Graph

EXAMPLES = """[bold]Examples[/bold]

  xpipe graph

  xpipe graph organism.yaml --no-imports --json

  xpipe graph --format mermaid > topology.mmd

  xpipe graph --format dot | dot -Tsvg > topology.svg"""

FORMATS = ("text", "mermaid", "dot", "json")
_SHOWING = "Showing"

Imports = Annotated[
    bool,
    typer.Option(
        "--imports/--no-imports",
        metavar="",
        help="Import the handlers, to see what they take and how they run; --no-imports runs none of your code.",
    ),
]
FormatName = Annotated[
    str | None, option("--format", "-f", values=FORMATS, help=r"Output format \[default: text].", panel=_SHOWING)
]
Json = Annotated[bool, option("--json", help="Same as --format json.", panel=_SHOWING)]


def graph(
    organism: OrganismFile = None,
    set: options.Overrides = None,
    imports: Imports = True,
    format: FormatName = None,
    json: Json = False,
) -> int:
    """Show who calls whom in an organism: listeners, groups, and the messages of the file.

    The calls are those declared in the file: peers, steps of sequences, targets of buffers.

    A listener without `peers` may call anyone; its code decides.

    Exit codes: 0 fine, 2 wrong options, 3 bad organism.yaml.
    """
    if json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} exclude each other; pass one of them")
    named = "json" if json else format or "text"
    if named not in FORMATS:
        raise UsageError(f"--format {named!r} is not one of {', '.join(FORMATS)}")
    overrides = options.parse_overrides(set)
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.loading import load_organism
    from xpipe.config.graph import graph_of

    emitter = Emitter()
    definition = load_organism(find_file(organism), overrides, imports)
    _draw(emitter, graph_of(definition, imports), named)
    return 0


def _draw(emitter: Emitter, graph: Graph, format: str) -> None:
    if format == "json":
        from xpipe.cli.graph_rows import edge_row, node_row

        facts = {"organism": graph.organism, "backend": graph.backend, "nodes": list(map(node_row, graph.nodes))}
        emitter.json(facts, "edges", map(edge_row, graph.edges))
    else:
        emitter.lines(_lines(emitter, graph, format))


def _lines(emitter: Emitter, graph: Graph, format: str) -> Iterator[str]:
    if format == "text":
        from xpipe.cli.console import Medium, Printer
        from xpipe.cli.graph_tree import tree_lines

        return tree_lines(Printer(Medium.of(emitter.stdout.number)), graph)
    from xpipe.cli.graph_drawing import dot_lines, mermaid_lines

    return mermaid_lines(graph) if format == "mermaid" else dot_lines(graph)
