"""One registry, context buffer and Buffer registry for each backend, whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from xpipe.ports import SharedBackend
from xpipe.state.buffers import BufferRegistry
from xpipe.state.config import BackendConfig
from xpipe.state.context import ContextBuffer
from xpipe.state.factory import get_shared_backend
from xpipe.state.registry import ThreadRegistry

View = TypeVar("View")
Origin = SharedBackend | BackendConfig | None
"""Whose view: a backend's, or that of the one backend made for a configuration; None for the default one."""


_lock = threading.RLock()
_backends: WeakValueDictionary[BackendConfig, SharedBackend] = WeakValueDictionary()


class _Instances(Generic[View]):
    """The views by the identity of their backend, which each of them keeps alive as long as it lives itself.

    A backend that was made for a configuration lives until the views that were asked for with it are reset.
    """

    def __init__(self, make: Callable[[SharedBackend], View]) -> None:
        self._make = make
        self._by_backend: WeakValueDictionary[int, View] = WeakValueDictionary()
        self._by_config: dict[BackendConfig, View] = {}

    def of(self, origin: Origin) -> View:
        with _lock:
            if origin is None or isinstance(origin, BackendConfig):
                return self._configured(origin or BackendConfig())
            view = self._by_backend.get(id(origin))
            if view is None:
                view = self._by_backend[id(origin)] = self._make(origin)
            return view

    def _configured(self, config: BackendConfig) -> View:
        view = self._by_config.get(config)
        if view is None:
            backend = _backends.get(config)
            if backend is None:
                backend = _backends[config] = get_shared_backend(config)
            view = self._by_config[config] = self.of(backend)
        return view

    def reset(self) -> None:
        with _lock:
            self._by_backend.clear()
            self._by_config.clear()


_registries = _Instances(ThreadRegistry)
_contexts = _Instances(ContextBuffer)
_buffers = _Instances(BufferRegistry)


def get_registry(origin: Origin = None) -> ThreadRegistry:
    """The thread registry of a backend, or of the one made for a configuration; the same for all who ask."""
    return _registries.of(origin)


def reset_registry() -> None:
    """Let the next `get_registry` make a new one. What a backend holds stays."""
    _registries.reset()


def get_context_buffer(origin: Origin = None) -> ContextBuffer:
    """The context buffer of a backend, or of the one made for a configuration; the same for all who ask."""
    return _contexts.of(origin)


def reset_context_buffer() -> None:
    """Let the next `get_context_buffer` make a new one. What a backend holds stays."""
    _contexts.reset()


def get_buffer_registry(origin: Origin = None) -> BufferRegistry:
    """The Buffer registry of a backend, or of the one made for a configuration; the same for all who ask."""
    return _buffers.of(origin)


def reset_buffer_registry() -> None:
    """Let the next `get_buffer_registry` make a new one. What a backend holds stays."""
    _buffers.reset()
