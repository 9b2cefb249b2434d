# ruff: noqa: E501  a case is one line
"""A document finds its listener and its class, or says why not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import foreign
import pytest

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import WireError
from xpipe.core.organism import Listener
from xpipe.core.payloads import BufferStart, Fault, SequenceStart
from xpipe.wire.documents import Document
from xpipe.wire.inbound import Inbound


@dataclasses.dataclass
class Greeting:
    name: str
    loud: bool = False


@dataclasses.dataclass
class Query:
    text: str


@dataclasses.dataclass
class Order:
    id: int
    name: str


@dataclasses.dataclass
class Refund:
    id: int


def listener(name: str, *accepts: type, broadcast: bool = False) -> Listener:
    return Listener(name, print, accepts, broadcast=broadcast)


INBOUND = Inbound(
    [
        listener("greeter", Greeting),
        listener("shop", Order, Refund, Fault),
        listener("archive", Order),
        listener("search.google", Query, broadcast=True),
        listener("search.bing", Query, broadcast=True),
    ],
    PayloadTypes([Greeting, Query, Order, Refund]),
)


def decode(text: str, to: str | None = None, type: str | None = None) -> tuple[str, object]:
    form: Any = "xml" if text.startswith("<") else "json"
    return INBOUND.decode(Document(text.encode(), form, "in:7:5"), to, type)


def refusal(text: str, to: str | None = None, type: str | None = None) -> tuple[str, str]:
    with pytest.raises(WireError) as caught:
        decode(text, to, type)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize(
    ("text", "to", "decoded"),
    [
        ("<Greeting><name>Ada</name></Greeting>", None, ("greeter", Greeting("Ada"))),
        ("<Greeting><name>Ada</name></Greeting>", "greeter", ("greeter", Greeting("Ada"))),
        ("<Order><id>1</id><name/></Order>", "shop", ("shop", Order(1, ""))),
        ("<message><to> shop </to><Order><id>1</id><name/></Order></message>", None, ("shop", Order(1, ""))),
        ("<message><Greeting><name>Ada</name></Greeting></message>", None, ("greeter", Greeting("Ada"))),
        ("<Query><text>x</text></Query>", None, ("search", Query("x"))),
        ("<Query><text>x</text></Query>", "search", ("search", Query("x"))),
        ("<Query><text>x</text></Query>", "search.bing", ("search.bing", Query("x"))),
        ("<BufferStart><target>a</target><items/></BufferStart>", None, ("system.buffer", BufferStart("a", []))),
        ('{"name": "Ada"}', None, ("greeter", Greeting("Ada"))),
        ('{"name": "Ada", "loud": true}', "greeter", ("greeter", Greeting("Ada", True))),
        ('{"id": 1}', "shop", ("shop", Refund(1))),
        ('{"id": 1, "name": ""}', "shop", ("shop", Order(1, ""))),
        ('{"text": "x"}', None, ("search", Query("x"))),
        ('{"to": "shop", "payload": {"id": 1}}', None, ("shop", Refund(1))),
        ('{"type": "Refund", "payload": {"id": 1}}', None, ("shop", Refund(1))),
        ('{"to": "shop", "payload": "<Refund><id>1</id></Refund>"}', None, ("shop", Refund(1))),
        ('{"to": "shop", "payload": "{\\"id\\": 1}"}', None, ("shop", Refund(1))),
        (
            '{"to": "system.sequence", "payload": {"steps": ["a"], "payload": {"id": 1}}}',
            None,
            ("system.sequence", SequenceStart(["a"], {"id": 1})),
        ),
        (
            '{"target": "a", "items": [{"type": "Refund", "payload": {"id": 1}}, "<x/>"]}',
            None,
            ("system.buffer", BufferStart("a", [Refund(1), "<x/>"])),
        ),
    ],
)
def test_a_document_finds_its_listener_and_class(text: str, to: str | None, decoded: tuple[str, object]) -> None:
    assert decode(text, to) == decoded


@pytest.mark.parametrize(
    ("text", "to", "code", "sentence"),
    [
        ("<Greeting/>", "greter", "unknown_target", "in:7:5: there is no listener called greter; did you mean greeter?"),
        ("<Order/>", "greeter", "bad_payload", "in:7:5: greeter does not take <Order>; it takes Greeting"),
        ("<Zed/>", None, "bad_payload", "in:7:5: no listener takes <Zed>; they take Greeting, Order, Refund, Fault, Query"),
        ("<Order/>", None, "ambiguous_payload", "in:7:5: <Order> could be for any of shop (Order), archive (Order); say which with to"),
        ("<Greeting xmlns='u'/>", None, "bad_payload", "in:7:5: <Greeting> has a namespace; payloads have none, remove xmlns"),
        ("<message><to>greeter</to></message>", None, "bad_payload", "in:7:5: a <message> holds one payload element beside <to>, and this one holds none"),
        ("<message>\n<to>greeter</to>\n<Greeting/>\n <Greeting/></message>", None, "bad_payload", "in:10:2: a <message> holds one payload element beside <to>, and this one holds 2"),
        ("<message><to>shop</to><to>shop</to><Order/></message>", None, "bad_payload", "in:7:27: the envelope has a second <to>"),
        ("<message>x<Order/></message>", None, "bad_payload", "in:7:5: the text 'x' stands in a <message> beside its elements"),
        ("<message><to>shop</to>\n<Refund><id>x</id></Refund></message>", None, "bad_payload", "in:8:9: Refund.id: 'x' is not an integer"),
        ("<message><to>shop</to><Refund/></message>", "greeter", "bad_payload", "in:7:14: the envelope says to shop and the caller greeter"),
        ('{"name": 1}', "greeter", "bad_payload", "in:7:14: Greeting.name: 1 is not text"),
        ('{"nam": "Ada"}', "greeter", "bad_payload", "in:7:13: Greeting.nam: there is no such field; did you mean name?"),
        ('{"nam": "Ada"}', None, "bad_payload", "in:7:5: no listener takes a payload with these fields; they take Greeting, Order, Refund, Fault, Query"),
        ('{"nam": "Ada"}', "shop", "bad_payload", "in:7:5: shop takes no payload with these fields (Order: id is missing; Refund: id is missing; Fault: code is missing)"),
        ('{"id": 1, "name": ""}', None, "ambiguous_payload", "in:7:5: a payload with these fields could be for any of shop (Order), archive (Order); say which with to"),
        ('{"to": "shp", "payload": {}}', None, "unknown_target", "in:7:30: there is no listener called shp; did you mean shop?"),
        ('{"to": "shop", "type": "Ordr", "payload": {}}', None, "unknown_type", "in:7:47: there is no payload type called Ordr; did you mean Order?"),
        ('{"to": "shop", "type": "Query", "payload": {}}', None, "bad_payload", "in:7:48: shop does not take Query; it takes Order, Refund, Fault"),
        ('{"to": "shop", "payload":\n {"id": "x"}}', None, "bad_payload", "in:8:9: Refund.id: 'x' is not an integer"),
        ('{"to": 5, "payload": {}}', None, "bad_payload", "in:7:12: 5 is not the name of a listener; write it as text"),
        ("1", "shp", "unknown_target", "in:7:5: there is no listener called shp; did you mean shop?"),
        ("[1]", "shop", "bad_payload", "in:7:5: a list of 1 is not a payload; pass an object with its fields"),
        ('{"to": "shop", "payload": "zzz"}', None, "bad_payload", f"in:7:31: this is no JSON ({foreign.no_json('zzz')})"),
    ],
)  # fmt: skip
def test_a_document_without_a_single_target_is_explained(text: str, to: str | None, code: str, sentence: str) -> None:
    assert refusal(text, to) == (code, sentence)


def test_the_only_listener_says_which_field_does_not_fit() -> None:
    # given
    only = Inbound([listener("greeter", Greeting)], PayloadTypes([Greeting]))

    # when
    with pytest.raises(WireError) as caught:
        only.decode(Document(b'{"nam": "Ada"}', "json", "in:7:1"))

    # then
    assert str(caught.value) == "in:7:9: Greeting.nam: there is no such field; did you mean name?"


@pytest.mark.parametrize(
    "value", [Refund(1), {"id": 1}, '{"id": 1}', " \n<Refund><id>1</id></Refund>", b'{"id": 1}', {"payload": {"id": 1}}]
)
def test_a_value_is_a_payload_a_mapping_or_text(value: object) -> None:
    assert INBOUND.decode_value(value, "shop") == Refund(1)


def test_a_value_is_of_the_type_it_says() -> None:
    both = Inbound([listener("x", Refund, dataclasses.make_dataclass("Other", [("id", int)]))], PayloadTypes([Refund]))

    assert both.decode_value({"id": 1}, "x", "Refund") == Refund(1)
    with pytest.raises(WireError) as caught:
        both.decode_value({"id": 1}, "x", where="o.yaml:3:5")
    assert caught.value.code == "ambiguous_payload"
    assert str(caught.value) == (
        "o.yaml:3:5: a payload with these fields could be for any of x (Refund), x (Other); say which with type"
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("<Refund>\n<id>x</id></Refund>", "o.yaml:3:5: Refund.id: 'x' is not an integer"),
        ({"id": "x"}, "o.yaml:3:5: Refund.id: 'x' is not an integer"),
        ("<Refund>", "o.yaml:3:5: the document ends inside <Refund>"),
        ("", "o.yaml:3:5: there is no JSON value"),
        (None, "o.yaml:3:5: None is not a payload; pass an object with its fields"),
        (Query("x"), "o.yaml:3:5: shop does not take Query; it takes Order, Refund, Fault"),
    ],
)
def test_a_wrong_value_is_named_by_the_place_it_came_from(value: object, sentence: str) -> None:
    with pytest.raises(WireError) as caught:
        INBOUND.decode_value(value, "shop", where="o.yaml:3:5")
    assert str(caught.value) == sentence


@dataclasses.dataclass
class Event:
    type: str
    payload: dict[str, Any]


@dataclasses.dataclass
class Wrapped:
    payload: dict[str, Any]
    to: str = ""


EVENT = {"type": "order.created", "payload": {"id": 7}}
HOOKS = Inbound([listener("hook", Event)], PayloadTypes([Event]))
SEVERAL = Inbound(
    [listener("hook", Event, Fault), listener("box", Wrapped), listener("shop", Refund)],
    PayloadTypes([Event, Wrapped, Refund]),
)


@pytest.mark.parametrize("inbound", [HOOKS, SEVERAL])
@pytest.mark.parametrize("value", [EVENT, json.dumps(EVENT), json.dumps(EVENT).encode()])
def test_json_that_fits_the_class_of_a_known_target_is_the_payload_whatever_its_field_names(
    inbound: Inbound, value: Any
) -> None:
    assert inbound.decode_value(value, "hook") == Event(**EVENT)
    assert inbound.decode_value({"payload": EVENT, "to": "hook"}, "hook") == Event(**EVENT)


def test_so_is_json_without_a_target_where_there_is_only_one_class() -> None:
    assert HOOKS.decode(Document(json.dumps(EVENT).encode(), "json", "in:1:1")) == ("hook", Event(**EVENT))


def test_no_level_of_a_payload_is_taken_for_an_envelope() -> None:
    value = {"to": "x", "payload": {"payload": {"id": 1}}}

    assert SEVERAL.decode_value(value, "box") == Wrapped({"payload": {"id": 1}}, "x")


def test_json_of_that_form_is_an_envelope_if_the_class_is_open() -> None:
    envelope = {"type": "Refund", "payload": {"id": 1}}

    assert SEVERAL.decode(Document(json.dumps(envelope).encode(), "json", "in:1:1")) == ("shop", Refund(1))


def test_a_payload_that_nearly_fits_is_reported_by_field() -> None:
    with pytest.raises(WireError, match=r"^Event.payload: 5 is not a mapping$"):
        HOOKS.decode_value({"type": "order.created", "payload": 5}, "hook")


def test_an_item_of_a_buffer_and_the_payload_of_a_sequence_are_left_to_their_listener() -> None:
    start = SEVERAL.decode_value({"target": "hook", "items": [EVENT]}, "system.buffer")
    first = SEVERAL.decode_value({"steps": ["hook"], "payload": EVENT}, "system.sequence")

    assert (start, first) == (BufferStart("hook", [EVENT]), SequenceStart(["hook"], EVENT))
    assert SEVERAL.decode_value(start.items[0], "hook") == Event(**EVENT)  # type: ignore[attr-defined]  # a BufferStart
