"""The context buffer: the recorded messages of threads, readable without the code that wrote them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from xpipe.backends.arguments import require_text
from xpipe.core.codec import is_payload_class
from xpipe.core.errors import PayloadError
from xpipe.core.messages import Message, encode_message
from xpipe.ports import SharedBackend
from xpipe.state.factory import private_backend
from xpipe.state.slots import NOTE, BufferSlot, deserialize_slot


@dataclass(frozen=True, slots=True)
class ContextStats:
    """How much a backend has recorded."""

    threads: int
    slots: int


@dataclass(frozen=True, slots=True)
class ThreadStats:
    """How much is recorded of a thread, and how many slots of each payload type and of each sender."""

    slots: int
    bytes: int
    types: Mapping[str, int]
    senders: Mapping[str, int]


class ContextBuffer:
    """The slots of all threads of a backend, append-only; without one, of a private one in memory.

    Reading executes nothing and needs none of the code that wrote them. It raises SlotError when a slot is damaged;
    slots that are not asked for are not looked at.
    """

    def __init__(self, backend: SharedBackend | None = None) -> None:
        self._backend = private_backend() if backend is None else backend
        self._is_shared = backend is not None

    @property
    def is_shared(self) -> bool:
        """Whether it is a view of a given backend instead of a private one."""
        return self._is_shared

    def append(self, thread: str, sender: str, type: str, payload: Any, *, to: str = "", kind: str = NOTE) -> int:
        """Record a message in `thread`; its index, from 0. Raises LimitError when the thread is full, PayloadError.

        `payload` is MessagePack already, or what can be encoded; `type` may be "" for an instance of a payload class.
        """
        for what, value in {"sender": sender, "type": type, "to": to, "kind": kind}.items():
            require_text(what, value)
        name = type or _type_name(payload)
        data = payload if isinstance(payload, bytes) else _encode(name, payload)
        id = uuid.uuid4().hex
        return self._backend.buffer_append(thread, encode_message(Message(id, kind, "", sender, to, name, data, "", 0)))

    def get_thread(self, thread: str) -> list[BufferSlot]:
        """All slots of `thread`, oldest first."""
        return self.get_slice(thread)

    def get_slice(self, thread: str, start: int = 0, stop: int | None = None) -> list[BufferSlot]:
        """The slots `start` to before `stop` of `thread`, counted from 0; negative numbers count from the end."""
        length = self._backend.buffer_thread_len(thread) if start < 0 or (stop or 0) < 0 else 0
        start = max(start + length, 0) if start < 0 else start
        stop = max(stop + length, 0) if stop is not None and stop < 0 else stop
        found = self._backend.buffer_get_thread(thread, start, stop)
        return [deserialize_slot(data, thread, index) for index, data in enumerate(found, start)]

    def get_slot(self, thread: str, index: int) -> BufferSlot | None:
        """The slot `index` of `thread`, counted from 0."""
        data = self._backend.buffer_get_slot(thread, index)
        return None if data is None else deserialize_slot(data, thread, index)

    def get_by_type(self, thread: str, type: str) -> list[BufferSlot]:
        """The slots of `thread` whose payload is a `type`."""
        return [slot for slot in self.get_thread(thread) if slot.type == type]

    def get_by_sender(self, thread: str, sender: str) -> list[BufferSlot]:
        """The slots of `thread` that come from the listener `sender`."""
        return [slot for slot in self.get_thread(thread) if slot.sender == sender]

    def list_threads(self) -> list[str]:
        """The threads that have a slot."""
        return self._backend.buffer_list_threads()

    def iter_threads(self) -> Iterator[str]:
        """As `list_threads`, page by page: for more threads than a list should hold."""
        return self._backend.buffer_iter_threads()

    def thread_len(self, thread: str) -> int:
        """How many slots `thread` has."""
        return self._backend.buffer_thread_len(thread)

    def stats(self) -> ContextStats:
        """Counts over all threads."""
        return ContextStats(sum(1 for _ in self.iter_threads()), self._backend.totals().slots)

    def thread_stats(self, thread: str) -> ThreadStats:
        """Counts over `thread`."""
        data = self._backend.buffer_get_thread(thread)
        slots = [deserialize_slot(one, thread, index) for index, one in enumerate(data)]
        types, senders = Counter(one.type for one in slots), Counter(one.sender for one in slots)
        return ThreadStats(len(slots), sum(map(len, data)), types, senders)

    def delete(self, thread: str) -> bool:
        """Forget the slots of `thread`; whether there were any. Refused (False) while its conversation runs."""
        return self._backend.buffer_delete_thread(thread)

    def clear(self) -> None:
        """Forget all slots but those of running conversations."""
        self._backend.buffer_clear()


def _type_name(payload: Any) -> str:
    return type(payload).__name__ if is_payload_class(type(payload)) else ""


def _encode(name: str, payload: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(payload)
    except (TypeError, OverflowError, UnicodeEncodeError, msgspec.MsgspecError, RecursionError) as error:
        raise PayloadError(f"{name or 'the payload'} cannot be encoded: {error}") from None
