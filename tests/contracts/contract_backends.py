"""The backends that the contract suite runs on. A new one adds its factory here, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis
import redis_server
from contract_manager import manager_backend

from xpipe.backends.home import Home
from xpipe.backends.manager import ManagerBackend
from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.memory_store import MemoryStore
from xpipe.backends.redis import RedisBackend
from xpipe.backends.redis_store import RedisStore
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.ports import SharedBackend

Factory = Callable[[Path, int], SharedBackend]
"""Makes a fresh backend from a folder it may use and the number of threads from which on it is full."""
TTL = 3_600
"""So that the check that no test leaves a key without TTL (tests/conftest.py) sees the whole suite on Redis."""


def redis_backend(max_threads: int) -> RedisBackend:
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return RedisBackend(redis_server.shared().url, redis_server.new_prefix(), TTL, max_threads)


def redis_store() -> RedisStore:
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return RedisStore(redis_server.shared().url, redis_server.new_prefix(), TTL)


BACKENDS: dict[str, tuple[type, Factory]] = {
    "sqlite": (SQLiteBackend, lambda folder, max_threads: SQLiteBackend(folder / "state.db", max_threads)),
    "home": (Home, lambda _, max_threads: Home(MemoryStore(), max_threads)),
    "home-redis": (Home, lambda _, max_threads: Home(redis_store(), max_threads)),
    "memory": (InMemoryBackend, lambda _, max_threads: InMemoryBackend(max_threads)),
    "manager": (ManagerBackend, lambda _, max_threads: manager_backend(max_threads)),
    "redis": (RedisBackend, lambda _, max_threads: redis_backend(max_threads)),
}


def corrupt(backend: SharedBackend, thread: str, index: int, data: bytes) -> None:
    """Put `data` in the place of a stored slot, as a broken disk or another program would."""
    if isinstance(backend, InMemoryBackend):
        backend._store.threads[thread].slots[index] = data
    elif isinstance(backend, Home):
        if isinstance(backend._store, MemoryStore):
            backend._store._slots[thread][index] = data
        elif isinstance(backend._store, RedisStore):
            backend._store._send("LSET", f"{backend._store._prefix}buffer:{thread}", index, data)
        if thread in backend._records.threads:
            backend._records.threads[thread].slots[index] = data
    elif isinstance(backend, SQLiteBackend):
        with closing(sqlite3.connect(backend._path)) as connection, connection:
            where = "thread = (SELECT n FROM threads WHERE id = ?) AND at = ?"
            assert connection.execute(f"UPDATE slots SET data = ? WHERE {where}", (data, thread, index)).rowcount == 1
    elif isinstance(backend, RedisBackend):
        with redis.Redis.from_url(redis_server.shared().url) as connection:
            assert connection.lset(f"{backend._prefix}buffer:{thread}", index, data)
    else:
        pytest.skip("nobody but the manager's process can reach what it stores")
