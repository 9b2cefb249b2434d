"""The contract suite runs on every backend in contract_backends.BACKENDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract_backends import BACKENDS
from contract_kit import SLOTS, Driver

from xpipe.ports import SharedBackend


@pytest.fixture(params=[pytest.param(name, id=name) for name in BACKENDS])
def make_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., SharedBackend]]:
    """Makes backends of one kind, by default claimed by the organism `org`; they are closed at the end."""
    made: list[SharedBackend] = []
    _, factory = BACKENDS[request.param]

    def make(max_threads: int = 100_000, slots: int = SLOTS, organism: str | None = "org") -> SharedBackend:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        backend = factory(folder, max_threads)
        made.append(backend)
        if organism is not None:
            backend.open(organism, slots)
        return backend

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(make_backend: Callable[..., SharedBackend]) -> SharedBackend:
    return make_backend()


@pytest.fixture
def unclaimed(make_backend: Callable[..., SharedBackend]) -> SharedBackend:
    """A backend as it comes."""
    return make_backend(organism=None)


@pytest.fixture
def drive(backend: SharedBackend) -> Driver:
    return Driver(backend)
