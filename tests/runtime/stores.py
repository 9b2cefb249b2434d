"""The backends of organisms on disk."""

from __future__ import annotations

from typing import Any

import pytest
import redis_server

on_every_backend = pytest.mark.parametrize("backend", ["memory", "sqlite", "redis"])
on_lasting_backends = pytest.mark.parametrize("backend", ["sqlite", "redis"])


def section(backend: str, **options: Any) -> dict[str, Any]:
    """The `backend:` section of an organism that nothing else uses; skips where there is no Redis."""
    place: dict[str, Any] = {}
    if backend == "sqlite":
        place = {"path": "state.db"}
    elif backend == "redis":
        if redis_server.binary() is None:
            pytest.skip(redis_server.NO_SERVER)
        place = {"redis_url": redis_server.shared().url, "redis_prefix": redis_server.new_prefix()}
    return {"type": backend, **place, **options}
