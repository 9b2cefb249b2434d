"""What goes to the scripts and what comes back from them.

The msgpack of Redis knows strings and no binaries, so bytes go as strings.
"""

from __future__ import annotations

from typing import Any

import msgspec

from xpipe.core.messages import Claim, ConversationRecord, Event, Join, Send, Step
from xpipe.ports import ThreadRecord

Request = tuple[str, str, bytes, str, str]
"""The call, the listener, the request, and id and chain of the thread."""
Start = tuple[str, str, str, bytes | None, list[Request], str, bytes | None]
"""Id, chain and name of the initiator, its fault, the requests, the conversation that is retried, what was rejected."""

_STR32 = b"\xdb"
_encode = msgspec.msgpack.Encoder().encode
_decode_rest = msgspec.msgpack.Decoder(tuple[int, str, str, str, str, bool, list[str], int, int]).decode


def _raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(b"%b%b%b" % (_STR32, len(data).to_bytes(4, "big"), data))


def packed_step(step: Step) -> bytes:
    """`step` for the script `advance`: what most steps have, and the rest of one that has more."""
    answer = step.answer and (step.answer.call, _raw(step.answer.message), step.answer.fault)
    sends = [_send(one) for one in step.sends]
    data = _values(step.thread, step.fence, step.call, sends, answer, _raw(step.hop), step.failed)
    is_usual = not (step.own or step.again or step.delegate or step.join or step.dead or step.cancels)
    if is_usual and not (step.no_answer or step.ends or step.state is not None):
        return data
    return data + _values(
        [_raw(one) for one in step.own],
        step.again,
        step.due,
        step.delegate and _send(step.delegate),
        step.join and _join(step.join),
        step.no_answer,
        step.ends,
        None if step.state is None else _raw(step.state),
        step.dead and (_raw(step.dead.message), _raw(step.dead.fault), step.dead.told, step.dead.attempts),
        step.cancels,
    )


def _values(*values: Any) -> bytes:
    """The msgpack of `values`, less than 16 of them, one after the other."""
    return _encode(values)[1:]


def _send(send: Send) -> tuple[Any, ...]:
    return send.call, send.segment, _raw(send.message), send.binding


def _join(join: Join) -> tuple[Any, ...]:
    terms = join.collect, join.expires, _raw(join.more), join.low, join.enough, join.spare
    return join.id, join.total, _raw(join.joined), *terms


def packed_start(start: Start) -> bytes:
    """The start of a conversation for the script `inject`."""
    id, chain, initiator, fault, requests, retried_from, rejected = start
    calls = [(call, to, _raw(message), thread, below) for call, to, message, thread, below in requests]
    raw = [None if data is None else _raw(data) for data in (fault, rejected)]
    return _encode((id, chain, initiator, raw[0], calls, retried_from, raw[1]))


def read_claim(thread: bytes, message: bytes, state: bytes, rest: bytes) -> Claim:
    """A claim from what the script `advance` says of it."""
    fence, chain, listener, caller, call, initial, open, attempt, deliveries = _decode_rest(rest)
    id = thread.decode()
    return Claim(id, fence, message, chain, listener, caller, call, initial, open, state, attempt, deliveries)


def read_events(flat: list[bytes]) -> list[Event]:
    """Events from the flat list that an inbox is."""
    rows = zip(*(flat[at::5] for at in range(5)), strict=True)
    return [Event(id.decode(), kind.decode(), data, state.decode(), cause) for id, kind, data, state, cause in rows]


def read_thread(
    id: bytes,
    conversation: bytes,
    chain: bytes,
    listener: bytes,
    state: bytes,
    slots: int,
    size: int,
    sender: bytes,
    to: bytes,
    touched: bytes,
) -> ThreadRecord:
    """A thread from a row of rows.lua."""
    last_from, last_to = _ends(sender, to)
    return ThreadRecord(
        thread=text(id),
        conversation=text(conversation),
        chain=text(chain),
        listener=text(listener),
        state=state.decode(),
        slots=slots,
        bytes=size,
        last_from=last_from,
        last_to=last_to,
        touched=float(touched),
    )


def _ends(sender: bytes, to: bytes) -> tuple[str, str]:
    """Of a message; those of a damaged one may be no text."""
    try:
        return sender.decode(), to.decode()
    except UnicodeDecodeError:
        return "", ""


def read_conversation(
    id: bytes,
    chain: bytes,
    state: bytes,
    owner: bytes,
    started: bytes,
    ended: bytes,
    outputs: int,
    delivered: int,
    threads: int,
    retried_from: bytes,
) -> ConversationRecord:
    """A conversation from a row of rows.lua."""
    times, counts = (float(started), float(ended)), (outputs, delivered, threads)
    return ConversationRecord(text(id), text(chain), state.decode(), text(owner), *times, *counts, text(retried_from))


def letter_field(number: int) -> str:
    """Where the dead letter `number` is in the hash of them all; the order of these is that of the numbers."""
    return f"{number:015d}"


def is_text(data: bytes) -> bool:
    """Whether `text` can read it."""
    try:
        text(data)
    except ValueError:
        return False
    return True


def shown(data: bytes) -> str:
    """What Redis keeps, for people: it may be no text."""
    return data.decode("utf-8", "backslashreplace")


def encoded(text: str) -> bytes:
    """As Redis keeps it."""
    return text.encode("utf-8", "surrogatepass")


def text(data: bytes) -> str:
    """The inverse of `encoded`."""
    return data.decode("utf-8", "surrogatepass")
