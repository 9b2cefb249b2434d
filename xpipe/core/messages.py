"""Messages and the steps that commit them. Only str, int, float and bytes inside: data, never code."""

from __future__ import annotations

import msgspec

from xpipe.core.payloads import Fault

REQUEST = "request"
SELF = "self"
RESPONSE = "response"
FAULT = "fault"
JOINED = "joined"
MORE = "more"
DAMAGED = "damaged"
REJECTED = "rejected"

VERSION = 1


class Message(msgspec.Struct, array_like=True, gc=False):
    """The envelope around a payload.

    kind: a request opens a call; a self message continues its own thread; a response or fault replies to a call;
    joined tells a Buffer that all its items are accounted for, more that it is to send further ones; damaged stands for
    a message that cannot be read, rejected for input that is no message. `call` is the id of the request that opened
    the call this message belongs to. `sender` and `to` are listener names; `hop` counts messages along the causal path;
    `at`: when it was sent, in seconds since the epoch.
    """

    id: str
    kind: str
    conversation: str
    sender: str
    to: str
    type: str
    payload: bytes
    call: str
    hop: int
    attempt: int = 1
    version: int = VERSION
    at: float = 0.0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
encode_message = _encoder.encode
decode_message = _decoder.decode


def no_answer(conversation: str, listener: str, caller: str, call: str, hop: int, at: float) -> bytes:
    """The encoded fault message of a call to `listener` that ended without an answer."""
    fault = Fault("no_answer", f"{listener} ended without an answer; let its handler respond", listener, hop)
    return fault_message(conversation, listener, caller, _encoder.encode(fault), call, hop, at)


def fault_message(conversation: str, sender: str, to: str, fault: bytes, call: str, hop: int, at: float) -> bytes:
    """The encoded message that ends `call` with the encoded `fault`, made by the backend itself."""
    return encode_message(Message(f"{call}!", FAULT, conversation, sender, to, "Fault", fault, call, hop, at=at))


def end_fault(code: str, text: str) -> bytes:
    """The encoded Fault that tells a conversation's initiator why it was ended."""
    return _encoder.encode(Fault(code, text, "system"))


def cancelled(reason: str) -> bytes:
    """The encoded Fault of a conversation that somebody has cancelled."""
    return end_fault("cancelled", f"the conversation was cancelled: {reason}")


class Claim(msgspec.Struct, array_like=True, gc=False):
    """A message leased to a pump, with what is known of its thread.

    fence: the delivery token that the step must carry; call: the open call of the thread that `respond` answers, ""
    for none; caller: who opened the thread; initial: its caller is an initiator; open: the segments of the calls the
    thread waits for; state: what a primitive keeps in its thread; attempt: how often the message has been tried, this
    time included; deliveries: how often a lease on it was lost.
    """

    thread: str
    fence: int
    message: bytes
    chain: str
    listener: str
    caller: str
    call: str
    initial: bool
    open: list[str]
    state: bytes
    attempt: int = 1
    deliveries: int = 0


