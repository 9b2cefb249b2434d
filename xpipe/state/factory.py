"""From a configuration to a backend. Only the chosen backend's module is imported."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable

from xpipe.core.errors import BackendError
from xpipe.ports import SharedBackend
from xpipe.state.config import BackendConfig

_lock = threading.Lock()
_backends: dict[BackendConfig, SharedBackend] = {}
_inherited: list[dict[BackendConfig, SharedBackend]] = []
"""Backends of the parent of this forked process: neither use nor close them."""


def get_shared_backend(config: BackendConfig | None = None) -> SharedBackend:
    """The backend of this process for `config`, ready for use: the same one for equal configurations, from any thread.

    One that was closed is replaced by a new one. Without `config`, the one in memory. Raises BackendError.
    """
    config = BackendConfig() if config is None else config
    if not isinstance(config, BackendConfig):
        raise TypeError(f"get_shared_backend takes a BackendConfig, got {type(config).__name__}")
    with _lock:
        backend = _backends.get(config)
        if backend is None or backend.closed:
            backend = _backends[config] = make_backend(config)
        return backend


def reset_shared_backend() -> None:
    """Close all backends of `get_shared_backend`; the next call creates new ones. Persistent state stays."""
    with _lock:
        made = [*_backends.values()]
        _backends.clear()
    for backend in made:
        backend.close()


def _forget_inherited() -> None:
    global _lock, _backends
    _lock = threading.Lock()
    _inherited.append(_backends)
    _backends = {}


os.register_at_fork(after_in_child=_forget_inherited)


def private_backend() -> SharedBackend:
    """A private backend in memory."""
    return make_backend(BackendConfig())


def make_backend(config: BackendConfig) -> SharedBackend:
    """A new backend for `config`. Raises BackendError."""
    maker = _MAKERS.get(config.backend_type)
    if maker is None:
        known = ", ".join(_MAKERS)
        if "://" in config.backend_type:  # It may hold a password.
            raise BackendError(f"the backend type is a URL; use one of {known} and put the URL into redis_url")
        raise BackendError(f"there is no backend type {config.backend_type!r}; use one of {known}")
    return maker(config)


def attach_backend(config: BackendConfig) -> SharedBackend:
    """A backend to look at from outside a run: one that holds state already. Raises BackendError."""
    if config.backend_type == "manager" and not config.manager_address:
        return _attach_manager(config)
    return make_backend(config)


def _memory(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.memory import InMemoryBackend

    return InMemoryBackend(config.max_threads, config.max_slots_per_thread)


def _manager(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.manager import ManagerBackend

    return ManagerBackend(
        config.manager_address,
        config.manager_authkey,
        organism_file=config.organism_file,
        max_threads=config.max_threads,
        slots_per_thread=config.max_slots_per_thread,
    )


def _attach_manager(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.manager import ManagerBackend

    if not config.organism_file:
        raise BackendError("which manager is meant is not known; give its address and key, or the organism's file")
    return ManagerBackend.attach(config.organism_file)


def _sqlite(config: BackendConfig) -> SharedBackend:
    if not config.sqlite_path:
        raise BackendError("the sqlite backend has no file; set backend.path (sqlite_path) to one")
    from xpipe.backends.sqlite import SQLiteBackend

    return SQLiteBackend(config.sqlite_path, config.max_threads, config.max_slots_per_thread)


def _redis(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.redis import RedisBackend

    return RedisBackend(
        config.redis_url,
        config.redis_prefix,
        math.ceil(config.redis_ttl),
        config.max_threads,
        config.max_slots_per_thread,
        former_prefix=config.redis_former_prefix,
    )


_MAKERS: dict[str, Callable[[BackendConfig], SharedBackend]] = {
    "memory": _memory,
    "manager": _manager,
    "sqlite": _sqlite,
    "redis": _redis,
}
