"""From a configuration to a backend, and to the one registry and the one buffer of each."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import xpipe.state as state
from xpipe.backends.manager import ManagerBackend
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.errors import BackendError, LimitError
from xpipe.core.organism import BackendSettings
from xpipe.state import (
    BackendConfig,
    get_buffer_registry,
    get_context_buffer,
    get_registry,
    get_sequence_registry,
    get_shared_backend,
    reset_shared_backend,
)
from xpipe.state.factory import attach_backend, make_backend

GETTERS = {
    "registry": (get_registry, state.reset_registry),
    "context": (get_context_buffer, state.reset_context_buffer),
    "buffers": (get_buffer_registry, state.reset_buffer_registry),
    "sequences": (get_sequence_registry, state.reset_sequence_registry),
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    for _, reset in GETTERS.values():
        reset()
    reset_shared_backend()


def test_the_state_layer_imports_no_library_that_is_not_asked_for() -> None:
    code = (
        "import sys, xpipe.state as s\n"
        "s.get_registry, s.ContextBuffer, s.ThreadRegistry, s.BufferRegistry, s.BackendConfig, s.serialize_slot\n"
        "s.get_shared_backend(s.BackendConfig())\n"
        "print([name for name in ('redis', 'sqlite3', 'multiprocessing') if name in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert output.stdout == "[]\n"


@pytest.mark.parametrize("name", state.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(state, name).__name__ == name
    assert name in dir(state)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = state.nothing


def test_the_limits_are_those_of_the_documentation() -> None:
    config = BackendConfig()

    assert (config.backend_type, config.max_slots_per_thread, config.max_threads) == ("memory", 10_000, 100_000)
    assert (config.redis_url, config.redis_prefix) == ("redis://localhost:6379", "xp:")
    assert config.retention == config.redis_ttl == 24 * 3600


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"backend_type": None}, TypeError, "backend_type must be a string, got None"),
        ({"redis_url": 6379}, TypeError, "redis_url must be a string, got 6379"),
        ({"redis_ttl": "1d"}, TypeError, "redis_ttl must be a number of seconds, 0 or more, got str"),
        ({"redis_ttl": -1}, ValueError, "redis_ttl must be a number of seconds, 0 or more, got -1"),
        ({"redis_ttl": float("nan")}, ValueError, "redis_ttl must be a number of seconds"),
        ({"max_slots_per_thread": 0}, ValueError, "max_slots_per_thread must be a whole number, 1 or more, got 0"),
        ({"max_threads": 1.5}, TypeError, r"max_threads must be a whole number, 1 or more, got 1\.5"),
        ({"max_threads": True}, TypeError, "max_threads must be a whole number"),
        ({"sqlite_path": 7}, TypeError, "sqlite_path must be a path, got 7"),
        ({"manager_address": ("host", "4000")}, TypeError, r"manager_address must be \(host, port\), 'host:port' or"),
        ({"manager_address": ["host", 4000]}, TypeError, r"manager_address must be \(host, port\)"),
        ({"manager_authkey": 7}, TypeError, "manager_authkey must be a string or bytes, got 7"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        BackendConfig(**options)


def test_a_path_is_a_path_however_it_is_written(tmp_path: Path) -> None:
    assert BackendConfig("sqlite", sqlite_path=tmp_path / "a.db") == BackendConfig(
        "sqlite", sqlite_path=str(tmp_path / "a.db")
    )


def test_a_prefix_that_is_not_given_may_be_that_of_an_earlier_version() -> None:
    given, left_out = (BackendSettings("redis", options) for options in ({"redis_prefix": "xp:"}, {}))

    assert BackendConfig.from_settings(given).redis_former_prefix == ""
    assert BackendConfig.from_settings(left_out).redis_former_prefix == "xpipe:"


def test_secrets_are_not_shown() -> None:
    config = BackendConfig(redis_url="redis://:geheim@host", manager_authkey="geheim")

    assert "geheim" not in repr(config)
    assert "geheim" not in str(config)


def test_settings_of_an_organism_become_a_configuration(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "path": "data/state.db",
        "redis_ttl": 5.0,
        "max_threads": 7,
        "manager_address": "run/socket",
        "retention": None,
    }

    config = BackendConfig.from_settings(BackendSettings("sqlite", options), str(tmp_path), "organism.yaml")

    assert (config.backend_type, config.sqlite_path) == ("sqlite", str(tmp_path / "data" / "state.db"))
    assert (config.redis_ttl, config.max_threads, config.retention) == (5.0, 7, 86_400.0)
    assert (config.manager_address, config.organism_file) == (str(tmp_path / "run" / "socket"), "organism.yaml")


@pytest.mark.parametrize("value", ["/abs/one", "127.0.0.1:4000"])
def test_absolute_places_stay_as_they_are(value: str) -> None:
    config = BackendConfig.from_settings(BackendSettings("manager", {"manager_address": value, "path": "/a.db"}), "/x")

    assert (config.manager_address, config.sqlite_path) == (value, "/a.db")


def test_equal_configurations_have_one_backend_whichever_thread_asks(tmp_path: Path) -> None:
    config = BackendConfig("sqlite", sqlite_path=tmp_path / "state.db")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: get_shared_backend(config), range(32)))

    assert {id(one) for one in found} == {
        id(get_shared_backend(BackendConfig("sqlite", sqlite_path=config.sqlite_path)))
    }
    assert found[0] is not get_shared_backend(BackendConfig("sqlite", sqlite_path=tmp_path / "other.db"))
    assert isinstance(get_shared_backend(), InMemoryBackend)
    assert get_shared_backend() is get_shared_backend(BackendConfig())
    assert make_backend(BackendConfig()) is not get_shared_backend()


def test_a_backend_that_was_closed_or_reset_is_replaced(tmp_path: Path) -> None:
    config = BackendConfig("sqlite", sqlite_path=tmp_path / "state.db")
    first = get_shared_backend(config)
    first.buffer_append("t", b"slot")
    first.close()

    second = get_shared_backend(config)
    reset_shared_backend()
    third = get_shared_backend(config)

    assert len({id(one) for one in (first, second, third)}) == 3
    assert (first.closed, second.closed, third.closed) == (True, True, False)
    assert third.buffer_get_thread("t") == [b"slot"]


def test_a_forked_process_makes_its_own_backend(tmp_path: Path) -> None:
    config = BackendConfig("sqlite", sqlite_path=tmp_path / "state.db")
    backend = get_shared_backend(config)
    backend.buffer_append("t", b"parent")

    child = os.fork()
    if child == 0:
        own = get_shared_backend(config)
        own.buffer_append("t", b"child")
        os._exit(0 if own is not backend else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert backend.buffer_get_thread("t") == [b"parent", b"child"]
    assert get_shared_backend(config) is backend


@pytest.mark.parametrize("kind", ["memory", "manager", "sqlite"])
def test_a_thread_takes_as_many_slots_as_the_configuration_says(tmp_path: Path, kind: str) -> None:
    config = BackendConfig(kind, sqlite_path=tmp_path / "state.db", max_slots_per_thread=2)
    backend = get_shared_backend(config)
    backend.buffer_append("t", b"1")
    backend.buffer_append("t", b"2")

    with pytest.raises(
        LimitError, match=r"t is full \(2 slots\); raise limits.slots_per_thread, or max_slots_per_thread"
    ):
        backend.buffer_append("t", b"3")
    assert backend.buffer_append("u", b"1") == 0


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (BackendConfig("mongo"), "there is no backend type 'mongo'; use one of memory, manager, sqlite, redis"),
        (BackendConfig("sqlite"), "the sqlite backend has no file; set backend.path"),
        (BackendConfig("manager", manager_address="/nowhere/socket"), "asks for a key; set manager_authkey"),
        (BackendConfig("manager", manager_address=("h", 99_999), manager_authkey=b"k"), "h:99999 is no address"),
        (BackendConfig("manager", manager_address=("127.0.0.1", 1), manager_authkey=b"k"), "there is no manager at"),
        (BackendConfig("redis", redis_url="http://h"), "the Redis URL cannot be read; write it like"),
    ],
)
def test_what_cannot_be_made_is_named(config: BackendConfig, reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        get_shared_backend(config)


def test_a_url_instead_of_the_type_is_not_shown() -> None:
    with pytest.raises(BackendError, match="put the URL into redis_url") as caught:
        get_shared_backend(BackendConfig("redis://:geheim@host"))

    assert "geheim" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    backend = get_shared_backend(BackendConfig("redis", redis_url="redis://:geheim@127.0.0.1:1"))

    assert backend.ping() is False
    for verb in (backend.info, lambda: backend.buffer_append("t", b"x"), lambda: get_registry(backend).root_uuid):
        with pytest.raises(
            BackendError, match=r"no Redis server answers .*; start it, or correct backend\.redis_url"
        ) as one:
            verb()
        assert "geheim" not in str(one.value)


def test_an_argument_that_is_no_configuration_is_named() -> None:
    with pytest.raises(TypeError, match="get_shared_backend takes a BackendConfig, got str"):
        get_shared_backend("redis")  # type: ignore[arg-type]  # what is tested


def test_a_manager_is_reached_at_a_pair_with_a_key_of_bytes() -> None:
    owner = ManagerBackend(bind=("127.0.0.1", 0), authkey=b"bytes")
    host, _, port = owner.address.rpartition(":")

    client = get_shared_backend(BackendConfig("manager", manager_address=(host, int(port)), manager_authkey=b"bytes"))
    client.buffer_append("t", b"slot")

    assert owner.buffer_get_thread("t") == [b"slot"]
    reset_shared_backend()
    owner.close()


def test_a_manager_is_started_and_attached_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    config = BackendConfig("manager", organism_file=str(tmp_path / "organism.yaml"))
    backend = make_backend(config)
    backend.open("org", 10)

    other = attach_backend(config)

    assert other.secret() == backend.secret()
    other.close()
    backend.close()
    with pytest.raises(BackendError, match="has a manager now"):
        attach_backend(config)
    with pytest.raises(BackendError, match="which manager is meant"):
        attach_backend(BackendConfig("manager"))


@pytest.mark.parametrize("view", GETTERS)
def test_there_is_one_view_of_each_backend_and_a_private_one(view: str) -> None:
    get, reset = GETTERS[view]
    one, other = InMemoryBackend(), InMemoryBackend()
    first, private = get(one), get()

    assert get(backend=one) is first
    assert get(other) is not first
    assert get() is get(None) is private

    reset()
    assert get(one) is not first
    assert get() is not private


def test_views_of_one_backend_see_the_same_and_private_ones_do_not() -> None:
    backend = get_shared_backend()
    get_registry(backend).initialize_root("hello")
    get_context_buffer(backend).append("t", "a", "N", 1)

    assert get_context_buffer(backend).stats().slots == 1
    assert (get_context_buffer(backend).is_shared, get_registry(backend).is_shared) == (True, True)
    assert (get_context_buffer().is_shared, get_registry().is_shared) == (False, False)
    assert (get_registry().root_uuid, get_context_buffer().stats().slots) == (None, 0)


def test_reset_leaves_the_state() -> None:
    backend = InMemoryBackend()
    first = get_registry(backend)
    first.initialize_root("hello")

    state.reset_registry()

    assert get_registry(backend).root_uuid == first.root_uuid


@pytest.mark.parametrize("view", GETTERS)
def test_a_backend_that_nobody_uses_is_not_kept(view: str) -> None:
    backend = InMemoryBackend()
    GETTERS[view][0](backend)
    gone = weakref.ref(backend)

    del backend
    gc.collect()

    assert gone() is None