def readable(data: bytes) -> Message | None:
    """The message stored as `data`; None when it is damaged or of another version."""
    try:
        message = decode_message(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None
    return message if message.version == VERSION else None


def claimed_message(claim: Claim) -> Message:
    """The message that `claim` leases, with the number of this attempt; of the kind damaged when it cannot be read."""
    message = readable(claim.message)
    if message is None:
        return Message("", DAMAGED, "", claim.caller, claim.listener, "", claim.message, claim.call, 0, claim.attempt)
    message.attempt = claim.attempt
    return message


def tombstone(thread: str) -> bytes:
    """What stands in `thread` in the place of a message that was set aside."""
    return encode_message(Message("", DAMAGED, "", "", "", "", b"", thread, 0))


class HopRecord(msgspec.Struct, array_like=True, gc=False):
    """What became of one attempt to handle a message; kept with its conversation, for people.

    message: its id; began, ended: in seconds since the epoch, 0.0 for began when no handler ran; process: host:pid;
    outcome: the code of its fault, "" when it went well; again: when the next attempt was due, 0.0 for none; answered:
    it ended the call that its thread was asked by, with a response or that fault.
    """

    message: str
    listener: str
    attempt: int
    began: float
    ended: float
    process: str
    outcome: str = ""
    again: float = 0.0
    answered: bool = False


encode_hop = _encoder.encode
_decode_hop = msgspec.msgpack.Decoder(HopRecord).decode


def readable_hop(data: bytes) -> HopRecord | None:
    """The record stored as `data`; None when it is damaged."""
    try:
        return _decode_hop(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


LOST_HOP = encode_hop(HopRecord("", "", 1, 0.0, 0.0, "", DAMAGED))
"""What stands in the place of a record that was set aside."""


class Binding(msgspec.Struct, array_like=True, gc=False):
    """The thread a request goes to, made if it is not there. `index` is its place in its parent's join, or -1."""

    thread: str
    chain: str
    listener: str
    caller: str
    index: int = -1


class Send(msgspec.Struct, array_like=True, gc=False):
    """A request from the step's thread: opens the call `call` in it under `segment`."""

    call: str
    segment: str
    message: bytes
    binding: Binding


class Answer(msgspec.Struct, array_like=True, gc=False):
    """The reply that ends `call` in the parent of the step's thread; `fault` tells which kind of reply it is."""

    call: str
    message: bytes
    fault: bool = False


class Join(msgspec.Struct, array_like=True, gc=False):
    """Collect `total` results from the calls that a step sends; then deliver the message `joined` to its thread.

    id: the Buffer's; a step of a thread that has an open join of that id goes on with it: `total` counts the items of
    earlier steps, too. expires: when the missing ones count as timed out, in seconds since the epoch, 0 for never.
    Without `collect` results are dropped, and a fault among them is a dead letter.

    more: delivered to the thread as soon as no more than `low` items are under way, to have it send further ones;
    before it has, the join is not over. enough, spare: with so many successes, or more faults than that, the outcome
    is decided and `joined` delivered, 0 and -1 for never.
    """

    id: str
    total: int
    joined: bytes
    collect: bool = True
    expires: float = 0.0
    more: bytes = b""
    low: int = 0
    enough: int = 0
    spare: int = -1

    @property
    def is_awaited(self) -> bool:
        """Whether its thread is to be told of anything."""
        return self.collect or bool(self.more)


UNREADABLE = "it is damaged, or another version of xpipe wrote it"


class DeadLetter(msgspec.Struct, array_like=True, gc=False):
    """A message given up on, with the fault that is its cause. `told` is whether somebody received that fault.

    attempts: how often it was tried; in a step 0 stands for as often as the message that it finishes. The backend adds:
    the thread; when it was given up, in seconds since the epoch; its number, which rises.
    """

    message: bytes
    fault: bytes
    told: bool
    thread: str = ""
    attempts: int = 0
    at: float = 0.0
    number: int = 0


def damaged_letter(data: bytes, key: str, thread: str, at: float) -> DeadLetter:
    """What keeps the unreadable bytes `data`, found in `key`."""
    fault = Fault("damaged_message", f"{key}: {UNREADABLE}", "system")
    return DeadLetter(data, _encoder.encode(fault), True, thread, 0, at)


class Step(msgspec.Struct, array_like=True, gc=False):
    """All that one hop changes, committed together or not at all.

    thread, fence: the claim it finishes. call: the thread's open call afterwards. again: the number of another
    attempt at the same message, not before `due` in seconds since the epoch, then nothing else but `hop` is set.
    cancels: whatever is under way below the thread is given up first. hop: an encoded HopRecord, kept in any case.
    own: messages to the thread itself. delegate: a request made as if by the thread's parent, taking over the
    thread's open call. ends: the thread gives up what it waits for: its open calls and its join are closed, later
    replies to them are late. state: what a primitive keeps. no_answer: a call of this thread that ends without an
    answer is told of by a fault. dropped: answers that nobody waited for.
    """

    thread: str
    fence: int
    call: str = ""
    sends: list[Send] = []
    answer: Answer | None = None
    own: list[bytes] = []
    again: int = 0
    delegate: Send | None = None
    join: Join | None = None
    no_answer: bool = False
    ends: bool = False
    failed: bool = False
    state: bytes | None = None
    dead: DeadLetter | None = None
    dropped: int = 0
    due: float = 0.0
    cancels: bool = False
    hop: bytes = b""


class Injection(msgspec.Struct, array_like=True, gc=False):
    """A message from outside, the start of a conversation, sent to each of `to`.

    With a `fault` it could not be read or has nowhere to go: the fault, an encoded Fault, is its only output, and
    `rejected`, an encoded Rejected, becomes a dead letter. retried_from: the conversation whose dead letter it tries
    again, "" for none.
    """

    source: str
    to: list[str]
    type: str = ""
    payload: bytes = b""
    fault: bytes | None = None
    retried_from: str = ""
    rejected: bytes = b""


class Rejected(msgspec.Struct):
    """Input that is not a message: its source, its line (0 for none), and its text."""

    source: str
    line: int
    text: str


encode_rejected = _encoder.encode


def rejected_message(injection: Injection, conversation: str, initiator: str, at: float) -> bytes:
    """The encoded message for rejected input, in its dead letter."""
    payload = injection.rejected
    return encode_message(Message(conversation, REJECTED, conversation, initiator, "", "", payload, "", 0, at=at))


class Cursor(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How far the source `name` has been read: its first `offset` documents, which `fingerprint` recognises."""

    name: str
    fingerprint: str
    offset: int


OUTPUT = "output"
ENDED = "ended"
DEAD = "dead"
REVOKED = "revoked"


class Event(msgspec.Struct, array_like=True, gc=False):
    """Told to the pump that owns `conversation`.

    kind output: `message` reached the initiator; ended: the conversation is over in `state` done, failed or
    cancelled; dead: `message` became a dead letter, caused by the encoded Fault `cause`, that nobody was told of. kind
    revoked is told to the pump that has claimed a message of the thread `state`: the message is cancelled.
    """

    conversation: str
    kind: str
    message: bytes = b""
    state: str = ""
    cause: bytes = b""


class PumpRecord(msgspec.Struct, array_like=True, gc=False):
    """A pump as others see it: its process, which `started` (ticks since boot) tells from a later one of that pid.

    expires: when its leases end unless it renews them, in seconds since the epoch. serves: it waits for more, and takes
    over what nobody serves.
    """

    id: str
    host: str
    pid: int
    started: int
    expires: float
    serves: bool = False


class ConversationRecord(msgspec.Struct, array_like=True, gc=False):
    """A conversation as others see it. state: running, done, failed or cancelled; times are in seconds since the epoch.

    owner: the pump that is told of it, "" for none; delivered: how many of its outputs have been printed;
    retried_from: the conversation whose dead letter it tries again, "" for none.
    """

    id: str
    chain: str
    state: str
    owner: str
    started: float
    ended: float
    outputs: int
    delivered: int
    threads: int
    retried_from: str = ""
