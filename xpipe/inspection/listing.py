"""Which threads there are, newest first, and how they call each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from xpipe.core import chains
from xpipe.ports import SharedBackend, ThreadRecord


class ThreadFilter(NamedTuple):
    """Which threads are meant; empty for all. before: nothing has happened in them since, in seconds of the epoch."""

    states: frozenset[str] = frozenset()
    listeners: frozenset[str] = frozenset()
    conversation: str | None = None
    before: float | None = None

    @property
    def takes_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self == ThreadFilter()

    def takes(self, thread: ThreadRecord) -> bool:
        """Whether `thread`, one of the conversation, is meant."""
        return (
            (not self.states or thread.state in self.states)
            and (not self.listeners or thread.listener in self.listeners)
            and (self.before is None or thread.touched < self.before)
        )


@dataclass(slots=True)
class CallTree:
    """A thread and the threads that it called. path: what its chain adds to that of its caller, as names."""

    thread: ThreadRecord
    path: list[str]
    calls: list[CallTree] = field(default_factory=list)


class Call(NamedTuple):
    """A thread of a call tree: the id of the thread that called it, None for a root, and how deep it is in the tree."""

    thread: ThreadRecord
    caller: str | None
    depth: int


class Forest(NamedTuple):
    """The call trees of conversations. more: threads were left out."""

    trees: Sequence[CallTree]
    more: bool


def newest_threads(backend: SharedBackend, which: ThreadFilter) -> Iterator[ThreadRecord]:
    """The threads that `which` takes, the newest first. Reads no further than it is asked for."""
    return filter(which.takes, backend.threads(which.conversation, newest=True))


def call_trees(backend: SharedBackend, which: ThreadFilter, most: int | None) -> Forest:
    """The call tree of each conversation that has a thread that `which` takes, up to `most` threads in all."""
    trees: list[CallTree] = []
    seen: set[str] = set()
    left = most
    for thread in newest_threads(backend, which):
        if thread.conversation in seen:
            continue
        if left == 0:
            return Forest(trees, more=True)
        seen.add(thread.conversation)
        found = list(islice(backend.threads(thread.conversation), None if left is None else left + 1))
        shown = found[:left]
        trees += grow(shown)
        if len(found) > len(shown):
            return Forest(trees, more=True)
        left = None if left is None else left - len(shown)
    return Forest(trees, more=False)


def calls(backend: SharedBackend, which: ThreadFilter) -> Iterator[Call]:
    """The threads of each conversation that has a thread that `which` takes, callers before those they called.

    Holds no more than one conversation.
    """
    seen: set[str] = set()
    for thread in newest_threads(backend, which):
        if thread.conversation not in seen:
            seen.add(thread.conversation)
            yield from _walk(grow(list(backend.threads(thread.conversation))))


def _walk(trees: list[CallTree]) -> Iterator[Call]:
    stack: list[tuple[CallTree, str | None, int]] = [(tree, None, 0) for tree in reversed(trees)]
    while stack:
        tree, caller, depth = stack.pop()
        yield Call(tree.thread, caller, depth)
        stack += [(call, tree.thread.thread, depth + 1) for call in reversed(tree.calls)]


def grow(threads: Sequence[ThreadRecord]) -> list[CallTree]:
    """The trees of `threads`, callers before those they called; one whose caller is not among them is a root."""
    nodes: dict[str, CallTree] = {}
    roots: list[CallTree] = []
    for thread in threads:
        caller = _caller(nodes, thread.chain)
        above = f"{caller.thread.chain}." if caller else ""
        node = nodes[thread.chain] = CallTree(thread, chains.names(thread.chain.removeprefix(above)))
        (caller.calls if caller else roots).append(node)
    return roots


def _caller(nodes: dict[str, CallTree], chain: str) -> CallTree | None:
    """The nearest of `nodes` above `chain`; an item of a Buffer has segments of its own in between."""
    while "." in chain:
        chain = chains.prune(chain)[0]
        if chain in nodes:
            return nodes[chain]
    return None
