"""Slots as bytes: the envelope of a message in MessagePack, with its payload's type name and a version."""

from __future__ import annotations

import msgspec

from xpipe.core.errors import BackendError
from xpipe.core.messages import Message, decode_message, encode_message

VERSION = 1


class SlotError(BackendError):
    """A stored slot is damaged, or of a version this xpipe does not know."""


def serialize_slot(slot: Message) -> bytes:
    """`slot` as bytes; its payload is bytes already."""
    return encode_message(slot)


def deserialize_slot(data: bytes, where: str = "") -> Message:
    """The inverse of `serialize_slot`; `where` names the key that `data` was read from. Raises SlotError."""
    try:
        message = decode_message(data)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise SlotError(f"{where or 'a slot'} is damaged ({error}); set it aside with `xpipe gc`") from None
    if message.version != VERSION:
        raise SlotError(
            f"{where or 'a slot'} has version {message.version}, this xpipe reads version {VERSION}; "
            "read it with the xpipe that wrote it, or set it aside with `xpipe gc`"
        )
    return message
