"""A pump that was taken for dead gets a new name, however often the backend fails meanwhile."""

from __future__ import annotations

import threading

import pytest

from runtime.living import until_true
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import PumpRecord
from xpipe.runtime import lease
from xpipe.runtime.lease import Lease


class Unsteady(InMemoryBackend):
    """A memory backend that cannot be reached when a pump wants to enroll, once it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = threading.Event()

    def enroll(self, pump: PumpRecord) -> None:
        if self.is_away.is_set():
            self.is_away.clear()
            raise BackendError("away")
        super().enroll(pump)


def test_the_name_that_is_replaced_is_the_one_its_conversations_have(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a pump that was buried while its backend is about to fail
    monkeypatch.setattr(lease, "RENEWAL", 0.05)
    backend = Unsteady()
    backend.open("living", 100)
    names: list[tuple[str, str]] = []
    kept = Lease(
        backend,
        "first",
        1_000.0,
        False,
        on_news=lambda: None,
        on_renamed=lambda old, new: names.append((old, new)),
        on_lost=lambda _: None,
    )
    kept.take()
    backend.is_away.set()

    backend.bury_pump("first")

    until_true(lambda: bool(names))
    [(old, new)] = names
    assert old == "first"
    assert [pump.id for pump in backend.pumps()] == [new]
    kept.give_back()
    assert backend.pumps() == []
