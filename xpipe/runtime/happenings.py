"""What an organism tells of its conversations, payloads decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.messages import DEAD, ENDED, FAULT, RESPONSE, Event, Message, decode_message, readable
from xpipe.core.payloads import Fault


@dataclass(frozen=True, slots=True)
class Output:
    """A reply that reached the initiator of `conversation`: kind response or fault, from the listener `sender`."""

    conversation: str
    kind: str
    sender: str
    type: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a conversation, in state done, failed or cancelled."""

    conversation: str
    state: str


@dataclass(frozen=True, slots=True)
class Unheard:
    """A fault that nobody was told of: its message became a dead letter."""

    conversation: str
    fault: Any


Happening = Output | Ending | Unheard


def happening_of(event: Event, types: PayloadTypes) -> Happening:
    """What `event` tells."""
    if event.kind == ENDED:
        return Ending(event.conversation, event.state)
    if event.kind == DEAD:
        return Unheard(event.conversation, types.decode("Fault", event.cause))
    return output_of(decode_message(event.message), types)


def output_of(message: Message, types: PayloadTypes) -> Output:
    """The output that `message` is; a fault when its payload cannot be decoded."""
    try:
        payload = types.decode(message.type, message.payload)
    except PayloadError as error:
        fault = Fault(error.code, str(error), message.sender, message.hop)
        return Output(message.conversation, FAULT, message.sender, "Fault", fault)
    return Output(message.conversation, message.kind, message.sender, message.type, payload)


def output_messages(slots: list[bytes]) -> list[Message]:
    """The outputs among the slots of an initiator."""
    messages = (readable(data) for data in slots)
    return [message for message in messages if message is not None and message.kind in (RESPONSE, FAULT)]
