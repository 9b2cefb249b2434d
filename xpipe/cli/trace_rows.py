"""A trace as JSON has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xpipe.cli.times import iso
from xpipe.core.messages import HopRecord, Message
from xpipe.inspection.pending import Pending
from xpipe.inspection.slots import payload_of
from xpipe.inspection.tracing import Attempt, Handled, Trace, TracedCall, reply_kind

if TYPE_CHECKING:
    from xpipe.cli.documents import (
        AttemptRecord,
        AttemptRow,
        HandledRow,
        PendingRow,
        ReplyRow,
        TracedCallRow,
        TracedConversationRow,
    )


def conversation_row(trace: Trace) -> TracedConversationRow:
    """The conversation as a whole."""
    one = trace.conversation
    return {
        "conversation": one.id,
        "initiator": trace.initiator,
        "state": one.state,
        "started": iso(one.started),
        "ended": iso(one.ended),
        "hops": trace.hops,
        "retries": trace.retries,
        "retried_from": one.retried_from or None,
        "damaged": trace.damaged,
    }


def call_rows(trace: Trace, payloads: bool) -> Iterator[TracedCallRow]:
    """Its calls, callers before those they called."""
    stack: list[tuple[TracedCall, str | None, int]] = [(call, None, 0) for call in reversed(trace.calls)]
    while stack:
        call, caller, depth = stack.pop()
        yield _call_row(call, caller, depth, payloads)
        stack += [(one, call.request.id, depth + 1) for one in reversed(call.calls)]


def _call_row(call: TracedCall, caller: str | None, depth: int, payloads: bool) -> TracedCallRow:
    request = call.request
    row: TracedCallRow = {
        "call": request.id,
        "caller": caller,
        "depth": depth,
        "thread": call.thread.thread,
        "from": request.sender,
        "to": call.thread.listener,
        "type": request.type,
        "state": call.state,
        "sent": iso(request.at),
        "ended": iso(call.ended),
        "waited_seconds": call.waited,
        "ran_seconds": call.ran,
        "now": None if call.pending is None else _pending_row(call.pending),
        "reply": _reply_row(call.reply, payloads),
        "handled": [_handled_row(one) for one in call.handled],
    }
    if payloads:
        row["payload"], problem = payload_of(request)
        row["problem"] = problem or None
    return row


def _pending_row(one: Pending) -> PendingRow:
    return {
        "message": one.message.id,
        "doing": one.doing,
        "since": iso(one.since),
        "seconds": one.seconds,
        "again": iso(one.again),
        "process": one.process or None,
    }


def _reply_row(reply: Message | None, payloads: bool) -> ReplyRow | None:
    if reply is None:
        return None
    row: ReplyRow = {"kind": reply_kind(reply), "type": reply.type, "sent": iso(reply.at)}
    if payloads:
        row["payload"], problem = payload_of(reply)
        row["problem"] = problem or None
    return row


def _handled_row(one: Handled) -> HandledRow:
    message = one.message
    return {
        "message": message.id,
        "kind": message.kind,
        "from": message.sender,
        "type": message.type,
        "sent": iso(message.at),
        "attempts": [_attempt_row(attempt) for attempt in one.attempts],
    }


def _attempt_row(attempt: Attempt) -> AttemptRow:
    return {
        "attempt": attempt.number,
        "began": iso(attempt.began),
        "ended": iso(attempt.ended),
        "ran_seconds": attempt.ran,
        "process": attempt.process,
        "fault": attempt.outcome or None,
        "again": iso(attempt.again),
    }


def attempt_record(conversation: str, hop: HopRecord) -> AttemptRecord:
    """What `--follow --jsonl` tells of an attempt."""
    attempt = Attempt.of(hop)
    return {"conversation": conversation, "message": hop.message, "listener": hop.listener, **_attempt_row(attempt)}
