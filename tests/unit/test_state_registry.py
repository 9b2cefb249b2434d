"""The thread registry: chains and ids, whoever asks first."""

from __future__ import annotations

import pytest

from xpipe.backends.memory import InMemoryBackend
from xpipe.core import chains
from xpipe.core.errors import BackendError, LimitError
from xpipe.core.messages import Injection
from xpipe.state import ThreadRegistry


@pytest.fixture
def backend() -> InMemoryBackend:
    return InMemoryBackend()


@pytest.fixture
def registry(backend: InMemoryBackend) -> ThreadRegistry:
    registry = ThreadRegistry(backend)
    registry.initialize_root("hello")
    return registry


def test_the_root_is_made_once_whoever_asks(backend: InMemoryBackend, registry: ThreadRegistry) -> None:
    other = ThreadRegistry(backend)

    assert other.initialize_root("hello") == registry.initialize_root("hello") == registry.root_uuid
    assert registry.root_chain == other.root_chain == "system.hello"
    assert registry.lookup(registry.root_uuid) == "system.hello"
    with pytest.raises(BackendError, match=r"holds system\.hello"):
        other.initialize_root("another")


def test_the_root_of_an_open_backend_is_found(backend: InMemoryBackend, registry: ThreadRegistry) -> None:
    registry.get_or_create("system.other")

    found = ThreadRegistry(backend)

    assert (found.root_chain, found.root_uuid) == ("system.hello", registry.root_uuid)


def test_a_registry_without_a_root_says_what_to_do() -> None:
    with pytest.raises(BackendError, match="not open"):
        _ = ThreadRegistry(InMemoryBackend()).root_uuid


def test_the_name_of_an_organism_may_contain_dots(backend: InMemoryBackend) -> None:
    registry = ThreadRegistry(backend)
    registry.initialize_root("my.organism")

    assert ThreadRegistry(backend).root_chain == "system.my%2Eorganism"


def test_an_id_is_the_keyed_hash_of_its_chain(backend: InMemoryBackend, registry: ThreadRegistry) -> None:
    chain = "system.hello.cli-1.greeter"

    uuid = registry.get_or_create(chain)

    assert uuid == chains.thread_id(backend.secret(), chain) == registry.get_or_create(chain)
    assert registry.lookup(uuid) == chain
    assert registry.lookup("unknown") is None


def test_a_chain_grows_and_shrinks_by_names_with_dots(registry: ThreadRegistry) -> None:
    router = registry.start_chain("cli-1", "router")
    add = registry.extend_chain(router, "calculator.add")

    assert registry.lookup(add) == "system.hello.cli-1.router.calculator%2Eadd"
    assert registry.prune_for_response(add) == ("router", router)
    name, initiator = registry.prune_for_response(router)
    assert name == "cli-1"
    assert initiator is not None
    assert registry.lookup(initiator) == "system.hello.cli-1"
    assert registry.prune_for_response(initiator) == (None, None)


@pytest.mark.parametrize("chain", ["system.hello", "alone"])
def test_a_chain_without_a_caller_is_exhausted(registry: ThreadRegistry, chain: str) -> None:
    assert registry.prune_for_response(registry.get_or_create(chain)) == (None, None)


def test_an_unknown_id_is_nobodys_response(registry: ThreadRegistry) -> None:
    assert registry.prune_for_response("unknown") == (None, None)
    with pytest.raises(LimitError, match="the id unknown stands for no chain"):
        registry.extend_chain("unknown", "greeter")


def test_a_caller_is_named_without_the_tag_of_its_instance(registry: ThreadRegistry) -> None:
    callee = registry.get_or_create("system.hello.cli-1.router~2.greeter")

    assert registry.prune_for_response(callee)[0] == "router"


def test_an_id_from_outside_stands_for_its_chain(registry: ThreadRegistry) -> None:
    assert registry.register_thread("mine", "cli-1", "greeter") == "mine"
    assert registry.lookup("mine") == "system.hello.cli-1.greeter"
    assert registry.start_chain("cli-1", "greeter") == "mine"
    assert registry.register_thread("other", "cli-1", "greeter") == "mine"
    with pytest.raises(LimitError, match="the id mine is bound"):
        registry.register_thread("mine", "cli-2", "greeter")


def test_cleanup_forgets_both_directions(registry: ThreadRegistry) -> None:
    registry.register_thread("mine", "cli-1", "greeter")

    assert registry.cleanup("mine") is True
    assert registry.cleanup("mine") is False

    assert registry.lookup("mine") is None
    assert registry.start_chain("cli-1", "greeter") != "mine"


def test_the_dump_has_everything(registry: ThreadRegistry) -> None:
    uuid = registry.start_chain("cli-1", "greeter")

    assert registry.debug_dump() == {
        "root_uuid": registry.root_uuid,
        "root_chain": "system.hello",
        "is_shared": False,
        "count": 2,
        "threads": {registry.root_uuid: "system.hello", uuid: "system.hello.cli-1.greeter"},
    }


def test_clear_leaves_the_root_and_what_runs(backend: InMemoryBackend, registry: ThreadRegistry) -> None:
    registry.start_chain("mine", "greeter")
    backend.inject("pump", [Injection("cli", ["a"], "Ping", b"")], 1.0)

    registry.clear()

    assert sorted(registry.debug_dump()["threads"].values()) == [
        "system.hello",
        "system.hello.cli-1",
        "system.hello.cli-1.a",
    ]
    assert not any(registry.cleanup(uuid) for uuid in registry.debug_dump()["threads"])
