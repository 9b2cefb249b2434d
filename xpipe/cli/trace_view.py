"""A trace for people: the tree of calls, with bars of when each of them waited and ran."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from xpipe.cli.console import Printer
from xpipe.cli.rendering import folded, of_fault
from xpipe.cli.text import counted, payload_lines, visible
from xpipe.cli.trace_layout import Layout
from xpipe.cli.trace_tree import attempt_text, branches, doing, lines
from xpipe.core.durations import format_duration
from xpipe.core.messages import HopRecord, Message
from xpipe.inspection.slots import payload_of
from xpipe.inspection.tracing import Attempt, Trace, TracedCall, reply_kind

PAYLOAD_LINES = 8
_STYLES = {"failed": "red", "cancelled": "red", "done": "green"}


class TraceView:
    """Renders `trace`, with up to `most` calls of each call."""

    def __init__(self, printer: Printer, trace: Trace, payloads: bool, most: int | None) -> None:
        self._printer = printer
        self._trace = trace
        self._payloads = payloads
        self._most = most

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from self.head()
        yield ""
        shown = list(branches(self._trace.calls, self._most))
        if not shown:
            yield "nothing was called"
            return
        one = self._trace.conversation
        told = [line for branch in shown for line in lines(branch)]
        yield from Layout(self._printer, told, one.started, one.ended or self._trace.now).text()
        if any(branch.rest for branch in shown):
            yield "--limit N or --limit all shows more"
        for branch in shown if self._payloads else ():
            if branch.call is not None:
                yield from self._payloads_of(branch.call)

    def head(self) -> Iterator[str]:
        """Which conversation it is, how far, and since when."""
        trace, one = self._trace, self._trace.conversation
        state = self._printer.styled(one.state, _STYLES.get(one.state, "bold"))
        yield f"{self._printer.styled(trace.initiator, 'bold')}  {one.id}  {state}"
        taken = format_duration(max(0.0, (one.ended or trace.now) - one.started))
        began = datetime.fromtimestamp(one.started).astimezone().isoformat(" ", "milliseconds")
        facts = [began, taken if one.ended else f"{taken} so far", counted(trace.hops, "hop")]
        facts += [counted(trace.retries, "retry", "retries")] if trace.retries else []
        yield self._printer.styled(", ".join(facts), "dim")
        if one.retried_from:
            yield f"tries a dead letter of {one.retried_from} again"
        if trace.damaged:
            yield f"{counted(trace.damaged, 'record')} of the history cannot be read; `xpipe gc --verify` shows more"

    def under_way(self) -> Iterator[str]:
        """A line for each message that waits or runs now."""
        calls = list(self._trace.calls)
        while calls:
            call = calls.pop()
            calls += reversed(call.calls)
            if call.pending is not None:
                told = (_clock(self._trace.now), call.thread.listener, doing(call.pending), call.pending.process)
                yield visible("  ".join(filter(None, told)))

    def _payloads_of(self, call: TracedCall) -> Iterator[str]:
        request = call.request
        yield ""
        yield self._printer.styled(f"{request.sender} -> {call.thread.listener}  {request.type}", "bold")
        yield from self._payload(request)
        if call.reply is not None:
            style = "red" if call.code else "green"
            yield self._printer.styled(f"{call.thread.listener} -> {request.sender}  {call.reply.type}", style)
            yield from self._payload(call.reply)

    def _payload(self, message: Message) -> Iterator[str]:
        payload, problem = payload_of(message)
        if problem:
            yield from folded(self._printer, [visible(problem)], 2)
            return
        shown = of_fault(payload) if reply_kind(message) == "fault" else payload
        lines = folded(self._printer, payload_lines(shown), 2)
        yield from islice(lines, PAYLOAD_LINES)
        left = sum(1 for _ in lines)
        if left:
            yield f"  ... {counted(left, 'more line')}; --payloads --json has all"


def attempt_line(hop: HopRecord) -> str:
    """What `--follow` tells of an attempt, when it has ended."""
    return visible(f"{_clock(hop.ended)}  {hop.listener}  {attempt_text(Attempt.of(hop))}  {hop.process}")


def _clock(time: float) -> str:
    """The time of day here."""
    return datetime.fromtimestamp(time).time().isoformat("milliseconds")
