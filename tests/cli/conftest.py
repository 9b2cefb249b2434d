from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis_server

from cli.bench import Bench
from cli.stored import KINDS, Stored


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted(KINDS))
def stored(bench: Bench, request: pytest.FixtureRequest) -> Stored:
    """An organism whose state stays, in each of the backends where it does."""
    if request.param == "redis" and redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return KINDS[request.param](bench)
