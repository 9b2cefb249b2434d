"""Slots: recorded messages, and the bytes that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from xpipe.core.errors import BackendError
from xpipe.core.messages import Message, encode_message

VERSION = 1
NOTE = "note"
"""The kind of a slot recorded outside a hop."""


class SlotError(BackendError):
    """A stored slot is damaged, or of a version this xpipe does not know."""


@dataclass(frozen=True, slots=True)
class BufferSlot:
    """One recorded message of a thread. `data` is its payload in MessagePack, `type` the name of the payload's class.

    kind: request, self, response, fault, joined, late-response, late-fault or note. at: when it was sent, in seconds
    since the epoch, 0.0 if that is not recorded.
    """

    thread: str
    index: int
    id: str
    kind: str
    sender: str
    to: str
    type: str
    data: bytes
    conversation: str = ""
    hop: int = 0
    at: float = 0.0

    @property
    def payload(self) -> Any:
        """The payload as plain data, a fresh copy each time. Raises SlotError."""
        try:
            return msgspec.msgpack.decode(self.data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            where = place(self.thread, self.index)
            raise SlotError(f"the payload of {where} is damaged ({error}); set it aside with `xpipe gc`") from None


class _StoredSlot(Message, array_like=True, gc=False):
    """A message as stored, with its place if known."""

    thread: str = ""
    index: int = -1


_decode = msgspec.msgpack.Decoder(_StoredSlot).decode


def place(thread: str, index: int) -> str:
    """A slot for people."""
    return f"slot {index} of the thread {thread}"


def serialize_slot(slot: BufferSlot) -> bytes:
    """`slot` as bytes: MessagePack with a version, no code."""
    if not isinstance(slot, BufferSlot):
        raise TypeError(f"serialize_slot takes a BufferSlot, got {type(slot).__name__}")
    return encode_message(
        _StoredSlot(
            slot.id,
            slot.kind,
            slot.conversation,
            slot.sender,
            slot.to,
            slot.type,
            slot.data,
            "",
            slot.hop,
            at=slot.at,
            thread=slot.thread,
            index=slot.index,
        )
    )


def deserialize_slot(data: bytes, thread: str = "", index: int = -1) -> BufferSlot:
    """The slot stored as `data`, found at `index` of `thread` where these are given. Raises SlotError."""
    where = place(thread, index) if thread else "the slot"
    try:
        one = _decode(data)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise SlotError(f"{where} is damaged ({error}); set it aside with `xpipe gc`") from None
    if one.version != VERSION:
        raise SlotError(
            f"{where} has version {one.version}, this xpipe reads version {VERSION}; "
            "read it with the xpipe that wrote it, or set it aside with `xpipe gc`"
        )
    found = (thread, index) if thread else (one.thread, one.index)
    return BufferSlot(
        *found, one.id, one.kind, one.sender, one.to, one.type, one.payload, one.conversation, one.hop, one.at
    )
