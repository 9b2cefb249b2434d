"""From a configuration to a backend. Only the chosen backend's module is imported."""

from __future__ import annotations

import math
from collections.abc import Callable

from xpipe.core.errors import BackendError
from xpipe.ports import SharedBackend
from xpipe.state.config import BackendConfig


def get_shared_backend(config: BackendConfig) -> SharedBackend:
    """A backend as `config` says, not yet open; each call makes another one. Raises BackendError."""
    return _maker(config)(config)


def attach_shared_backend(config: BackendConfig) -> SharedBackend:
    """A backend to look at from outside a run: one that holds state already. Raises BackendError."""
    if config.backend_type == "manager" and not config.manager_address:
        return _attach_manager(config)
    return get_shared_backend(config)


def _maker(config: BackendConfig) -> Callable[[BackendConfig], SharedBackend]:
    maker = _MAKERS.get(config.backend_type)
    if maker is None:
        known = ", ".join(_MAKERS)
        raise BackendError(f"there is no backend {config.backend_type!r}; take one of {known}")
    return maker


def _memory(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.memory import InMemoryBackend

    return InMemoryBackend(config.max_threads)


def _manager(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.manager import ManagerBackend

    return ManagerBackend(
        config.manager_address,
        config.manager_authkey,
        organism_file=config.organism_file,
        max_threads=config.max_threads,
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

    return SQLiteBackend(config.sqlite_path, max_threads=config.max_threads)


def _redis(config: BackendConfig) -> SharedBackend:
    from xpipe.backends.redis import RedisBackend

    ttl = math.ceil(config.redis_ttl)
    return RedisBackend(config.redis_url, prefix=config.redis_prefix, ttl=ttl, max_threads=config.max_threads)


_MAKERS: dict[str, Callable[[BackendConfig], SharedBackend]] = {
    "memory": _memory,
    "manager": _manager,
    "sqlite": _sqlite,
    "redis": _redis,
}
