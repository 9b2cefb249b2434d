"""The context buffer: what is recorded of threads, read without the code that wrote it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from xpipe.backends.memory import InMemoryBackend
from xpipe.core.errors import EXIT_BACKEND, LimitError, PayloadError
from xpipe.core.messages import Injection, Message, encode_message
from xpipe.state import BufferSlot, ContextBuffer, SlotError, deserialize_slot, serialize_slot


@dataclass
class Greeting:
    name: str
    times: int = 1


@pytest.fixture
def backend() -> InMemoryBackend:
    backend = InMemoryBackend()
    backend.open("hello", 5)
    return backend


@pytest.fixture
def context(backend: InMemoryBackend) -> ContextBuffer:
    return ContextBuffer(backend)


def test_slots_are_numbered_from_zero(context: ContextBuffer) -> None:
    assert [context.append("t", "a", "", Greeting(str(number))) for number in range(3)] == [0, 1, 2]
    assert [slot.index for slot in context.get_thread("t")] == [0, 1, 2]
    assert context.get_thread("nothing") == []


def test_the_index_is_exact_when_many_append(backend: InMemoryBackend) -> None:
    backend = InMemoryBackend()
    backend.open("hello", 1_000)
    context = ContextBuffer(backend)

    with ThreadPoolExecutor(8) as pool:
        indexes = list(pool.map(lambda number: context.append("t", "a", "N", number), range(400)))

    assert sorted(indexes) == list(range(400))
    assert [context.get_thread("t")[index].payload for index in indexes] == list(range(400))


def test_a_slot_shows_its_payload_as_plain_data(context: ContextBuffer) -> None:
    context.append("t", "greeter", "", Greeting("Ada"), to="cli-1", kind="response")

    slot = context.get_slot("t", 0)

    assert slot is not None
    assert (slot.thread, slot.sender, slot.to, slot.kind, slot.type) == (
        "t",
        "greeter",
        "cli-1",
        "response",
        "Greeting",
    )
    assert slot.payload == {"name": "Ada", "times": 1}
    assert context.get_slot("t", 1) is None


def test_a_slot_cannot_be_changed(context: ContextBuffer) -> None:
    context.append("t", "a", "", Greeting("Ada"))
    slot = context.get_thread("t")[0]

    with pytest.raises(dataclasses.FrozenInstanceError):
        slot.sender = "b"  # type: ignore[misc]  # what is tested
    slot.payload["name"] = "Bob"

    assert slot.payload["name"] == context.get_thread("t")[0].payload["name"] == "Ada"


def test_bytes_are_a_payload_in_message_pack(context: ContextBuffer) -> None:
    context.append("t", "a", "Anything", msgspec.msgpack.encode([1, "two"]))

    assert context.get_thread("t")[0].payload == [1, "two"]


def test_what_an_organism_recorded_is_read_without_its_code(backend: InMemoryBackend, context: ContextBuffer) -> None:
    payload = msgspec.msgpack.encode({"x": 1})
    [conversation] = backend.inject("pump", [Injection("cli", ["a"], "made.up.Type", payload)], 1.0)
    [thread] = context.list_threads()

    [slot] = context.get_thread(thread)

    assert (slot.type, slot.payload, slot.conversation, slot.hop) == ("made.up.Type", {"x": 1}, conversation, 1)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, None, [0, 1, 2, 3]), (1, 3, [1, 2]), (-2, None, [2, 3]), (0, -1, [0, 1, 2]), (9, None, []), (-9, 2, [0, 1])],
)
def test_slices_are_those_of_a_list(context: ContextBuffer, start: int, stop: int | None, expected: list[int]) -> None:
    for number in range(4):
        context.append("t", "a", "N", number)

    found = context.get_slice("t", start, stop)

    assert [(slot.index, slot.payload) for slot in found] == [(number, number) for number in expected]


def test_slots_are_found_by_type_and_by_sender(context: ContextBuffer) -> None:
    context.append("t", "a", "One", 1)
    context.append("t", "b", "Two", 2)
    context.append("t", "a", "Two", 3)

    assert [slot.payload for slot in context.get_by_type("t", "Two")] == [2, 3]
    assert [slot.index for slot in context.get_by_sender("t", "a")] == [0, 2]
    assert context.get_by_type("t", "Three") == context.get_by_sender("t", "c") == []


def test_stats_count_what_is_there(context: ContextBuffer) -> None:
    context.append("t", "a", "One", 1)
    context.append("t", "b", "Two", 2)
    context.append("u", "a", "One", 3)

    stats, thread = context.stats(), context.thread_stats("t")

    assert (stats.threads, stats.slots) == (2, 3)
    assert (thread.slots, dict(thread.types), dict(thread.senders)) == (2, {"One": 1, "Two": 1}, {"a": 1, "b": 1})
    assert thread.bytes > 0
    assert context.thread_len("t") == 2


def test_a_full_thread_takes_no_more(context: ContextBuffer) -> None:
    for number in range(5):
        context.append("t", "a", "N", number)

    with pytest.raises(LimitError, match="the thread t is full"):
        context.append("t", "a", "N", 5)


def test_what_cannot_be_encoded_is_named_and_not_recorded(context: ContextBuffer) -> None:
    with pytest.raises(PayloadError, match="Thing cannot be encoded"):
        context.append("t", "a", "Thing", object())

    assert context.thread_len("t") == 0


def test_deleted_threads_are_gone_and_running_ones_stay(backend: InMemoryBackend, context: ContextBuffer) -> None:
    context.append("t", "a", "N", 1)
    backend.inject("pump", [Injection("cli", ["a"], "Ping", b"")], 1.0)
    [running] = set(context.list_threads()) - {"t"}

    assert context.delete("t") is True
    assert context.delete("t") is False
    assert context.delete(running) is False
    context.append("t", "a", "N", 1)
    context.clear()
    assert context.list_threads() == list(context.iter_threads()) == [running]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sender": None}, "sender must be a string, got None"),
        ({"type": 7}, "type must be a string, got 7"),
        ({"to": b"x"}, "to must be a string, got b'x'"),
        ({"thread": 7}, "thread must be a string, got 7"),
    ],
)
def test_a_name_that_is_no_text_is_refused(context: ContextBuffer, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        context.append(**({"thread": "t", "sender": "a", "type": "N", "payload": 1} | arguments))

    assert context.list_threads() == []


def test_without_a_backend_it_is_private() -> None:
    private = ContextBuffer()

    assert (private.append("t", "a", "N", 1), private.is_shared) == (0, False)
    assert ContextBuffer().list_threads() == []


SLOT = BufferSlot("t", 3, "id", "request", "a", "b", "Ping", b"\x01", "c", 1, 12.5)


def message(version: int = 1) -> Message:
    return Message("id", "request", "c", "a", "b", "Ping", b"\x01", "id", 1, 2, version, 12.5)


def test_a_slot_survives_its_bytes() -> None:
    assert deserialize_slot(serialize_slot(SLOT)) == SLOT


def test_a_stored_message_is_a_slot_at_the_place_it_was_found(backend: InMemoryBackend) -> None:
    backend.buffer_append("t", encode_message(message()))

    assert deserialize_slot(backend.buffer_get_thread("t")[0], "t", 3) == SLOT
    assert deserialize_slot(serialize_slot(SLOT), "other", 0) == dataclasses.replace(SLOT, thread="other", index=0)
    assert ContextBuffer(backend).get_slot("t", 0) == dataclasses.replace(SLOT, index=0)


def test_only_a_slot_can_be_made_bytes() -> None:
    with pytest.raises(TypeError, match="takes a BufferSlot, got Message"):
        serialize_slot(message())  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"junk", serialize_slot(SLOT)[:-3], serialize_slot(SLOT) + b"x", b"\x93\x01\x02\x03",
     b"\x91" * 3000, b"cos\nsystem\n(S'true'\ntR."],
)  # fmt: skip
def test_damaged_bytes_are_one_clear_error(data: bytes) -> None:
    with pytest.raises(SlotError, match=r"slot 7 of the thread t is damaged .*set it aside") as caught:
        deserialize_slot(data, "t", 7)

    assert caught.value.exit_code == EXIT_BACKEND
    assert "\n" not in str(caught.value)


def test_an_unknown_version_is_one_clear_error() -> None:
    fields = msgspec.msgpack.decode(encode_message(message(version=2)))
    data = msgspec.msgpack.encode([*fields, "t", 0, "a field of version 2"])

    with pytest.raises(SlotError, match="slot 7 of the thread t has version 2, this xpipe reads version 1"):
        deserialize_slot(data, "t", 7)


def test_a_damaged_slot_is_named_by_its_thread_and_index(backend: InMemoryBackend, context: ContextBuffer) -> None:
    context.append("t", "a", "N", 1)
    backend.buffer_append("t", b"junk")
    context.append("t", "a", "N", b"\xc1")

    with pytest.raises(SlotError, match="slot 1 of the thread t is damaged"):
        context.get_thread("t")
    assert context.get_slice("t", 0, 1)[0].payload == 1
    [slot] = context.get_slice("t", 2)
    with pytest.raises(SlotError, match="the payload of slot 2 of the thread t is damaged"):
        _ = slot.payload
