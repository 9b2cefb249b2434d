"""Leases: renewed in time, lost with their pump, and what the thread that renews them does besides."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis_server
from contract_backends import BACKENDS, TTL
from contract_kit import NOW, Driver, failed
from msgspec.structs import replace

from runtime.living import until_true
from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.redis import RedisBackend
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import PumpRecord
from xpipe.ports import SharedBackend
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


class Kept:
    """A pump that is known in `backend`: what its lease tells it."""

    def __init__(self, backend: SharedBackend, id: str, retention: float = 1_000.0) -> None:
        self.news = threading.Event()
        self.names: list[str] = []
        self.lost: list[BackendError] = []
        self._lease = Lease(
            backend,
            id,
            retention,
            False,
            on_news=self.news.set,
            on_renamed=lambda _, new: self.names.append(new),
            on_lost=self.lost.append,
        )

    def __enter__(self) -> Kept:
        self._lease.take()
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.give_back()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedBackend]:
    made = BACKENDS[request.param][1](tmp_path, 100)
    made.open("living", 100)
    yield made
    made.close()


def expiries(backend: SharedBackend) -> dict[str, float]:
    return {pump.id: pump.expires for pump in backend.pumps()}


def test_pumps_that_renew_their_leases_declare_no_pump_dead(
    backend: SharedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    with Kept(backend, "one") as one, Kept(backend, "two") as two:
        for _ in range(2):
            before = expiries(backend)
            assert set(before) == {"one", "two"}
            assert min(before.values()) > time.time()
            until_true(lambda before=before: all(expiries(backend)[id] > then for id, then in before.items()))

        assert (one.names, two.names) == ([], [])
    assert backend.pumps() == []


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[SharedBackend]]:
    """One state, as two processes see it."""
    if request.param == "sqlite":
        made: list[SharedBackend] = [SQLiteBackend(tmp_path / "state.db") for _ in range(2)]
    elif redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    else:
        prefix = redis_server.new_prefix()
        made = [RedisBackend(redis_server.shared().url, prefix, TTL) for _ in range(2)]
    for one in made:
        one.open("living", 100)
    yield made
    for one in made:
        one.close()


def test_changes_by_another_pump_arrive_before_any_renewal(
    shared: list[SharedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 1_000.0)
    here, elsewhere = shared
    with Kept(here, "waiting") as waiting:
        waiting.news.clear()

        Driver(elsewhere, "busy").inject("a")

        assert waiting.news.wait(10.0)


def test_a_renewal_reads_changes_where_nothing_announces_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    backend = InMemoryBackend()
    backend.open("living", 100)

    with Kept(backend, "waiting") as waiting:
        for _ in range(2):
            waiting.news.clear()
            assert waiting.news.wait(10.0)


def test_a_pump_that_begins_frees_what_the_dead_had_claimed(backend: SharedBackend) -> None:
    gone = Driver(backend, "gone")
    backend.enroll(record("gone", pid=GONE))
    gone.inject("a")
    gone.claim()

    with Kept(backend, "new"):
        assert [pump.id for pump in backend.pumps()] == ["new"]
        [claim] = backend.advance("new", [], {"a": 1}, 1, NOW).claims
        assert claim.deliveries == 1


def test_conversations_ended_for_longer_than_the_retention_are_removed(
    backend: SharedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    drive = Driver(backend, "earlier")
    old = [drive.talk() for _ in range(2 * lease.FORGET + 1)]
    drive.inject("b")
    drive.commit(failed(drive.claim("b")))
    drive.now = time.time()
    young = drive.talk()
    backend.retire("earlier")

    with Kept(backend, "tidy"):
        until_true(lambda: not {one.id for one in backend.conversations()} & set(old))
        until_true(lambda: not backend.totals().dead_letters)
    assert [one.id for one in backend.conversations()] == [young]


def test_a_backend_that_is_away_for_longer_than_a_lease_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    backend = InMemoryBackend()
    backend.open("living", 100)
    tries: list[BackendError] = []

    def fail(*_: object) -> bool:
        tries.append(BackendError("away"))
        raise tries[-1]

    with Kept(backend, "one") as one:
        monkeypatch.setattr(backend, "renew", fail)
        until_true(lambda: len(tries) > 2)
        assert one.lost == [], "it may come back within the time of a lease"

        monkeypatch.setattr(lease, "SECONDS", 0.01)

        until_true(lambda: one.lost == tries[-1:])


GONE = 2**22 + 1
"""The id of no process: it is over the largest there can be (proc(5), pid_max)."""


def record(id: str, **changes: Any) -> PumpRecord:
    """The record of a pump of this process with a fresh lease, but for `changes`."""
    return replace(lease.pump_record(id), **changes)


DEAD: list[dict[str, Any]] = [{"pid": GONE}, {"started": 1}, {"expires": 1.0}, {"host": "other", "expires": 1.0}]


@pytest.mark.parametrize("changes", DEAD, ids=str)
def test_a_pump_whose_process_is_gone_or_whose_lease_has_run_out_is_dead(changes: dict[str, Any]) -> None:
    assert not lease.is_alive(record("pump", **changes))
    assert lease.living([record("dead", **changes), record("live")]) == {"live"}


@pytest.mark.parametrize(
    "changes", [{}, {"host": "other", "pid": GONE, "started": 1}, {"pid": 1, "started": lease.started_at(1)}]
)
def test_a_pump_with_a_fresh_lease_lives_where_its_process_may_run(changes: dict[str, Any]) -> None:
    assert lease.is_alive(record("pump", **changes))


@pytest.mark.parametrize("changes", DEAD, ids=str)
def test_nobody_serves_but_a_live_pump_that_waits_for_more(changes: dict[str, Any]) -> None:
    batch, dead = record("batch"), record("dead", serves=True, **changes)

    assert lease.serving([batch, dead]) == ""
    assert lease.serving([batch, dead, record("first", serves=True), record("second", serves=True)]) == "first"


class Scripted(InMemoryBackend):
    """A memory backend that notes what a lease asks of it."""

    def __init__(self, ended: int = 0) -> None:
        super().__init__()
        self.open("living", 100)
        self.asked: list[str] = []
        self.retired = threading.Event()
        self.renewing = threading.Event()
        self._ended = ended

    def enroll(self, pump: PumpRecord) -> None:
        self.asked.append("enroll")
        super().enroll(pump)

    def renew(self, pump: str, expires: float) -> bool:
        """Takes until the pump has been retired, or long enough for that; it is not known any more."""
        del pump, expires
        self.renewing.set()
        self.retired.wait(0.3)
        return False

    def retire(self, pump: str) -> int:
        self.asked.append("retire")
        self.retired.set()
        return super().retire(pump)

    def forget_ended(self, before: float, most: int) -> int:
        del before
        forgotten = min(most, self._ended)
        self._ended -= forgotten
        self.asked.append("forget")
        return forgotten

    def drop_dead_letters(self, before: float) -> int:
        self.asked.append("drop")
        return super().drop_dead_letters(before)


def lease_on(backend: SharedBackend) -> Lease:
    return Lease(
        backend, "kept", 1_000.0, False, on_news=lambda: None, on_renamed=lambda *_: None, on_lost=lambda _: None
    )


def test_a_pump_is_retired_only_when_its_renewal_that_is_under_way_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a lease whose renewal is about to find that it was taken for dead
    monkeypatch.setattr(lease, "RENEWAL", 0.01)
    backend = Scripted()
    kept = lease_on(backend)
    kept.take()
    assert backend.renewing.wait(10)

    kept.give_back()

    assert [one for one in backend.asked if one != "forget" and one != "drop"] == ["enroll", "enroll", "retire"]


def test_a_lease_that_was_never_taken_can_be_given_back() -> None:
    backend = Scripted()

    lease_on(backend).give_back()

    assert backend.asked == ["retire"]


def test_all_that_is_old_is_forgotten_in_one_renewal_if_time_allows() -> None:
    backend = Scripted(ended=2 * lease.FORGET + 1)

    lease_on(backend)._forget_what_is_old()

    assert backend.asked == ["forget", "forget", "forget", "drop"]


def test_a_lease_given_back_forgets_no_more() -> None:
    backend = Scripted(ended=1_000_000)
    kept = lease_on(backend)
    kept.give_back()

    kept._forget_what_is_old()

    assert backend.asked == ["retire", "forget"]


def test_a_host_that_does_not_tell_its_boot_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)

    assert lease.this_host.__wrapped__() == socket.gethostname()


def test_a_lease_forgets_for_half_the_time_between_renewals_and_then_renews(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: far more to forget than there is time for, a commit of which takes two fifths of that between renewals
    backend = Scripted(ended=100 * lease.FORGET)
    times = iter([0.4 * lease.RENEWAL * at for at in range(200)])
    monkeypatch.setattr(lease, "time", SimpleNamespace(time=time.time, monotonic=times.__next__))

    lease_on(backend)._forget_what_is_old()

    assert backend.asked == ["forget", "forget"]


def test_a_pump_does_not_bury_itself_when_its_lease_has_run_out() -> None:
    backend = InMemoryBackend()
    backend.open("living", 100)
    for id in ("own", "other"):
        backend.enroll(record(id, expires=1.0))

    lease.bury_the_dead(backend, "own")

    assert [pump.id for pump in backend.pumps()] == ["own"]


def test_no_thread_of_a_lease_keeps_its_process_from_ending(tmp_path: Path) -> None:
    # given: a lease on a backend that announces changes, for which a thread listens
    backend = SQLiteBackend(tmp_path / "state.db")
    backend.open("living", 100)
    before = set(threading.enumerate())

    with Kept(backend, "one"):
        begun = set(threading.enumerate()) - before

    backend.close()
    assert {one.name for one in begun} >= {"xpipe-lease", "xpipe-listener"}
    assert all(one.daemon for one in begun)
