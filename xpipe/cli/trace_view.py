"""A trace for people: the tree of calls, with bars of when each of them waited and ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from xpipe.cli.console import Column, Printer
from xpipe.cli.rendering import folded, of_fault
from xpipe.cli.text import counted, number, payload_lines, visible
from xpipe.cli.timeline import OPEN, RAN, WAITED, Timeline
from xpipe.core.durations import format_duration
from xpipe.core.messages import HopRecord, Message
from xpipe.inspection.slots import payload_of
from xpipe.inspection.tracing import Attempt, Trace, TracedCall, reply_kind

PAYLOAD_LINES = 8
WIDE = 120
"""Columns from which on there is room for processes and for longer bars."""
_STYLES = {"failed": "red", "cancelled": "red", "done": "green"}


@dataclass(frozen=True, slots=True)
class _Branch:
    """A call, or with `rest` calls that are told of together. lead, below: what stands before its line and others'."""

    call: TracedCall | None
    rest: Sequence[TracedCall]
    lead: str
    below: str


class TraceView:
    """Renders `trace` as it is at `now`, with up to `most` calls of each call."""

    def __init__(self, printer: Printer, trace: Trace, now: float, payloads: bool, most: int | None) -> None:
        self._printer = printer
        self._trace = trace
        self._payloads = payloads
        self._most = most
        self._now = now
        width = printer.medium.width
        self._wide = width is None or width >= WIDE
        conversation = trace.conversation
        self._timeline = Timeline(conversation.started, conversation.ended or now, 40 if self._wide else 16)

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from self._head()
        yield ""
        branches = list(self._branches())
        if not branches:
            yield "nothing was called"
            return
        yield self._printer.table(self._columns(), [row for branch in branches for row in self._rows(branch)])
        yield ""
        yield self._printer.styled(f"{WAITED} waits for its turn   {RAN} runs   {OPEN} waits for others", "dim")
        if any(branch.rest for branch in branches):
            yield "--limit N or --limit all shows more"
        for branch in branches if self._payloads else ():
            if branch.call is not None:
                yield from self._payloads_of(branch.call)

    def _head(self) -> Iterator[str]:
        trace, one = self._trace, self._trace.conversation
        state = self._printer.styled(one.state, _STYLES.get(one.state, "bold"))
        yield f"{self._printer.styled(trace.initiator, 'bold')}  {one.id}  {state}"
        taken = format_duration(max(0.0, (one.ended or self._now) - one.started))
        began = datetime.fromtimestamp(one.started).astimezone().isoformat(" ", "milliseconds")
        facts = [began, taken if one.ended else f"{taken} so far", counted(trace.hops, "hop")]
        facts += [counted(trace.retries, "retry", "retries")] if trace.retries else []
        yield self._printer.styled(", ".join(facts), "dim")
        if one.retried_from:
            yield f"tries a dead letter of {one.retried_from} again"
        if trace.damaged:
            yield f"{counted(trace.damaged, 'record')} of what happened cannot be read; `xpipe gc --verify` tells more"

    def _columns(self) -> Sequence[Column]:
        columns = [
            Column("call"),
            Column("outcome"),
            Column("waited", "right", whole=True),
            Column("ran", "right", whole=True),
            Column(self._timeline.title, whole=True),
        ]
        return [*columns, Column("process", whole=True)] if self._wide else columns

    def _branches(self) -> Iterator[_Branch]:
        """Callers before those they called."""
        stack = self._level(self._trace.calls, None)
        while stack:
            branch = stack.pop()
            yield branch
            if branch.call is not None:
                stack += self._level(branch.call.calls, branch.below)

    def _level(self, calls: Sequence[TracedCall], below: str | None) -> list[_Branch]:
        """The branches of the calls of one call, the last first; `below` is None for those of the initiator."""
        shown, rest = self._chosen(calls)
        branches = []
        for at, call in enumerate((*shown, *([None] if rest else []))):
            last = at == len(shown) - (not rest)
            lead = "" if below is None else below + ("└─ " if last else "├─ ")
            under = "" if below is None else below + ("   " if last else "│  ")
            branches.append(_Branch(call, () if call else rest, lead, under))
        return branches[::-1]

    def _chosen(self, calls: Sequence[TracedCall]) -> tuple[list[TracedCall], list[TracedCall]]:
        """Those to be shown and the rest, each in order; what did not end well tells more than what did."""
        if self._most is None or len(calls) <= self._most:
            return list(calls), []
        telling = islice((at for at, call in enumerate(calls) if call.state != "done"), self._most)
        fine = (at for at, call in enumerate(calls) if call.state == "done")
        chosen = set(telling)
        chosen |= set(islice(fine, self._most - len(chosen)))
        places = range(len(calls))
        return [calls[at] for at in places if at in chosen], [calls[at] for at in places if at not in chosen]

    def _rows(self, branch: _Branch) -> Iterator[tuple[str, ...]]:
        call = branch.call
        if call is None:
            yield self._row(branch.lead + self._called(branch.rest), self._states(branch.rest))
            return
        ways = f"{call.thread.listener}  {call.request.type}"
        reply = f" -> {call.reply.type}" if self._wide and call.reply is not None and call.state == "done" else ""
        attempts = list(call.attempts)
        waited = format_duration(call.handled[0].waited) if attempts else ""
        ran = format_duration(call.ran) if any(one.began for one in attempts) else ""
        places = list(dict.fromkeys(one.process for one in attempts))
        bar = self._timeline.bar(call)
        yield self._row(branch.lead + ways + reply, self._outcome(call), waited, ran, bar, ", ".join(places))
        for attempt in attempts:
            if attempt.again or attempt.number > 1:
                what = f"{attempt.outcome}, retried" if attempt.again else attempt.outcome or "fine"
                yield self._row(f"{branch.below}   attempt {attempt.number}", what, "", format_duration(attempt.ran))

    def _row(self, *cells: str) -> tuple[str, ...]:
        count = len(self._columns())
        return (*cells, *[""] * (count - len(cells)))[:count]

    @staticmethod
    def _outcome(call: TracedCall) -> str:
        return f"failed: {call.code}" if call.code else call.state

    @staticmethod
    def _called(calls: Sequence[TracedCall]) -> str:
        """`980 more of analyse`."""
        names = list(dict.fromkeys(call.thread.listener for call in calls))
        return f"{number(len(calls))} more" + (f" of {names[0]}" if len(names) == 1 else "")

    @staticmethod
    def _states(calls: Sequence[TracedCall]) -> str:
        """`975 done, 5 failed`."""
        return ", ".join(f"{number(count)} {state}" for state, count in Counter(one.state for one in calls).items())

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
    at = datetime.fromtimestamp(hop.ended).astimezone().isoformat(" ", "milliseconds").split(" ")[1].split("+")[0]
    attempt = Attempt.of(hop)
    took = f" in {format_duration(attempt.ran)}" if attempt.began else ""
    tried = f"attempt {attempt.number}: " if attempt.again or attempt.number > 1 else ""
    pause = format_duration(max(0.0, attempt.again - attempt.ended))
    again = f", tried again {pause} later" if attempt.again else ""
    return visible(f"{at}  {hop.listener}  {tried}{attempt.outcome or 'done'}{took}{again}  {hop.process}")
