"""Several processes on one state file: everything once, and each is told what concerns it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from contract_kit import Driver, answered
from sqlite_kit import bind, join_in, open_at, opened, processes

from xpipe.backends.sqlite import SQLiteBackend

CHAINS = [f"system.org.cli-{number}.a%2Eb" for number in range(200)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_processes_that_inject_and_handle_at_once_answer_every_conversation_once(path: Path) -> None:
    opened(path).close()
    with processes(4) as pool:
        parts = [pool.submit(join_in, str(path), f"pump-{number}", 4, 50) for number in range(4)]
        told = [part.result() for part in parts]

    backend = opened(path)
    assert backend.verify() == []
    conversations = list(backend.conversations())
    assert len(conversations) == 200
    assert {(one.state, one.outputs) for one in conversations} == {("done", 1)}
    assert sorted(one.chain for one in conversations) == sorted(f"system.org.cli-{n}" for n in range(1, 201))
    for number, events in enumerate(told):
        own = [one.id for one in conversations if one.owner == f"pump-{number}"]
        assert Counter(events) == Counter((id, kind) for id in own for kind in ("output", "ended"))
    backend.close()


def test_processes_that_bind_the_same_chains_agree_on_their_ids(path: Path) -> None:
    opened(path).close()
    with processes(8) as pool:
        parts = [pool.submit(bind, str(path), f"pump-{number}", 8, CHAINS) for number in range(8)]
        bound = [part.result() for part in parts]

    assert bound == [bound[0]] * 8
    assert len(set(bound[0])) == 200
    backend = opened(path)
    assert [backend.registry_get_uuid(chain) for chain in CHAINS] == bound[0]
    assert backend.verify() == []
    backend.close()


def test_processes_that_make_the_file_at_once_share_one_secret(tmp_path: Path) -> None:
    with processes(8) as pool:
        list(pool.map(abs, range(8)))
        for number in range(5):
            path, start = str(tmp_path / str(number) / "deep" / "state.db"), time.time() + 0.1
            parts = [pool.submit(open_at, path, start) for _ in range(8)]
            assert len({part.result() for part in parts}) == 1


def waiting(backend: SQLiteBackend, pump: str, found: list[float]) -> threading.Thread:
    def wait() -> None:
        if backend.wait(pump, 10.0):
            found.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_who_waits_notices_a_commit_of_another_connection(path: Path) -> None:
    here, there = opened(path), opened(path)
    Driver(here, "here").advance()
    for _ in range(5):
        found: list[float] = []
        thread = waiting(here, "here", found)
        Driver(there, "there").inject("a")
        thread.join()
        assert found
        Driver(here, "here").advance()

    here.close()
    there.close()


def test_a_commit_before_the_wait_is_noticed_and_told_once(path: Path) -> None:
    here, there = opened(path), opened(path)
    Driver(here, "here").advance()
    Driver(there, "there").inject("a")
    here.renew("here", 1.0)

    assert here.wait("here", 0.0)
    assert not here.wait("here", 0.0)
    here.close()
    there.close()


def test_own_commits_and_looking_on_do_not_end_a_wait(path: Path) -> None:
    here, there = opened(path), opened(path)
    other, drive = Driver(there, "there"), Driver(here, "here")
    drive.inject("a")
    drive.commit(answered(drive.claim()))

    other.advance()
    assert there.forget_ended(0.0, 10) == there.drop_dead_letters(0.0) == 0
    assert there.make_room()
    list(there.threads())
    there.totals()

    assert not here.wait("here", 0.03)
    here.close()
    there.close()


def test_closing_ends_a_wait(path: Path) -> None:
    backend = opened(path)
    Driver(backend, "here").advance()
    found: list[float] = []
    thread = waiting(backend, "here", found)

    backend.close()
    thread.join(5.0)

    assert not thread.is_alive()
    assert found == []
