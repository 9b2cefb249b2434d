"""The items of a Buffer: where they are read from, and what is told of those without a result."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from router_kit import Ping

from xpipe.core.codec import PayloadTypes, decode_item
from xpipe.core.messages import RESPONSE, Message, encode_message
from xpipe.runtime.primitives import items as listed
from xpipe.runtime.primitives import sources
from xpipe.runtime.primitives.buffer_state import BufferState
from xpipe.runtime.primitives.items import ListedItems
from xpipe.runtime.primitives.results import complete
from xpipe.runtime.primitives.sources import Sources
from xpipe.runtime.primitives.terms import Terms


def test_listed_items_can_be_taken_again_from_before_those_at_hand() -> None:
    # given: items of which the last one was taken first, as by a pump that goes on where another was
    items = [msgspec.Raw(msgspec.msgpack.encode(["Ping", bytes([n])])) for n in range(3)]
    source = ListedItems(lambda: items)
    assert source.take(2, 1) == [decode_item(items[2])]

    assert source.take(0, 2) == [decode_item(items[0]), decode_item(items[1])]


def test_items_without_a_result_when_the_outcome_is_certain_tell_whether_they_had_begun() -> None:
    # given: a Buffer that one success decides, with two of three items sent and one answered
    types = PayloadTypes([Ping])
    state = BufferState("b", ["b"], "", 2, True, Terms("1", cancel_rest=True), total=3, sent=2)
    reply = encode_message(Message("m", RESPONSE, "one", "b", "buffer", *types.encode(Ping()), "", 1))

    found = complete("id", state, [reply, None], types)

    assert [(one.code, one.error) for one in found.results[1:]] == [
        ("cancelled", "cancelled: the outcome was certain without it"),
        ("cancelled", "not begun: the outcome was certain without it"),
    ]


def test_of_a_long_message_only_some_of_the_items_are_kept_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a message with more items than are to be kept
    items = [msgspec.Raw(msgspec.msgpack.encode(["Ping", bytes([n])])) for n in range(100)]
    read: list[int] = []

    def load() -> Iterator[msgspec.Raw]:
        for at, item in enumerate(items):
            read.append(at)
            yield item

    monkeypatch.setattr(listed, "AHEAD_BYTES", 2 * len(items[0]))
    source = ListedItems(load)

    assert source.take(0, 1) == [decode_item(items[0])]
    assert len(read) < 10
    assert source.take(50, 2) == [decode_item(items[50]), decode_item(items[51])]


def test_items_that_are_at_hand_to_their_end_are_not_read_again() -> None:
    items = [msgspec.Raw(msgspec.msgpack.encode(["Ping", bytes([n])])) for n in range(2)]
    loads: list[int] = []

    def load() -> list[msgspec.Raw]:
        loads.append(1)
        return items

    source = ListedItems(load)

    assert [len(source.take(start, 2)) for start in (0, 1, 2)] == [2, 1, 0]
    assert len(loads) == 1


def test_a_buffer_of_no_items_leaves_nothing_unread() -> None:
    state = BufferState("b", ["b"], "", 2, True, Terms(""), total=0)

    found = complete("id", state, [], PayloadTypes([Ping]))

    assert (found.total, found.unread) == (0, False)


def test_items_are_kept_at_hand_for_the_buffers_that_were_active_last(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: room for two Buffers, and a third one after the first has gone on
    monkeypatch.setattr(sources, "MAX_KEPT", 2)
    state = BufferState("b", ["b"], "", 2, True, Terms(""), total=1)
    kept = Sources(lambda *_: None, 1_000)
    made = {thread: kept.of(thread, "call", state) for thread in ("one", "two", "three")}

    for thread in ("one", "two", "one", "three"):
        kept.keep(thread, made[thread])

    at_hand = [thread for thread in made if kept.of(thread, "call", state) is made[thread]]
    assert at_hand == ["one", "three"]
    kept.drop("one")
    assert kept.of("one", "call", state) is not made["one"]
