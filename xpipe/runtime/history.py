"""The recorded messages of a thread, as its handler reads them."""

from __future__ import annotations

from collections.abc import Iterable

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import decode_message
from xpipe.core.payloads import Slot


def up_to(slots: Iterable[bytes], message: str) -> list[bytes]:
    """Those of `slots` up to the one whose id is `message`: what a handler of it may know of its thread."""
    found: list[bytes] = []
    for data in slots:
        found.append(data)
        if decode_message(data).id == message:
            break
    return found


def read_slots(slots: Iterable[bytes], types: PayloadTypes) -> list[Slot]:
    """`slots` with their payloads decoded."""
    read = []
    for index, data in enumerate(slots):
        message = decode_message(data)
        payload = types.decode(message.type, message.payload)
        read.append(Slot(index, message.kind, message.sender, message.type, payload))
    return read
