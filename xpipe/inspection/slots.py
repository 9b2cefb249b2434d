"""The recorded messages of a thread, one damaged one being no reason not to show the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xpipe.core.messages import DAMAGED, UNREADABLE, Message, readable
from xpipe.inspection.plain import Undecodable, plain_payload
from xpipe.ports import SharedBackend

PAGE = 50
SET_ASIDE = "it was damaged and set aside; a dead letter keeps its bytes"


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot. `payload` is plain data; with a `problem` there is none, and the problem says why."""

    index: int
    kind: str
    sender: str
    to: str
    type: str
    payload: Any
    problem: str = ""


def slots_of(backend: SharedBackend, thread: str, start: int = 0, stop: int | None = None) -> Iterator[SlotView]:
    """The slots `start` to before `stop` of `thread`, oldest first, read page by page."""
    at = start
    while stop is None or at < stop:
        page = backend.buffer_get_thread(thread, at, at + PAGE if stop is None else min(at + PAGE, stop))
        yield from (slot_view(index, data) for index, data in enumerate(page, at))
        at += len(page)
        if len(page) < PAGE:
            return


def slot_view(index: int, data: bytes) -> SlotView:
    """The slot that is stored as `data`."""
    message = readable(data)
    if message is None:
        return SlotView(index, DAMAGED, "", "", "", None, UNREADABLE)
    payload, problem = payload_of(message)
    return SlotView(index, message.kind, message.sender, message.to, message.type, payload, problem)


def payload_of(message: Message) -> tuple[Any, str]:
    """The payload of `message` as plain data, and why there is none, "" if there is."""
    if message.kind == DAMAGED:
        return None, SET_ASIDE
    try:
        # What tells a Buffer that its items are there carries nothing.
        return (plain_payload(message.type, message.payload) if message.payload else None), ""
    except Undecodable as error:
        return None, str(error)
