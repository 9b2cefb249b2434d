"""What became of the items of a Buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xpipe.core.codec import Packed, PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.messages import FAULT, Message, decode_message
from xpipe.core.payloads import BufferComplete, BufferItemResult
from xpipe.runtime.primitives.buffer_state import BufferState


def complete(id: str, state: BufferState, replies: Sequence[bytes | None], types: PayloadTypes) -> BufferComplete:
    """Every item accounted for (B5), given the replies to those that were sent."""
    found: list[BufferItemResult | None] = []
    faults = 0
    for index, data in enumerate(replies):  # One reply at a time is decoded: there may be very many.
        reply = None if data is None else decode_message(data)
        faults += reply is not None and reply.kind == FAULT
        found.append(None if reply is None else _result(index, reply, _listener(index, state), types))
    successes = len(replies) - replies.count(None) - faults
    certain = state.terms.are_certain(state.total, successes, faults)
    total = max(state.total, state.sent)
    found += [None] * (total - len(found))
    results = [one or _absent(index, state, certain) for index, one in enumerate(found)]
    return BufferComplete(id, total, sum(one.success for one in results), results, state.total < 0)


def _listener(index: int, state: BufferState) -> str:
    return state.members[index % len(state.members)]


def _result(index: int, reply: Message, listener: str, types: PayloadTypes) -> BufferItemResult:
    try:
        payload: Any = types.decode(reply.type, reply.payload)
    except PayloadError as error:  # It would make the whole result unreadable.
        return BufferItemResult(index, False, None, error.code, str(error), listener)
    if reply.kind == FAULT:
        return BufferItemResult(index, False, None, payload.code, payload.text, listener)
    return BufferItemResult(index, True, Packed(reply.type, reply.payload), listener=listener)


def _absent(index: int, state: BufferState, certain: bool) -> BufferItemResult:
    return BufferItemResult(index, False, None, *_absence(index < state.sent, certain), _listener(index, state))


def _absence(begun: bool, certain: bool) -> tuple[str, str]:
    """Code and text of an item without a result."""
    if certain:
        return "cancelled", f"{'cancelled' if begun else 'not begun'}: the outcome was certain without it"
    if begun:
        return "timeout", "no result before the Buffer's time-out"
    return "cancelled", "not begun before the Buffer's time-out"


def too_few(found: BufferComplete, min_success: str) -> str:
    """The sentence that says that fewer than `min_success` items succeeded."""
    rest = f"{found.failed} failed, {found.timed_out} timed out, {found.cancelled} were cancelled"
    unread = "; its file was not read to the end" if found.unread else ""
    first = f"; the first failure: {found.error}" if found.error else ""
    return (
        f"{found.successful} of {found.total} items succeeded, and min_success is {min_success}: {rest}{unread}{first}"
    )
