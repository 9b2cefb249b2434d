"""The recorded messages of a thread, as its handler reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import REQUEST, Message, decode_message, readable
from xpipe.core.payloads import Slot


def up_to(slots: Iterable[bytes], message: str) -> list[bytes]:
    """Those of `slots` up to the one whose id is `message`: what a handler of it may know of its thread."""
    found: list[bytes] = []
    for data in slots:
        found.append(data)
        if decode_message(data).id == message:
            break
    return found


def find_request(read_slot: Callable[[str, int], bytes | None], thread: str, call: str) -> Message | None:
    """The request in `thread` that opened `call`; None when it cannot be read any more."""
    for at in count():
        slot = read_slot(thread, at)
        if slot is None:
            return None
        message = readable(slot)
        if message is not None and message.kind == REQUEST and message.call == call:
            return message
    return None


def read_slots(slots: Iterable[bytes], types: PayloadTypes) -> list[Slot]:
    """`slots` with their payloads decoded."""
    read = []
    for index, data in enumerate(slots):
        message = decode_message(data)
        payload = types.decode(message.type, message.payload)
        read.append(Slot(index, message.kind, message.sender, message.type, payload))
    return read
