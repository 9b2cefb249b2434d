"""How often one looks whether there is room for what comes in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from xpipe.core.errors import LimitError
from xpipe.ports import Load
from xpipe.runtime import admission
from xpipe.runtime.admission import Admission
from xpipe.runtime.line import Line


class Backend:
    """Tells its load, and counts how often."""

    def __init__(self, *load: int) -> None:
        self.told = Load.of(*load)
        self.looks = 0

    def load(self) -> Load:
        self.looks += 1
        return self.told

    def make_room(self) -> bool:
        return False


class Alone:
    """Nobody else serves the organism."""

    async def others(self) -> set[str]:
        return set()


def opened(backend: Backend, *wanted: int) -> list[bool]:
    """Whether each of so many messages is let in, with 1,000 in flight and as many threads at most."""
    doors: Any = Admission(backend, Line(False), Alone(), 1_000, 1_000)  # type: ignore[arg-type]

    async def ask() -> list[bool]:
        return [await doors.is_open(many, lambda: False) for many in wanted]

    return asyncio.run(ask())


def test_far_from_the_limits_one_look_does_for_as_many_as_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "FRESH", 60.0)
    backend = Backend(0, 1_000)

    assert opened(backend, *[1] * 100) == [True] * 100
    assert backend.looks == 1
    assert opened(backend, 60, 60) == [True, True]
    assert backend.looks == 3


@pytest.mark.parametrize("load", [(999, 1_000), (0, 3)])
def test_near_a_limit_every_message_needs_one(load: tuple[int, int]) -> None:
    backend = Backend(*load)

    assert opened(backend, 1, 1, 1) == [True, True, True]
    assert backend.looks == 3


def test_a_look_that_is_not_fresh_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "FRESH", 0.0)
    backend = Backend(0, 1_000)

    assert opened(backend, 1, 1) == [True, True]
    assert backend.looks == 2


def test_without_room_nothing_is_let_in() -> None:
    assert opened(Backend(1_000, 1_000), 1, 1) == [False, False]
    with pytest.raises(LimitError):
        opened(Backend(0, 0), 1)
