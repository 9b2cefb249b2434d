"""From a configuration to a backend, and to the one registry and the one buffer of each."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xpipe.state as state
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.errors import BackendError
from xpipe.core.organism import BackendSettings
from xpipe.state import BackendConfig, get_buffer_registry, get_context_buffer, get_registry, get_shared_backend

GETTERS = [get_registry, get_context_buffer, get_buffer_registry]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    yield
    for reset in (state.reset_registry, state.reset_context_buffer, state.reset_buffer_registry):
        reset()


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


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = state.nothing


def test_the_limits_are_those_of_the_documentation() -> None:
    config = BackendConfig()

    assert (config.backend_type, config.max_slots_per_thread, config.max_threads) == ("memory", 10_000, 100_000)
    assert config.retention == 24 * 3600


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


def test_each_call_makes_a_backend() -> None:
    one, other = get_shared_backend(BackendConfig()), get_shared_backend(BackendConfig())

    assert one is not other
    assert isinstance(one, InMemoryBackend)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (BackendConfig("mongo"), "there is no backend 'mongo'; take one of memory, manager, sqlite, redis"),
        (BackendConfig("sqlite"), "the sqlite backend has no file; set backend.path"),
        (BackendConfig("manager", manager_address="/nowhere/socket"), "asks for a key; set manager_authkey"),
    ],
)
def test_what_cannot_be_made_is_named(config: BackendConfig, reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        get_shared_backend(config)


def test_a_manager_is_started_and_attached_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    config = BackendConfig("manager", organism_file=str(tmp_path / "organism.yaml"))
    backend = get_shared_backend(config)
    backend.open("org", 10)

    other = state.attach_shared_backend(config)

    assert other.secret() == backend.secret()
    other.close()
    backend.close()
    with pytest.raises(BackendError, match="has a manager now"):
        state.attach_shared_backend(config)
    with pytest.raises(BackendError, match="which manager is meant"):
        state.attach_shared_backend(BackendConfig("manager"))


@pytest.mark.parametrize("get", GETTERS)
def test_there_is_one_instance_of_each_backend(get: Any) -> None:
    one, other = InMemoryBackend(), InMemoryBackend()
    first = get(one)

    assert get(one) is first
    assert get(other) is not first


@pytest.mark.parametrize("get", GETTERS)
def test_there_is_one_instance_of_each_configuration(get: Any) -> None:
    config = BackendConfig(max_threads=5)

    assert get(config) is get(BackendConfig(max_threads=5))
    assert get(config) is not get(BackendConfig(max_threads=6))
    assert get() is get(BackendConfig())


def test_the_views_of_a_configuration_share_its_backend() -> None:
    get_registry().initialize_root("hello")
    get_context_buffer().append("t", "a", "N", 1)

    assert get_context_buffer().stats().slots == 1
    assert get_registry().root_chain == "system.hello"


def test_reset_makes_another_one_and_leaves_the_state() -> None:
    backend = InMemoryBackend()
    first = get_registry(backend)
    first.initialize_root("hello")

    state.reset_registry()

    assert get_registry(backend) is not first
    assert get_registry(backend).root_uuid == first.root_uuid


def test_a_backend_that_nobody_uses_is_not_kept() -> None:
    backend = InMemoryBackend()
    get_registry(backend)
    gone = weakref.ref(backend)

    del backend
    gc.collect()

    assert gone() is None
