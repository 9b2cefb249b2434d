"""Argument checks for backends, with the same errors on every store."""

from __future__ import annotations

from xpipe.core.errors import BackendError, LimitError


def require_id(name: str, value: object) -> None:
    """Raises TypeError or ValueError unless `value`, given as `name`, is text that is not empty."""
    require_text(name, value)
    if not value:
        raise ValueError(f"{name} must not be empty")


def require_text(name: str, value: object) -> None:
    """Raises TypeError or ValueError unless `value`, given as `name`, is a string that can be stored."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be valid UTF-8 text, got {value!r}") from None


def require_bytes(name: str, value: object) -> None:
    """Raises TypeError unless `value`, given as `name`, is bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{name} must be bytes, got {type(value).__name__}; encode it first, or use a ContextBuffer")


def check_slot(thread: str, slot: bytes) -> None:
    """The arguments of `buffer_append`."""
    require_id("thread", thread)
    require_bytes("slot", slot)


def check_pair(chain: str, uuid: str) -> None:
    """The arguments of `registry_set`."""
    require_id("chain", chain)
    require_id("uuid", uuid)


def thread_is_full(thread: str, slots: int) -> LimitError:
    return LimitError(
        f"the thread {thread} is full ({slots} slots); raise limits.slots_per_thread, or max_slots_per_thread of the "
        "BackendConfig"
    )


def unclaimed(place: str) -> BackendError:
    return BackendError(f"{place}: no organism has claimed this backend; run one, or call initialize_root(NAME) first")


def is_closed(place: str) -> BackendError:
    return BackendError(f"{place}: the backend is closed; get a new one from get_shared_backend()")
