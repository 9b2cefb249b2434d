"""A real Redis for the tests that need one: backends on the shared server, and a plain client to look behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client
import redis_server
from cli.bench import Bench
from cli.warm import Warm
from redis_kit import Make

from xpipe.backends.redis import RedisBackend


@pytest.fixture
def redis_shared() -> redis_server.Server:
    return redis_server.shared()


@pytest.fixture
def raw_redis(redis_shared: redis_server.Server) -> Iterator[client.Redis]:
    with client.Redis.from_url(redis_shared.url) as connection:
        yield connection


@pytest.fixture
def make_redis(redis_shared: redis_server.Server) -> Iterator[Make]:
    made: list[RedisBackend] = []

    def make_one(prefix: str = "", organism: str | None = "org", slots: int = 50, **options: Any) -> RedisBackend:
        backend = RedisBackend(options.pop("url", redis_shared.url), prefix or redis_server.new_prefix(), **options)
        made.append(backend)
        backend.open(organism, slots)
        return backend

    yield make_one
    for backend in made:
        backend.close()


@pytest.fixture
def bench(tmp_path: Path, warm: Warm | None) -> Iterator[Bench]:
    made = Bench(tmp_path, warm)
    yield made
    made.close()
