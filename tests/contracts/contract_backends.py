"""The backends that the contract suite runs on. A new one adds its factory here, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis_server

from xpipe.backends.manager import ManagerBackend
from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.redis import RedisBackend
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.ports import SharedBackend

Factory = Callable[[Path, int], SharedBackend]
"""Makes a fresh backend from a folder it may use and the number of threads after which it forgets finished ones."""


def redis_backend(max_threads: int) -> RedisBackend:
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return RedisBackend(redis_server.shared().url, redis_server.new_prefix(), max_threads=max_threads)


BACKENDS: dict[str, tuple[type, Factory]] = {
    "sqlite": (SQLiteBackend, lambda folder, max_threads: SQLiteBackend(folder / "state.db", max_threads)),
    "memory": (InMemoryBackend, lambda _, max_threads: InMemoryBackend(max_threads)),
    "manager": (ManagerBackend, lambda _, max_threads: ManagerBackend(max_threads=max_threads)),
    "redis": (RedisBackend, lambda _, max_threads: redis_backend(max_threads)),
}
