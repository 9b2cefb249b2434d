"""The BufferRegistry: what is being collected, and by whom."""

from __future__ import annotations

import pytest

from xpipe.backends.memory import InMemoryBackend
from xpipe.state import BufferRegistry


@pytest.fixture
def registry() -> BufferRegistry:
    backend = InMemoryBackend()
    backend.open("test", 100)
    return BufferRegistry(backend)


def test_a_new_buffer_waits_for_all_its_items(registry: BufferRegistry) -> None:
    state = registry.create(3, "b1")

    assert (state.buffer_id, state.total, state.pending_count, state.is_complete) == ("b1", 3, 3, False)
    assert registry.list_active() == ["b1"]


def test_results_are_kept_by_index_whatever_their_order(registry: BufferRegistry) -> None:
    registry.create(3, "b1")

    registry.record_result("b1", 2, True, {"n": 3})
    registry.record_result("b1", 0, True, "first")
    state = registry.record_result("b1", 1, False, error="it broke")

    assert state is not None
    assert state.is_complete
    assert [(one.index, one.success, one.result, one.error) for one in state.get_ordered_results()] == [
        (0, True, "first", ""),
        (1, False, None, "it broke"),
        (2, True, {"n": 3}, ""),
    ]


def test_a_second_result_for_an_index_is_ignored(registry: BufferRegistry) -> None:
    registry.create(2, "b1")

    registry.record_result("b1", 0, True, "first")
    state = registry.record_result("b1", 0, True, "second")

    assert state is not None
    assert [one.result for one in state.get_ordered_results()] == ["first"]
    assert state.pending_count == 1


def test_an_index_outside_the_buffer_is_an_error(registry: BufferRegistry) -> None:
    registry.create(2, "b1")

    with pytest.raises(IndexError, match="the Buffer b1 has 2 items; there is no index 2"):
        registry.record_result("b1", 2, True)


def test_a_taken_id_is_an_error(registry: BufferRegistry) -> None:
    registry.create(2, "b1")

    with pytest.raises(ValueError, match="there is a Buffer b1 already"):
        registry.create(2, "b1")


def test_a_buffer_without_items_is_an_error(registry: BufferRegistry) -> None:
    with pytest.raises(ValueError, match="a Buffer of 0 items has nothing to collect"):
        registry.create(0)


def test_an_unknown_buffer_is_nothing(registry: BufferRegistry) -> None:
    assert registry.get("nobody") is None
    assert registry.record_result("nobody", 0, True) is None
    assert registry.remove("nobody") is False


def test_a_removed_buffer_is_gone(registry: BufferRegistry) -> None:
    registry.create(1, "b1")

    assert registry.remove("b1") is True
    assert registry.list_active() == []


def test_clear_leaves_nothing(registry: BufferRegistry) -> None:
    registry.create(1)
    registry.create(2)

    registry.clear()

    assert registry.list_active() == []
