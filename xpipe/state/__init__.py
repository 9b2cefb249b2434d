"""The public names of the state layer. A backend's library is imported when its name is asked for, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpipe.backends.manager import ManagerBackend as ManagerBackend
    from xpipe.backends.memory import InMemoryBackend as InMemoryBackend
    from xpipe.backends.redis import RedisBackend as RedisBackend
    from xpipe.backends.sqlite import SQLiteBackend as SQLiteBackend
    from xpipe.core.payloads import BufferItemResult as BufferItemResult
    from xpipe.ports import SharedBackend as SharedBackend
    from xpipe.state.buffers import BufferRegistry as BufferRegistry
    from xpipe.state.buffers import BufferState as BufferState
    from xpipe.state.config import BackendConfig as BackendConfig
    from xpipe.state.context import ContextBuffer as ContextBuffer
    from xpipe.state.context import ContextStats as ContextStats
    from xpipe.state.context import ThreadStats as ThreadStats
    from xpipe.state.factory import get_shared_backend as get_shared_backend
    from xpipe.state.factory import reset_shared_backend as reset_shared_backend
    from xpipe.state.instances import get_buffer_registry as get_buffer_registry
    from xpipe.state.instances import get_context_buffer as get_context_buffer
    from xpipe.state.instances import get_registry as get_registry
    from xpipe.state.instances import get_sequence_registry as get_sequence_registry
    from xpipe.state.instances import reset_buffer_registry as reset_buffer_registry
    from xpipe.state.instances import reset_context_buffer as reset_context_buffer
    from xpipe.state.instances import reset_registry as reset_registry
    from xpipe.state.instances import reset_sequence_registry as reset_sequence_registry
    from xpipe.state.registry import ThreadRegistry as ThreadRegistry
    from xpipe.state.sequences import SequenceRegistry as SequenceRegistry
    from xpipe.state.sequences import SequenceState as SequenceState
    from xpipe.state.slots import BufferSlot as BufferSlot
    from xpipe.state.slots import SlotError as SlotError
    from xpipe.state.slots import deserialize_slot as deserialize_slot
    from xpipe.state.slots import serialize_slot as serialize_slot

_HOMES = {
    "BackendConfig": "xpipe.state.config",
    "BufferItemResult": "xpipe.core.payloads",
    "BufferRegistry": "xpipe.state.buffers",
    "BufferSlot": "xpipe.state.slots",
    "BufferState": "xpipe.state.buffers",
    "ContextBuffer": "xpipe.state.context",
    "ContextStats": "xpipe.state.context",
    "InMemoryBackend": "xpipe.backends.memory",
    "ManagerBackend": "xpipe.backends.manager",
    "RedisBackend": "xpipe.backends.redis",
    "SQLiteBackend": "xpipe.backends.sqlite",
    "SequenceRegistry": "xpipe.state.sequences",
    "SequenceState": "xpipe.state.sequences",
    "SharedBackend": "xpipe.ports",
    "SlotError": "xpipe.state.slots",
    "ThreadRegistry": "xpipe.state.registry",
    "ThreadStats": "xpipe.state.context",
    "deserialize_slot": "xpipe.state.slots",
    "get_buffer_registry": "xpipe.state.instances",
    "get_context_buffer": "xpipe.state.instances",
    "get_registry": "xpipe.state.instances",
    "get_sequence_registry": "xpipe.state.instances",
    "get_shared_backend": "xpipe.state.factory",
    "reset_buffer_registry": "xpipe.state.instances",
    "reset_context_buffer": "xpipe.state.instances",
    "reset_registry": "xpipe.state.instances",
    "reset_sequence_registry": "xpipe.state.instances",
    "reset_shared_backend": "xpipe.state.factory",
    "serialize_slot": "xpipe.state.slots",
}

__all__ = [*_HOMES]


def __dir__() -> list[str]:
    return [*__all__]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'xpipe.state' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
