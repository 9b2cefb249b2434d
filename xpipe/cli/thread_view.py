"""One thread for people: what it is, and what it has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xpipe.cli.console import Printer
from xpipe.cli.rendering import folded, of_fault
from xpipe.cli.text import counted, number, payload_lines, size, visible
from xpipe.cli.thread_tables import last_message
from xpipe.cli.times import ago
from xpipe.inspection.slots import SlotView
from xpipe.ports import ThreadRecord

_LABEL = 14


class ThreadView:
    """Renders `thread` as it is at `now`."""

    def __init__(self, printer: Printer, thread: ThreadRecord, now: float) -> None:
        self._printer = printer
        self._thread = thread
        self._now = now

    def lines(self, slots: Iterable[SlotView], start: int) -> Iterator[str]:
        """All of it; `slots` are those from `start` on."""
        for label, value in self._facts():
            yield from self._fact(label, value)
        for slot in slots:
            yield ""
            yield from self._slot(slot)
        yield ""
        total = self._thread.slots
        if start:
            shown = f"the last {number(total - start)} of {counted(total, 'slot')}"
            yield f"{shown}; --limit N or --limit all shows more"
        else:
            yield counted(total, "slot")

    def _facts(self) -> Iterator[tuple[str, str]]:
        thread = self._thread
        yield "thread", thread.thread
        yield "conversation", thread.conversation
        yield "call chain", thread.chain
        yield "state", thread.state
        yield "size", size(thread.bytes)
        yield "last", f"{ago(self._now - thread.touched)} ago  {last_message(thread)}".rstrip()

    def _fact(self, label: str, value: str) -> Iterator[str]:
        first, *others = folded(self._printer, [visible(value)], _LABEL)
        yield self._printer.styled(label, "dim") + first[len(label) :]
        yield from others

    def _slot(self, slot: SlotView) -> Iterator[str]:
        kind = self._printer.styled(slot.kind, "red" if "fault" in slot.kind or slot.problem else "bold")
        ways = f"{slot.sender} -> {slot.to}" if slot.sender or slot.to else ""
        yield f"{number(slot.index)}  {kind}  {visible(f'{ways}  {slot.type}'.strip())}".rstrip()
        if slot.problem:
            yield from folded(self._printer, [visible(slot.problem)], 3)
        elif slot.payload is not None:
            payload = of_fault(slot.payload) if "fault" in slot.kind else slot.payload
            yield from folded(self._printer, payload_lines(payload), 3)
