"""The calls of a trace as the lines of a tree, not yet laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from xpipe.cli.text import number
from xpipe.core.durations import format_duration
from xpipe.inspection.pending import Pending
from xpipe.inspection.tracing import Attempt, Handled, TracedCall

_DOING = {"waits": "waits", "runs": "runs", "unknown": "waits or runs"}


@dataclass(frozen=True, slots=True)
class Branch:
    """A call, or with `rest` calls that are told of together. lead, below: what stands before its line and others'."""

    call: TracedCall | None
    rest: Sequence[TracedCall]
    lead: str
    below: str


class Line(NamedTuple):
    """What is told of a call, or of an attempt. lead stands before `label`, below before what else is told of it.

    call: whose bar it has.
    """

    lead: str
    below: str
    label: str
    outcome: str
    waited: str = ""
    ran: str = ""
    processes: tuple[str, ...] = ()
    call: TracedCall | None = None


def branches(calls: Sequence[TracedCall], most: int | None) -> Iterator[Branch]:
    """Callers before those they called, up to `most` calls of each call."""
    stack = _level(calls, None, most)
    while stack:
        branch = stack.pop()
        yield branch
        if branch.call is not None:
            stack += _level(branch.call.calls, branch.below, most)


def lines(branch: Branch) -> Iterator[Line]:
    """What is told of `branch`."""
    call = branch.call
    if call is None:
        yield Line(branch.lead, f"{branch.below}   ", _names(branch.rest), _states(branch.rest))
        return
    below = branch.below + ("│  " if call.calls else "   ")
    reply = f" -> {call.reply.type}" if call.reply is not None and call.state == "done" else ""
    attempts = list(call.attempts)
    waited = format_duration(call.waited) if call.waited is not None else ""
    ran = format_duration(call.ran) if any(one.began for one in attempts) else ""
    label = f"{call.thread.listener}  {call.request.type}{reply}"
    yield Line(branch.lead, below, label, _outcome(call), waited, ran, _processes(call), call)
    for one in call.handled:
        for attempt, (what, outcome) in _tries(one):
            yield Line(below, below, what, outcome, ran=format_duration(attempt.ran) if attempt.began else "")


def _tries(one: Handled) -> Iterator[tuple[Attempt, tuple[str, str]]]:
    """The attempts at a message that was not done with the first one, each with what it is called and its outcome."""
    failed = False
    for attempt in one.attempts:
        failed = failed or bool(attempt.outcome)
        if attempt.again and not attempt.outcome:
            yield attempt, ("put off", f"for {_pause(attempt)}")
        elif failed and (attempt.again or attempt.number > 1):
            outcome = attempt.outcome or "fine"
            yield attempt, (f"attempt {attempt.number}", f"{outcome}, retried" if attempt.again else outcome)


def _pause(attempt: Attempt) -> str:
    return format_duration(max(0.0, attempt.again - attempt.ended))


def _level(calls: Sequence[TracedCall], below: str | None, most: int | None) -> list[Branch]:
    """The branches of the calls of one call, the last first; `below` is None for those of the initiator."""
    shown, rest = _chosen(calls, most)
    found = []
    for at, call in enumerate((*shown, *([None] if rest else []))):
        last = at == len(shown) - (not rest)
        lead = "" if below is None else below + ("└─ " if last else "├─ ")
        under = "" if below is None else below + ("   " if last else "│  ")
        found.append(Branch(call, () if call else rest, lead, under))
    return found[::-1]


def _chosen(calls: Sequence[TracedCall], most: int | None) -> tuple[list[TracedCall], list[TracedCall]]:
    """Those to be shown and the rest, each in order; what did not end well tells more than what did."""
    if most is None or len(calls) <= most:
        return list(calls), []
    telling = islice((at for at, call in enumerate(calls) if call.state != "done"), most)
    fine = (at for at, call in enumerate(calls) if call.state == "done")
    chosen = set(telling)
    chosen |= set(islice(fine, most - len(chosen)))
    places = range(len(calls))
    return [calls[at] for at in places if at in chosen], [calls[at] for at in places if at not in chosen]


def _names(calls: Sequence[TracedCall]) -> str:
    """`980 more of analyse`."""
    names = list(dict.fromkeys(call.thread.listener for call in calls))
    return f"{number(len(calls))} more" + (f" of {names[0]}" if len(names) == 1 else "")


def _states(calls: Sequence[TracedCall]) -> str:
    """`975 done, 5 failed`."""
    return ", ".join(f"{number(count)} {state}" for state, count in Counter(one.state for one in calls).items())


def _outcome(call: TracedCall) -> str:
    if call.code:
        return f"failed: {call.code}"
    return call.state if call.pending is None else doing(call.pending)


def doing(pending: Pending) -> str:
    """`runs, sent 2.8 s ago`, `waits, tried again in 5 s`."""
    if pending.again:
        left = pending.again - pending.since - pending.seconds
        return f"{_DOING[pending.doing]}, tried again in {format_duration(left)}"
    ago = f", sent {format_duration(pending.seconds)} ago" if pending.since else ""
    return f"{_DOING[pending.doing]}{ago}"


def _processes(call: TracedCall) -> tuple[str, ...]:
    now = call.pending.process if call.pending is not None else ""
    return tuple(dict.fromkeys((*(one.process for one in call.attempts), *([now] if now else []))))


def attempt_text(attempt: Attempt) -> str:
    """`attempt 2: exception in 3 ms, tried again 1 s later`."""
    took = f" in {format_duration(attempt.ran)}" if attempt.began else ""
    if attempt.again and not attempt.outcome:
        return f"put off for {_pause(attempt)}"
    tried = f"attempt {attempt.number}: " if attempt.again or attempt.number > 1 else ""
    again = f", tried again {_pause(attempt)} later" if attempt.again else ""
    return f"{tried}{attempt.outcome or 'done'}{took}{again}"
