"""xpipe.state on every backend that several processes share: 8 processes at once, none of which has opened it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis_server
from manager_kit import CHAINS, processes

from xpipe.backends.manager import ManagerBackend
from xpipe.core.errors import BackendError
from xpipe.ports import SharedBackend
from xpipe.state import (
    BackendConfig,
    BufferRegistry,
    ContextBuffer,
    SequenceRegistry,
    ThreadRegistry,
    get_shared_backend,
    reset_shared_backend,
)

PROCESSES = 8
ITEMS = 40
STEPS = 40


@pytest.fixture(params=["sqlite", *(pytest.param(one, marks=pytest.mark.slow) for one in ("redis", "manager"))])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendConfig]:
    """A configuration that leads every process to the same state."""
    if request.param == "manager":
        owner = ManagerBackend()
        yield BackendConfig("manager", manager_address=owner.address, manager_authkey=owner.authkey)
        owner.close()
    elif request.param == "sqlite":
        yield BackendConfig("sqlite", sqlite_path=tmp_path / "state.db")
    elif redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    else:
        yield BackendConfig("redis", redis_url=redis_server.shared().url, redis_prefix=redis_server.new_prefix())
    reset_shared_backend()


@pytest.fixture
def backend(config: BackendConfig) -> SharedBackend:
    return get_shared_backend(config)


def work(config: BackendConfig, who: int) -> tuple[list[str], list[str], list[int], str, list[bool]]:
    """What each process does as soon as it is there; all of them want the same at the same time."""
    backend = get_shared_backend(config)
    ids = [ThreadRegistry(backend).get_or_create(chain) for chain in CHAINS[:100]]
    own = [backend.registry_set(chain, f"{who}-{index}") for index, chain in enumerate(CHAINS[100:])]
    indexes = [ContextBuffer(backend).append("t", f"p{who}", "N", number) for number in range(50)]
    with suppress(BackendError):  # That of the others was first.
        ThreadRegistry(backend).initialize_root(f"org-{who % 2}")
    buffers, sequences = BufferRegistry(backend), SequenceRegistry(backend)
    completed = []
    for index in range(ITEMS):
        state = buffers.record_result("shared", index, who)
        assert state is not None
        completed.append(state.is_complete)
    for _ in range(STEPS // PROCESSES):
        sequences.advance("shared", who)
    return ids, own, indexes, backend.root(), completed


def test_eight_processes_at_once_agree_on_everything(config: BackendConfig, backend: SharedBackend) -> None:
    # given
    buffers, sequences = BufferRegistry(backend), SequenceRegistry(backend)
    buffers.create("shared", ITEMS, "a", "t", "a", "b")
    sequences.create("shared", [f"step-{number}" for number in range(STEPS)], "a", "t", "a")

    # when
    with processes(PROCESSES) as pool:
        answers = [job.result() for job in [pool.submit(work, config, who) for who in range(PROCESSES)]]
    ids, own, indexes, roots, completed = zip(*answers, strict=True)

    # then: one id for each chain, also when each brings its own
    assert len(set(map(tuple, ids))) == len(set(map(tuple, own))) == 1
    assert len({*ids[0], *own[0]}) == len(CHAINS) == 200

    # one organism has it, and the view that looked before sees that, too
    assert len(set(roots)) == 1
    assert backend.root() == ThreadRegistry(backend).root_chain == roots[0]
    registry = backend.registry_list_all()
    assert registry.pop(ThreadRegistry(backend).root_uuid or "") == roots[0]
    assert registry == dict(zip([*ids[0], *own[0]], CHAINS, strict=True))

    # every index of a thread once
    assert sorted(index for one in indexes for index in one) == list(range(400))
    slots = ContextBuffer(backend).get_thread("t")
    assert all([slot.index for slot in slots if slot.sender == f"p{who}"] == one for who, one in enumerate(indexes))

    # every item and every step once, and somebody has seen the end
    collected, done = buffers.get("shared"), sequences.get("shared")
    assert collected is not None
    assert done is not None
    assert (collected.completed_count, collected.is_complete, done.is_complete) == (ITEMS, True, True)
    assert any(one[-1] for one in completed)
    assert Counter(done.results) == dict.fromkeys(range(PROCESSES), STEPS // PROCESSES)


def test_a_view_keeps_working_when_another_process_claims_the_backend(
    config: BackendConfig, backend: SharedBackend
) -> None:
    backend.buffer_append("t", b"before")
    threads = ThreadRegistry(backend)
    assert threads.root_uuid is None

    with processes(1) as pool:
        root = pool.submit(claim, config).result()

    assert (threads.root_uuid, threads.lookup(root), threads.debug_dump()) == (root, "system.org", {root: "system.org"})
    assert backend.buffer_append("t", b"after") == 1
    assert threads.lookup(threads.start_chain("cli-1", "a")) == "system.org.cli-1.a"


def claim(config: BackendConfig) -> str:
    return ThreadRegistry(get_shared_backend(config)).initialize_root("org")
