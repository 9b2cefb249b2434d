from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis_server

from cli.bench import Bench
from cli.stored import KINDS, SQLITE, Stored
from cli.warm import Warm


@pytest.fixture
def bench(tmp_path: Path, warm: Warm | None) -> Iterator[Bench]:
    made = Bench(tmp_path, warm)
    yield made
    made.close()


def default_and_slow(default: str, *others: str) -> list[Any]:
    """Parameters of which all but the first belong to the slow tests: a command starts a process for each."""
    return [default, *(pytest.param(one, marks=pytest.mark.slow) for one in others)]


@pytest.fixture(params=default_and_slow("sqlite", *sorted(KINDS.keys() - {"sqlite"})))
def stored(bench: Bench, request: pytest.FixtureRequest) -> Stored:
    """An organism whose state stays, in each of the backends where it does."""
    if request.param == "redis" and redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return KINDS[request.param](bench)


@pytest.fixture(params=default_and_slow("sqlite", "redis", "manager"))
def shared(request: pytest.FixtureRequest) -> str:
    """The section of a backend that several processes share."""
    if request.param == "manager":
        return "backend: {type: manager}\n"
    if request.param == "sqlite":
        return SQLITE
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    url, prefix = redis_server.shared().url, redis_server.new_prefix()
    return f"backend: {{type: redis, redis_url: '{url}', redis_prefix: '{prefix}'}}\n"
