"""Dead letters for people: as a table, and one of them whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from xpipe.cli.console import Printer
from xpipe.cli.layout import Column
from xpipe.cli.looking import shown_of
from xpipe.cli.rendering import folded
from xpipe.cli.text import counted, number, payload_lines, text_lines, visible
from xpipe.cli.thread_tables import WIDE
from xpipe.cli.times import ago, iso
from xpipe.inspection.dead_letters import LetterFilter, LetterView
from xpipe.inspection.slots import SlotView, slot_view

TEXT = 100
"""Characters of what went wrong that a row of a table has."""

_LABEL = 14
_TABLE = (
    Column("number", "right", whole=True),
    Column("conversation", whole=True),
    Column("listener"),
    Column("code"),
    Column("text"),
    Column("attempts", "right", whole=True),
    Column("age", "right", whole=True),
    Column("told", whole=True),
)
# The number leads to all of it.
_NARROW = tuple(column for column in _TABLE if column.title not in ("conversation", "attempts"))


class LetterViews:
    """Renders dead letters as they are at `now`."""

    def __init__(self, printer: Printer, now: float) -> None:
        self._printer = printer
        self._now = now

    def newest(self, found: Iterable[LetterView], which: LetterFilter, most: int | None, total: int) -> Iterator[str]:
        """A table of the last `most` of those `found` by `which`, and how many there are; `total` in all."""
        kept: deque[LetterView] = deque(maxlen=most)
        matching = 0
        for view in found:
            kept.append(view)
            matching += 1
        if not kept:
            yield _nothing(which, total)
            return
        yield self.table(kept)
        yield ""
        if which.takes_all:
            yield shown_of(len(kept), matching, "dead letter")
        else:
            yield _matching(len(kept), matching, max(total, matching))

    def table(self, views: Iterable[LetterView]) -> str:
        """A table of `views`."""
        width = self._printer.medium.width
        columns = _NARROW if width is not None and width < WIDE else _TABLE
        cells = map(self._cells, views)
        return self._printer.table(columns, [[row[column.title] for column in columns] for row in cells])

    def _cells(self, view: LetterView) -> dict[str, str]:
        return {
            "number": str(view.number),
            "conversation": view.conversation or "-",
            "listener": view.listener or "-",
            "code": view.fault.code,
            "text": _shortened(view.fault.text),
            "attempts": number(view.letter.attempts),
            "age": ago(self._now - view.letter.at),
            "told": "yes" if view.letter.told else "no",
        }

    def whole(self, view: LetterView) -> Iterator[str]:
        """All of one: what it is, its payload, and the traceback of its fault."""
        message = slot_view(0, view.letter.message)
        for label, lines in self._facts(view, message):
            yield from self._fact(label, lines)
        yield ""
        yield self._printer.styled("payload", "bold")
        told = [visible(message.problem)] if message.problem else payload_lines(message.payload)
        yield from folded(self._printer, told, 3)
        if view.fault.traceback:
            yield ""
            yield self._printer.styled("traceback", "bold")
            yield from folded(self._printer, map(visible, text_lines(view.fault.traceback)), 3)

    def _facts(self, view: LetterView, message: SlotView) -> Iterator[tuple[str, Sequence[str]]]:
        letter, fault = view.letter, view.fault
        yield "dead letter", [str(letter.number)]
        yield "conversation", [view.conversation or "-"]
        yield "thread", [letter.thread or "-"]
        yield "listener", [view.listener or "-"]
        ways = f"{message.sender} -> {message.to}" if message.sender or message.to else ""
        yield "message", [f"{message.kind}  {ways}  {message.type}".strip()]
        yield "given up", [f"{ago(self._now - letter.at)} ago, at {iso(letter.at) or '-'}"]
        yield "attempts", [number(letter.attempts)]
        yield "told", ["yes" if letter.told else "no: nobody has got this fault"]
        first, *others = text_lines(fault.text) or [""]
        yield "fault", [f"{fault.code}: {first}", *others]
        yield "origin", [f"{fault.origin}, hop {number(fault.hop)}"]

    def _fact(self, label: str, lines: Sequence[str]) -> Iterator[str]:
        first, *others = folded(self._printer, map(visible, lines), _LABEL)
        yield self._printer.styled(label, "dim") + first[len(label) :]
        yield from others


def _shortened(text: str) -> str:
    line = " ".join(text[: TEXT * 4].split())
    whole = len(line) <= TEXT and len(text) <= TEXT * 4
    return line if whole else f"{line[:TEXT].rstrip()} ..."


def _nothing(which: LetterFilter, total: int) -> str:
    if total and not which.takes_all:
        return f"none of {counted(total, 'dead letter')} matches; leave out filters to see more"
    return "No dead letters."


def _matching(shown: int, matching: int, total: int) -> str:
    out_of = counted(total, "dead letter")
    if shown < matching:
        return f"the newest {number(shown)} of {number(matching)}, out of {out_of}; --limit N or all shows more"
    return f"{number(matching)} of {out_of}"
