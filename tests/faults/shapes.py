"""What a conversation looks like in the state, apart from ids and times; and what it has to look like."""

from __future__ import annotations

import asyncio
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from faults.workload import document, write_organism
from xpipe import Organism
from xpipe.core.messages import Message, decode_message
from xpipe.ports import SharedBackend, ThreadRecord


class SlotShape(NamedTuple):
    """A recorded message."""

    kind: str
    sender: str
    to: str
    type: str
    payload: Any
    hop: int
    attempt: int


class ThreadShape(NamedTuple):
    """A thread; `chain` begins below the initiator."""

    chain: str
    listener: str
    state: str
    slots: tuple[SlotShape, ...]


Shape = list[ThreadShape]


def slot_shape(message: Message, initiator: str) -> SlotShape:
    payload = msgspec.msgpack.decode(message.payload) if message.payload else None
    if isinstance(payload, dict):
        payload = {name: value for name, value in payload.items() if name not in ("buffer_id", "sequence_id")}
    sender, to = ("" if name == initiator else name for name in (message.sender, message.to))
    return SlotShape(message.kind, sender, to, message.type, payload, message.hop, message.attempt)


def thread_shape(thread: ThreadRecord, messages: list[Message]) -> ThreadShape:
    _, _, initiator, *below = thread.chain.split(".")
    chain = re.sub(r"~[^.]+", "~", ".".join(below))  # Behind the ~ of a Buffer or Sequence stands its id.
    slots = tuple(slot_shape(message, initiator) for message in messages)
    if not below:
        slots = tuple(sorted(slots, key=lambda one: one.sender))  # Whoever answers first.
    return ThreadShape(chain, thread.listener if below else "", thread.state, slots)


def shape_of(backend: SharedBackend, conversation: str) -> tuple[Shape, list[str]]:
    """The shape of a conversation, and the ids of its messages."""
    threads, ids = [], []
    for thread in backend.threads(conversation):
        messages = [decode_message(data) for data in backend.buffer_get_thread(thread.thread)]
        ids += [message.id for message in messages]
        threads.append(thread_shape(thread, messages))
    return sorted(threads, key=lambda one: one.chain), ids


@cache
def expected_shapes(how_many: int) -> list[Shape]:
    """The shapes of the first so many documents: those of a run in memory that nobody disturbs."""
    return asyncio.run(_undisturbed(how_many))


async def _undisturbed(how_many: int) -> list[Shape]:
    with tempfile.TemporaryDirectory() as folder:
        organism = Organism.load(write_organism(Path(folder), {"type": "memory"}))
        async with organism:
            made = [
                organism.intake.injection("in", one["to"], one["payload"]) for one in map(document, range(how_many))
            ]
            ids = await organism.inject_all(made)
            await organism.idle()
            return [shape_of(organism.backend, id)[0] for id in ids]


def answers_in(shape: Shape) -> list[tuple[int, int]]:
    """The document and the result of each answer in the shape of a conversation."""
    return [(one.payload["id"], one.payload["result"]) for one in shape[0].slots]


def document_of(shape: Shape) -> int:
    """The id of the document that the conversation began with; -1 when that is not to be seen."""
    first = next((one.slots[0] for one in shape if one.chain.count(".") == 0 and one.chain and one.slots), None)
    return int(first.payload["id"]) if first else -1
