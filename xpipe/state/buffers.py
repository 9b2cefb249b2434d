"""Buffers without an organism: results of several items, collected from any number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from xpipe.backends.arguments import require_text
from xpipe.core.payloads import BufferItemResult
from xpipe.ports import SharedBackend
from xpipe.state.collections import Collections


@dataclass(frozen=True, slots=True)
class BufferState:
    """A snapshot of a Buffer. `results` holds the results so far, by index."""

    buffer_id: str
    total_items: int
    return_to: str
    thread_id: str
    from_id: str
    target: str
    collect: bool
    results: dict[int, BufferItemResult] = field(default_factory=dict)

    @property
    def completed_count(self) -> int:
        """Number of items with a result."""
        return len(self.results)

    @property
    def successful_count(self) -> int:
        """Number of successful items."""
        return sum(one.success for one in self.results.values())

    @property
    def pending_count(self) -> int:
        """Number of items without a result."""
        return self.total_items - len(self.results)

    @property
    def is_complete(self) -> bool:
        """Every item has a result."""
        return self.pending_count == 0

    def get_ordered_results(self) -> list[BufferItemResult | None]:
        """The results in the order of the items, None for an item that has none."""
        return [self.results.get(index) for index in range(self.total_items)]


class _Head(msgspec.Struct, array_like=True):
    total_items: int
    return_to: str
    thread_id: str
    from_id: str
    target: str
    collect: bool


class _Part(msgspec.Struct, array_like=True):
    success: bool
    result: Any
    error: str


class BufferRegistry:
    """The Buffers that were made with it, in a backend or, without one, in a private one in memory.

    Those of running organisms are not among them, and no organism sees these. Processes that share the backend
    share the Buffers; results are plain data (None, bool, int, float, str, bytes, list, dict).
    """

    def __init__(self, backend: SharedBackend | None = None) -> None:
        self._buffers = Collections(backend, "buffer", _Head, _Part)

    def create(
        self,
        buffer_id: str,
        total_items: int,
        return_to: str,
        thread_id: str,
        from_id: str,
        target: str,
        collect: bool = True,
    ) -> BufferState:
        """Begin a Buffer of `total_items` items. Raises ValueError below one item, LimitError for an id in use."""
        if type(total_items) is not int:
            raise TypeError(f"total_items must be a whole number, got {total_items!r}")
        if total_items < 1:
            raise ValueError(f"total_items must be 1 or more, got {total_items}: an empty Buffer collects nothing")
        for name, text in {
            "return_to": return_to,
            "thread_id": thread_id,
            "from_id": from_id,
            "target": target,
        }.items():
            require_text(name, text)
        head = _Head(total_items, return_to, thread_id, from_id, target, bool(collect))
        self._buffers.create(buffer_id, head, total_items)
        return _state(buffer_id, head, {})

    def get(self, buffer_id: str) -> BufferState | None:
        """The Buffer, or None."""
        found = self._buffers.get(buffer_id)
        return None if found is None else _state(buffer_id, *found)

    def record_result(
        self, buffer_id: str, index: int, result: Any, success: bool = True, error: str = ""
    ) -> BufferState | None:
        """Record the result of an item, unless it has one: the first counts. The Buffer then, None if there is none.

        Raises IndexError for an unknown item.
        """
        if type(index) is not int:
            raise TypeError(f"index must be a whole number, got {index!r}")
        require_text("error", error)
        self._buffers.add(buffer_id, index, _Part(bool(success), result, error))
        state = self.get(buffer_id)
        if state is not None and not 0 <= index < state.total_items:
            raise IndexError(f"the Buffer {buffer_id} has {state.total_items} items, so no index {index}")
        return state

    def remove(self, buffer_id: str) -> bool:
        """Remove a Buffer; returns whether it existed."""
        return self._buffers.remove(buffer_id)

    def list_active(self) -> list[str]:
        """The ids of all Buffers, complete or not."""
        return list(dict.fromkeys(self.iter_active()))

    def iter_active(self) -> Iterator[str]:
        """As `list_active`, page by page."""
        return self._buffers.ids()

    def clear(self) -> None:
        """Remove all Buffers."""
        self._buffers.clear()


def _state(id: str, head: _Head, parts: dict[int, _Part]) -> BufferState:
    results = {
        index: BufferItemResult(index, part.success, part.result, "" if part.success else "failed", part.error)
        for index, part in parts.items()
    }
    return BufferState(
        id, head.total_items, head.return_to, head.thread_id, head.from_id, head.target, head.collect, results
    )
