"""The Buffers that are being collected, as they are seen from outside."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from xpipe.core.codec import Packed
from xpipe.core.messages import FAULT, RESPONSE, Message, decode_message, encode_message
from xpipe.core.payloads import BufferItemResult, Fault
from xpipe.ports import JoinRecord, SharedBackend

_encode = msgspec.msgpack.encode
_decode_fault = msgspec.msgpack.Decoder(Fault).decode


@dataclass(frozen=True, slots=True)
class BufferState:
    """A Buffer that is being collected, as it was when it was read. `results` holds what has come, by index."""

    buffer_id: str
    total: int
    results: dict[int, BufferItemResult] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Every item is accounted for."""
        return self.pending_count == 0

    @property
    def pending_count(self) -> int:
        """How many items are not accounted for."""
        return self.total - len(self.results)

    def get_ordered_results(self) -> list[BufferItemResult]:
        """The results that have come, in the order of the items."""
        return [self.results[index] for index in sorted(self.results)]


class BufferRegistry:
    """The Buffers of a backend that are being collected: those of a running organism, and any made here.

    The result of an item of a running organism is a Packed, the name of its payload type and its bytes; of one
    recorded here, the plain data that was given (None, bool, int, float, str, bytes, list, dict).
    """

    def __init__(self, backend: SharedBackend) -> None:
        self._backend = backend

    def create(self, total: int, buffer_id: str = "") -> BufferState:
        """Open a Buffer of `total` items. Raises ValueError when `buffer_id` is taken or `total` is below 1."""
        if total < 1:
            raise ValueError(f"a Buffer of {total} items has nothing to collect; give it at least one")
        id = buffer_id or uuid.uuid4().hex
        if not self._backend.join_create(id, total):
            raise ValueError(f"there is a Buffer {id} already; remove it or take another id")
        return BufferState(id, total)

    def get(self, buffer_id: str) -> BufferState | None:
        """The Buffer, or None when it is not (or no longer) collected."""
        record = self._backend.join_get(buffer_id)
        return _state(record) if record else None

    def record_result(
        self, buffer_id: str, index: int, success: bool, result: Any = None, error: str = ""
    ) -> BufferState | None:
        """Record the outcome of one item; the first one counts. The Buffer afterwards, or None when there is none.

        Only for Buffers made here: those of an organism move in the commits of its hops. Raises IndexError.
        """
        state = self.get(buffer_id)
        if state is None:
            return None
        if not 0 <= index < state.total:
            raise IndexError(f"the Buffer {buffer_id} has {state.total} items; there is no index {index}")
        payload = _encode(result) if success else _encode(Fault("failed", error))
        kind = RESPONSE if success else FAULT
        self._backend.join_record(buffer_id, index, encode_message(Message("", kind, "", "", "", "", payload, "", 0)))
        return self.get(buffer_id)

    def remove(self, buffer_id: str) -> bool:
        """Forget a Buffer made here; whether there was one."""
        return self._backend.join_remove(buffer_id)

    def list_active(self) -> list[str]:
        """The ids of the Buffers that are being collected."""
        return [id for id, _, _ in self._backend.joins()]

    def clear(self) -> None:
        """Forget the Buffers made here; those of a running organism stay."""
        for id in self.list_active():
            self.remove(id)


def _state(record: JoinRecord) -> BufferState:
    return BufferState(record.id, record.total, dict(_results(record.results)))


def _results(results: Iterable[bytes | None]) -> Iterable[tuple[int, BufferItemResult]]:
    for index, data in enumerate(results):
        if data is not None:
            yield index, _result(index, decode_message(data))


def _result(index: int, reply: Message) -> BufferItemResult:
    if reply.kind == FAULT:
        fault = _decode_fault(reply.payload)
        return BufferItemResult(index, False, None, fault.code, fault.text)
    result = Packed(reply.type, reply.payload) if reply.type else msgspec.msgpack.decode(reply.payload)
    return BufferItemResult(index, True, result)
