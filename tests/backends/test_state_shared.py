"""The registry and the context buffer on every backend that several processes share: 8 processes at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis_server
from manager_kit import CHAINS, processes

from xpipe.backends.manager import ManagerBackend
from xpipe.state import BackendConfig, ContextBuffer, ThreadRegistry, get_shared_backend


@pytest.fixture(params=["sqlite", *(pytest.param(one, marks=pytest.mark.slow) for one in ("manager", "redis"))])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendConfig]:
    """A configuration that leads every process to the same state."""
    if request.param == "manager":
        owner = ManagerBackend()
        yield BackendConfig("manager", manager_address=owner.address, manager_authkey=owner.authkey)
        owner.close()
    elif request.param == "sqlite":
        yield BackendConfig("sqlite", sqlite_path=str(tmp_path / "state.db"))
    elif redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    else:
        yield BackendConfig("redis", redis_url=redis_server.shared().url, redis_prefix=redis_server.new_prefix())


def ask_for_ids(config: BackendConfig) -> tuple[str, list[str]]:
    backend = get_shared_backend(config)
    registry = ThreadRegistry(backend)
    root = registry.initialize_root("org")
    ids = [registry.get_or_create(chain) for chain in CHAINS]
    backend.close()
    return root, ids


def bind_own_ids(config: BackendConfig, who: int) -> list[str]:
    backend = get_shared_backend(config)
    backend.open("org", 10)
    ids = [backend.registry_set(chain, f"{who}-{index}") for index, chain in enumerate(CHAINS)]
    backend.close()
    return ids


def append(config: BackendConfig, who: int) -> list[int]:
    backend = get_shared_backend(config)
    backend.open("org", 1_000)
    context = ContextBuffer(backend)
    indexes = [context.append("t", f"p{who}", "N", number) for number in range(50)]
    backend.close()
    return indexes


def test_eight_processes_that_ask_for_the_same_chains_agree_on_one_id_each(config: BackendConfig) -> None:
    with processes(8) as pool:
        futures = [pool.submit(ask_for_ids, config) for _ in range(8)]
        answers = [future.result() for future in futures]

    assert all(answer == answers[0] for answer in answers)
    root, ids = answers[0]
    backend = get_shared_backend(config)
    backend.open(None, 10)
    registry = ThreadRegistry(backend)
    assert registry.is_shared
    assert (registry.root_uuid, registry.root_chain) == (root, "system.org")
    assert len(set(ids)) == 200
    assert registry.debug_dump()["threads"] == {root: "system.org"} | dict(zip(ids, CHAINS, strict=True))
    backend.close()


def test_eight_processes_that_bind_the_same_chains_to_ids_of_their_own_agree(config: BackendConfig) -> None:
    with processes(8) as pool:
        futures = [pool.submit(bind_own_ids, config, who) for who in range(8)]
        agreed = {tuple(future.result()) for future in futures}

    [ids] = agreed
    assert len(set(ids)) == len(CHAINS) == 200


def test_the_index_is_exact_when_eight_processes_append(config: BackendConfig) -> None:
    with processes(8) as pool:
        futures = [pool.submit(append, config, who) for who in range(8)]
        indexes = {f"p{who}": future.result() for who, future in enumerate(futures)}

    assert sorted(index for one in indexes.values() for index in one) == list(range(400))
    backend = get_shared_backend(config)
    backend.open(None, 10)
    slots = ContextBuffer(backend).get_thread("t")
    assert all([slot.index for slot in slots if slot.sender == who] == found for who, found in indexes.items())
    backend.close()
