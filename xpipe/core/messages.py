"""Messages and the steps that commit them. Only str, int, float and bytes inside: data, never code."""

from __future__ import annotations

import msgspec

REQUEST = "request"
SELF = "self"
RESPONSE = "response"
FAULT = "fault"
JOINED = "joined"


class Message(msgspec.Struct, array_like=True, gc=False):
    """The envelope around a payload.

    kind: a request opens a call; a self message continues its own thread; a response or fault replies to a call;
    joined tells a Buffer that all its items are accounted for. `call` is the id of the request that opened the call
    this message belongs to. `sender` and `to` are listener names; `hop` counts messages along the causal path.
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
    version: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
encode_message = _encoder.encode
decode_message = _decoder.decode


class Claim(msgspec.Struct, array_like=True, gc=False):
    """A message leased to a pump, with what is known of its thread.

    fence: the delivery token that the step must carry; call: the open call of the thread that `respond` answers, ""
    for none; caller: who opened the thread; initial: its caller is an initiator; open: the segments of the calls the
    thread waits for; state: what a primitive keeps in its thread.
    """

    thread: str
    fence: int
    message: bytes
    chain: str
    listener: str
    caller: str
    call: str
    initial: bool
    open: dict[str, str]
    state: bytes


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
    """The reply that ends `call` in the parent of the step's thread. `payload` etc. stand in `message` too."""

    call: str
    message: bytes


class DeadLetter(msgspec.Struct, array_like=True, gc=False):
    """A message given up on, with the fault that is its cause. `told` is whether somebody received that fault."""

    message: bytes
    fault: bytes
    told: bool


class Step(msgspec.Struct, array_like=True, gc=False):
    """All that one hop changes, committed together or not at all.

    thread, fence: the claim it finishes. call: the thread's open call afterwards. again: the same message for another
    attempt. own: messages to the thread itself. delegate: a request made as if by the thread's parent, taking over the
    thread's open call. join: the number of results to collect from the calls in `sends`, 0 for none. ends: the thread
    gives up what it waits for: its open calls are closed, later replies to them are late. state: what a primitive
    keeps. no_answer: a call of this thread that ends without an answer is told of by a fault.
    """

    thread: str
    fence: int
    call: str = ""
    sends: list[Send] = []
    answer: Answer | None = None
    own: list[bytes] = []
    again: bytes | None = None
    delegate: Send | None = None
    join: int = 0
    no_answer: bool = False
    ends: bool = False
    failed: bool = False
    state: bytes | None = None
    dead: DeadLetter | None = None


class Injection(msgspec.Struct, array_like=True, gc=False):
    """A message from outside, the start of a conversation. With a `fault` it could not be read: its only output."""

    source: str
    to: str
    type: str
    payload: bytes
    fault: bytes | None = None


class Event(msgspec.Struct, array_like=True, gc=False):
    """Told to the pump that injected `conversation`: an output (kind response or fault), or its end (kind ended)."""

    conversation: str
    kind: str
    sender: str = ""
    type: str = ""
    payload: bytes = b""
    state: str = ""
