"""Documents for listeners with a buffer or a sequence, and those that their steps get as before."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import WireError
from xpipe.core.organism import BufferOptions, Listener, no_handler
from xpipe.core.payloads import Items, SequenceStep
from xpipe.wire.documents import Document
from xpipe.wire.inbound import Inbound


@dataclasses.dataclass
class Order:
    id: int


@dataclasses.dataclass
class Ping:
    text: str = ""


def decode(text: str, to: str | None = None, buffers: int = 1) -> tuple[str, object]:
    listeners = [
        Listener("invoice", no_handler, (Order,), sequence=(SequenceStep("check"), SequenceStep("ping"))),
        Listener("check", print, (Order,)),
        Listener("ping", print, (Ping,)),
        Listener("many", no_handler, (Items,), sequence=(SequenceStep("all-0"),)),
        *(Listener(f"all-{n}", no_handler, (Items,), buffer=BufferOptions("check")) for n in range(buffers)),
    ]
    form: Any = "xml" if text.startswith("<") else "json"
    return Inbound(listeners, PayloadTypes([Order, Ping])).decode(Document(text.encode(), form, "in:1:1"), to)


@pytest.mark.parametrize("text", ["<Order><id>1</id></Order>", '{"id": 1}', '{"type": "Order", "payload": {"id": 1}}'])
def test_a_document_without_a_target_is_for_the_step_and_not_for_the_sequence(text):
    assert decode(text) == ("check", Order(1))


@pytest.mark.parametrize("text", ["<Order><id>1</id></Order>", '{"id": 1}', '{"to": "invoice", "payload": {"id": 1}}'])
def test_a_document_for_a_sequence_is_of_its_first_step(text):
    assert decode(text, "invoice") == ("invoice", Order(1))


@pytest.mark.parametrize("text", ["<Items><items_from>x.xml</items_from></Items>", '{"items_from": "x.xml"}'])
def test_items_without_a_target_are_for_the_only_buffer(text):
    assert decode(text) == ("all-0", Items(items_from="x.xml"))
    assert decode(text, "many") == ("many", Items(items_from="x.xml"))


def test_the_items_for_a_buffer_are_mappings_or_texts():
    assert decode('{"items": [{"id": 1}, "<Order><id>2</id></Order>"]}', "all-0") == (
        "all-0",
        Items([{"id": 1}, "<Order><id>2</id></Order>"]),
    )


def test_a_buffer_takes_no_document_from_a_handler():
    assert decode("{}") == ("ping", Ping())


def test_items_that_several_buffers_take_need_a_target():
    with pytest.raises(WireError) as caught:
        decode("<Items/>", buffers=2)
    assert (caught.value.code, str(caught.value)) == (
        "ambiguous_payload",
        "in:1:1: <Items> could be for any of all-0 (Items), all-1 (Items); say which with to",
    )
