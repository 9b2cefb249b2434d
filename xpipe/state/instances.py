"""One registry and context buffer for each backend; without a backend, a private one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from xpipe.ports import SharedBackend
from xpipe.state.buffers import BufferRegistry
from xpipe.state.context import ContextBuffer
from xpipe.state.registry import ThreadRegistry
from xpipe.state.sequences import SequenceRegistry

View = TypeVar("View")


class _Instances(Generic[View]):
    """The views by the identity of their backend, which each of them keeps alive as long as it lives itself."""

    def __init__(self, make: Callable[[SharedBackend | None], View]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._private: View | None = None
        self._by_backend: WeakValueDictionary[int, View] = WeakValueDictionary()

    def of(self, backend: SharedBackend | None) -> View:
        with self._lock:
            view = self._private if backend is None else self._by_backend.get(id(backend))
            if view is not None:
                return view
            view = self._make(backend)
            if backend is None:
                self._private = view
            else:
                self._by_backend[id(backend)] = view
            return view

    def reset(self) -> None:
        with self._lock:
            self._private = None
            self._by_backend.clear()


_registries = _Instances(ThreadRegistry)
_contexts = _Instances(ContextBuffer)
_buffers = _Instances(BufferRegistry)
_sequences = _Instances(SequenceRegistry)


def get_registry(backend: SharedBackend | None = None) -> ThreadRegistry:
    """The thread registry of `backend`, or the private one of this process; always the same object."""
    return _registries.of(backend)


def reset_registry() -> None:
    """Let the next `get_registry` make a new one. What a backend holds stays."""
    _registries.reset()


def get_context_buffer(backend: SharedBackend | None = None) -> ContextBuffer:
    """The context buffer of `backend`, or the private one of this process; always the same object."""
    return _contexts.of(backend)


def reset_context_buffer() -> None:
    """Let the next `get_context_buffer` make a new one. What a backend holds stays."""
    _contexts.reset()


def get_buffer_registry(backend: SharedBackend | None = None) -> BufferRegistry:
    """The Buffer registry of `backend`, or the private one of this process; always the same object."""
    return _buffers.of(backend)


def reset_buffer_registry() -> None:
    """Let the next `get_buffer_registry` make a new one. What a backend holds stays."""
    _buffers.reset()


def get_sequence_registry(backend: SharedBackend | None = None) -> SequenceRegistry:
    """The Sequence registry of `backend`, or the private one of this process; always the same object."""
    return _sequences.of(backend)


def reset_sequence_registry() -> None:
    """Let the next `get_sequence_registry` make a new one. What a backend holds stays."""
    _sequences.reset()
