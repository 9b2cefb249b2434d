"""Many threads for people: as a table, and as the trees of their calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from xpipe.cli.console import Printer
from xpipe.cli.layout import Column
from xpipe.cli.looking import shown_of
from xpipe.cli.text import counted, number, size
from xpipe.cli.times import ago
from xpipe.inspection.listing import CallTree, ThreadFilter, call_trees, newest_threads
from xpipe.ports import SharedBackend, ThreadRecord

SHORT = 13
"""Characters of an id where a terminal has no room for it: eight of its conversation, and four of its own."""
WIDE = 160
"""Columns from which on there is room for whole ids."""

_FIGURES = (
    Column("state", whole=True),
    Column("slots", "right", whole=True),
    Column("size", "right", whole=True),
    Column("age", "right", whole=True),
)
_TABLE = (
    Column("thread", whole=True),
    Column("conversation", whole=True),
    Column("call chain"),
    *_FIGURES,
    Column("last"),
)
# An initiator belongs to one conversation alone, so that its chain tells which one it is; and whom the last message
# went to is the listener of the thread.
_NARROW = (Column("thread", whole=True), Column("call chain"), *_FIGURES, Column("last from"))
_TREE = (
    Column("call"),
    Column("state", whole=True),
    Column("slots", "right", whole=True),
    Column("age", "right", whole=True),
    Column("thread", whole=True),
)


class Tables:
    """Renders threads as they are at `now`; `root` is the chain above them all."""

    def __init__(self, printer: Printer, root: str, now: float) -> None:
        self._printer = printer
        self._above = f"{root}."
        self._now = now
        width = printer.medium.width
        self._cut = width is not None and width < WIDE

    def newest(self, backend: SharedBackend, which: ThreadFilter, most: int | None) -> Iterator[str]:
        """A table of up to `most` threads, and how many there are."""
        found = newest_threads(backend, which)
        shown = list(islice(found, most))
        if not shown:
            yield self._nothing(backend, which)
            return
        yield self._table(shown)
        yield ""
        total = backend.totals().threads
        if which.takes_all:
            yield shown_of(len(shown), max(total, len(shown)), "thread")
        else:
            yield _matching(len(shown), next(found, None) is not None, total)

    def tree(self, backend: SharedBackend, which: ThreadFilter, most: int | None) -> Iterator[str]:
        """The call trees of conversations, up to `most` threads in all."""
        forest = call_trees(backend, which, most)
        if not forest.trees:
            yield self._nothing(backend, which)
            return
        rows = [row for tree in forest.trees for row in self._branches(tree, "", "")]
        yield self._printer.table(_TREE, rows)
        yield ""
        told = counted(len(rows), "thread")
        yield f"the first {told}; --limit N or --limit all shows more" if forest.more else told

    def _table(self, threads: Sequence[ThreadRecord]) -> str:
        columns = _NARROW if self._cut else _TABLE
        cells = map(self._cells, threads)
        return self._printer.table(columns, [[row[column.title] for column in columns] for row in cells])

    def _cells(self, thread: ThreadRecord) -> dict[str, str]:
        return {
            "thread": self._id(thread.thread),
            "conversation": self._id(thread.conversation),
            "call chain": self._chain(thread.chain),
            "state": thread.state,
            "slots": number(thread.slots),
            "size": size(thread.bytes),
            "age": ago(self._now - thread.touched),
            "last": last_message(thread),
            "last from": thread.last_from,
        }

    def _branches(self, tree: CallTree, lead: str, below: str) -> Iterator[tuple[str, ...]]:
        """The rows of `tree`: `lead` stands before its own, `below` before those of the calls."""
        stack = [(tree, lead, below)]
        while stack:
            node, lead, below = stack.pop()
            thread = node.thread
            name = ".".join(node.path) if lead else self._chain(thread.chain)
            age = ago(self._now - thread.touched)
            yield lead + name, thread.state, number(thread.slots), age, self._id(thread.thread)
            for call in reversed(node.calls):
                last = call is node.calls[-1]
                stack.append((call, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))

    def _id(self, id: str) -> str:
        return id[:SHORT] if self._cut else id

    def _chain(self, chain: str) -> str:
        """What all chains begin with is left out on a terminal."""
        return chain.removeprefix(self._above) if self._printer.medium.width else chain

    @staticmethod
    def _nothing(backend: SharedBackend, which: ThreadFilter) -> str:
        total = backend.totals().threads
        if total and not which.takes_all:
            return f"none of {counted(total, 'thread')} matches; leave out filters to see more"
        return "No threads: nothing has run yet, or it has been collected; start with `xpipe run`."


def last_message(thread: ThreadRecord) -> str:
    """From whom the last message of `thread` came, and to whom it went."""
    return f"{thread.last_from} -> {thread.last_to}" if thread.last_from or thread.last_to else ""


def _matching(shown: int, more: bool, total: int) -> str:
    if more:
        return f"the newest {number(shown)} of those, out of {counted(total, 'thread')}; --limit N or all shows more"
    return f"{number(shown)} of {counted(total, 'thread')}"
