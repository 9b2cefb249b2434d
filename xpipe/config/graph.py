"""The topology that an organism.yaml declares: who can call whom, as far as that can be known without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from xpipe.config.primitives import answered
from xpipe.config.replies import handled_answers
from xpipe.core.organism import Listener, OrganismDefinition
from xpipe.core.payloads import (
    BUFFER,
    DEFAULT_IN_FLIGHT,
    SEQUENCE,
    BufferStart,
    SequenceStart,
)

START = "system.messages"
"""The id of the messages of the file; names below system belong to xpipe."""

NodeKind = Literal["async", "thread", "inline", "worker", "handler", "buffer", "sequence", "group", "messages"]
EdgeKind = Literal["message", "peer", "step", "item", "member", "reply"]

SYSTEM: Mapping[str, tuple[NodeKind, type]] = {BUFFER: ("buffer", BufferStart), SEQUENCE: ("sequence", SequenceStart)}
"""The listeners of xpipe itself: what they are and take."""


@dataclass(frozen=True, slots=True)
class Node:
    """A listener, a group, a listener of xpipe that others name, or the messages of the file. Its id is unique.

    kind: how the handler runs (`handler`: not known without its code), or what stands in its place. calls_any: it has
    no peers, and so may call anybody. accepts, answers: names of payload classes, None where they are not known; what a
    handler is annotated to return may be an answer, or go to another listener.
    """

    id: str
    name: str
    kind: NodeKind
    agent: bool = False
    description: str = ""
    calls_any: bool = False
    accepts: tuple[str, ...] | None = None
    answers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` calls `target`, both by id; a reply goes the other way.

    step: the place in a sequence, from 1; max_in_flight: items of a buffer under way at once;
    messages: how many the file sends there; types: the classes of a reply.
    """

    source: str
    target: str
    kind: EdgeKind
    step: int | None = None
    max_in_flight: int | None = None
    messages: int | None = None
    types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """The topology of an organism: nodes and edges in the order of its file, what xpipe adds at the end."""

    organism: str
    backend: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(definition: OrganismDefinition, imported: bool = True) -> Graph:
    """The graph of `definition`; without `imported` its handlers are not loaded."""
    answers = _answers(definition.listeners)
    nodes = [_node(listener, answers.get(listener.name), imported) for listener in definition.listeners]
    groups = _groups(definition.listeners)
    nodes += [Node(group, group, "group") for group in groups]
    order = {node.id: position for position, node in enumerate(nodes)}
    edges = [*_messages(definition), *(edge for one in definition.listeners for edge in _calls(one, order))]
    edges += [Edge(group, member, "member") for group, members in groups.items() for member in members]
    nodes += _named_system(edges, order, answers)
    if definition.messages:
        nodes.insert(0, Node(START, "messages", "messages"))
    known = {node.id: node.answers for node in nodes}
    edges += [
        Edge(edge.target, edge.source, "reply", types=types) for edge in edges if (types := known.get(edge.target))
    ]
    return Graph(definition.name, definition.backend.type, tuple(nodes), tuple(edges))


def _node(listener: Listener, answers: tuple[str, ...] | None, imported: bool) -> Node:
    plain = not (listener.buffer or listener.sequence)
    known = imported or listener.buffer
    return Node(
        listener.name,
        listener.name,
        _kind(listener, imported),
        listener.agent,
        listener.description,
        calls_any=plain and listener.peers is None,
        accepts=tuple(cls.__name__ for cls in listener.accepts) if known else None,
        answers=answers,
    )


def _kind(listener: Listener, imported: bool) -> NodeKind:
    if listener.buffer:
        return "buffer"
    if listener.sequence:
        return "sequence"
    if listener.cpu_bound:
        return "worker"
    if not imported:
        return "inline" if listener.inline else "handler"
    return "async" if listener.asynchronous else "inline" if listener.inline else "thread"


def _groups(listeners: Iterable[Listener]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for listener in listeners:
        if listener.broadcast:
            groups.setdefault(listener.name.rpartition(".")[0], []).append(listener.name)
    return groups


def _messages(definition: OrganismDefinition) -> list[Edge]:
    counts: dict[str, int] = {}
    for message in definition.messages:
        counts[message.to] = counts.get(message.to, 0) + 1
    return [Edge(START, to, "message", messages=count) for to, count in counts.items()]


def _calls(listener: Listener, order: Mapping[str, int]) -> Iterator[Edge]:
    """`order` says where each listener and group stands: peers are a set, and what is printed has one order."""
    name = listener.name
    if listener.buffer:
        width = listener.buffer.max_in_flight or DEFAULT_IN_FLIGHT
        yield Edge(name, listener.buffer.target, "item", max_in_flight=width)
    for index, step in enumerate(listener.sequence, 1):
        yield Edge(name, step.listener, "step", index)
    for peer in sorted(listener.peers or (), key=lambda peer: (order.get(peer, len(order)), peer)):
        yield Edge(name, peer, "peer")


def _named_system(
    edges: Iterable[Edge], known: Mapping[str, int], answers: Mapping[str, tuple[str, ...]]
) -> list[Node]:
    named = {edge.target for edge in edges} - known.keys()
    return [
        Node(name, name, kind, accepts=(takes.__name__,), answers=answers[name])
        for name, (kind, takes) in SYSTEM.items()
        if name in named
    ]


def _answers(listeners: tuple[Listener, ...]) -> dict[str, tuple[str, ...]]:
    """What each listener, and each of xpipe, may answer, where that is known."""
    classes = answered(listeners, handled_answers(listeners))
    answers = {name: tuple(cls.__name__ for cls in given) for name, given in classes.items()}
    answers.update((one.name, ()) for one in listeners if one.answers == ())
    return answers
