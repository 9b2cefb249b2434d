"""The items of a Buffer: where they are read from, and what is told of those without a result."""

from __future__ import annotations

import msgspec
from router_kit import Ping

from xpipe.core.codec import PayloadTypes, decode_item
from xpipe.core.messages import RESPONSE, Message, encode_message
from xpipe.runtime.primitives.buffer_state import BufferState
from xpipe.runtime.primitives.items import ListedItems
from xpipe.runtime.primitives.results import complete
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
