"""payload -> XML -> payload and payload -> JSON -> payload are the identity."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import operator
import uuid
from dataclasses import make_dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from wire_samples import TYPES, Circle, Colour, Everything, Level, Line, Node, Order, Pair, Special, Square, everything

from xpipe.core.codec import PayloadTypes
from xpipe.core.payloads import (
    SYSTEM_PAYLOADS,
    BufferComplete,
    BufferItemResult,
    BufferStart,
    Fault,
    SequenceComplete,
    SequenceStart,
)
from xpipe.wire.json_form import from_json, to_json, to_jsonable
from xpipe.wire.xml_form import from_xml, to_xml
from xpipe.wire.xsd import xsd_of

XML_TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff"
    ),
    max_size=8,
)
MOMENTS = st.datetimes(
    timezones=st.none()
    | st.integers(-86399, 86399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds)))
)
PLAIN: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, XML_TEXT),
    (int, st.integers()),
    (float, st.floats()),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=6)),
    (decimal.Decimal, st.decimals()),
    (datetime.datetime, MOMENTS),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
]
KEYS = [pair for pair in PLAIN if pair[0] not in (float, decimal.Decimal, bool)]
Shape = tuple[Any, st.SearchStrategy[Any]]


def _containers(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    keys = st.sampled_from(KEYS)
    return st.one_of(
        inner.map(lambda one: (list[one[0]], st.lists(one[1], max_size=3))),
        inner.map(lambda one: (tuple[one[0], ...], st.lists(one[1], max_size=3).map(tuple))),
        inner.map(lambda one: (one[0] | None, st.none() | one[1])),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda some: (tuple[tuple(one[0] for one in some)], st.tuples(*(one[1] for one in some)))
        ),
        keys.map(lambda key: (frozenset[key[0]], st.frozensets(key[1], max_size=3))),
        st.tuples(keys, inner).map(
            lambda two: (dict[two[0][0], two[1][0]], st.dictionaries(two[0][1], two[1][1], max_size=3))
        ),
        inner.map(_dataclass_of),
        st.sampled_from([PLAIN[1], PLAIN[2]]).map(
            lambda one: (operator.or_(one[0], str) | Circle | Square, one[1] | XML_TEXT | st.builds(Square))
        ),
    )


def _dataclass_of(*fields: Shape) -> Shape:
    cls = make_dataclass("Inner", [(f"field_{index}", one[0]) for index, one in enumerate(fields)])
    return cls, st.builds(cls, **{f"field_{index}": one[1] for index, one in enumerate(fields)})


SHAPES = st.recursive(st.sampled_from(PLAIN), _containers, max_leaves=6)


@st.composite
def payloads(draw: st.DrawFn) -> Any:
    fields = draw(st.lists(SHAPES, min_size=1, max_size=4))
    return draw(_dataclass_of(*fields)[1])


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types, and bit for bit where numbers compare loosely."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, decimal.Decimal):
        return left.as_tuple() == right.as_tuple()
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(one, right[key]) for key, one in left.items())
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, one.name), getattr(right, one.name)) for one in dataclasses.fields(left))
    return bool(left == right) and (not isinstance(left, datetime.datetime) or left.isoformat() == right.isoformat())


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(payloads())
def test_a_payload_of_any_shape_survives_xml_and_json(payload: Any) -> None:
    types = PayloadTypes([type(payload)])

    assert same(from_json(type(payload), to_json(payload, types), types), payload)
    assert same(from_xml(type(payload), to_xml(payload, types), types), payload)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_survives_json(text: str) -> None:
    assert from_json(Line, to_json(Line(text, 1), TYPES), TYPES).article == text


def test_a_payload_of_every_type_survives_xml() -> None:
    payload = everything()

    assert same(from_xml(Everything, to_xml(payload, TYPES), TYPES), payload)


def test_a_payload_of_every_type_survives_json() -> None:
    payload = everything()

    assert same(from_json(Everything, to_json(payload, TYPES), TYPES), payload)
    assert same(from_json(Everything, to_jsonable(payload, TYPES), TYPES), payload)


def test_the_xml_of_a_payload_is_the_same_every_time() -> None:
    payload = everything()

    assert to_xml(payload, TYPES) == to_xml(dataclasses.replace(payload, unique={"", "a", "b"}), TYPES)


@pytest.mark.parametrize("cls", [Everything, Order, Special, Node, Circle, Pair, *SYSTEM_PAYLOADS])
def test_every_class_has_an_xsd_that_compiles(cls: type) -> None:
    assert etree.XMLSchema(etree.fromstring(xsd_of(cls)))


@pytest.mark.parametrize(
    "payload",
    [
        BufferStart("tree", [Node(1), "<Node><value>1</value></Node>", {"value": 1}, None]),
        BufferStart("tree", [], collect=False, return_to="x", timeout=1.5),
        SequenceStart(["a", "b"], Order(1, 2)),
        SequenceStart(["a"], ""),
        BufferComplete(
            "id", 2, 1, [BufferItemResult(0, True, everything()), BufferItemResult(1, False, None, "c", "e")]
        ),
        BufferComplete(
            "id", 1, 1, [BufferItemResult(0, True, BufferComplete("in", 1, 1, [BufferItemResult(0, True, Node(2))]))]
        ),
        SequenceComplete("id", None, 2),
        SequenceComplete("id", Square(3), 2),
        Fault("exception", "text\n", traceback="\ttrace", causes=("KeyError", "builtins.KeyError")),
    ],
)
def test_payloads_inside_the_payloads_of_xpipe_survive_both_forms(payload: Any) -> None:
    assert from_xml(type(payload), to_xml(payload, TYPES), TYPES) == payload
    assert from_json(type(payload), to_json(payload, TYPES), TYPES) == payload


def test_payloads_that_share_a_name_survive_inside_others() -> None:
    other = dataclasses.make_dataclass("Node", [("name", str)])
    other.__module__ = "elsewhere"
    types = PayloadTypes([Node, other])

    for payload in (SequenceComplete("id", Node(1), 1), SequenceComplete("id", other("x"), 1)):
        assert from_xml(SequenceComplete, to_xml(payload, types), types) == payload
        assert from_json(SequenceComplete, to_json(payload, types), types) == payload


def test_none_empty_and_absent_stay_distinct_in_xml() -> None:
    head = "<Order><id>1</id><quantity>2</quantity>"
    nil = '<comment xsi:nil="true"/>'

    assert from_xml(Order, f"{head}</Order>", TYPES) == Order(1, 2, comment="none")
    assert from_xml(Order, f"{head}<comment/></Order>", TYPES) == Order(1, 2, comment="")
    assert from_xml(Order, f"{head}{nil}</Order>", TYPES) == Order(1, 2, comment=None)
    assert from_xml(Order, f"{head}<lines/></Order>", TYPES).lines == []
    assert from_xml(Order, f"{head}</Order>", TYPES).lines == [Line("default", 1)]


def test_none_empty_and_absent_stay_distinct_in_json() -> None:
    assert from_json(Order, '{"id":1,"quantity":2}', TYPES).comment == "none"
    assert from_json(Order, '{"id":1,"quantity":2,"comment":""}', TYPES).comment == ""
    assert from_json(Order, '{"id":1,"quantity":2,"comment":null}', TYPES).comment is None
    assert from_json(Order, '{"id":1,"quantity":2,"lines":[]}', TYPES).lines == []


def test_fields_come_in_any_order() -> None:
    assert from_xml(Order, "<Order><quantity>2</quantity><id>1</id></Order>", TYPES) == Order(1, 2)


def test_a_whole_number_given_for_a_float_is_a_float() -> None:
    assert repr(from_json(Circle, '{"sideLength": 1}', TYPES).side_length) == "1.0"
    assert repr(from_xml(Circle, "<Circle><sideLength>1</sideLength></Circle>", TYPES).side_length) == "1.0"


def test_the_xml_of_an_order_reads_like_this() -> None:
    assert to_xml(Order(1, 2, [Line("a&b", 3, "x\r")], comment=None), TYPES) == (
        '<Order xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id>1</id><quantity>2</quantity><lines><item>'
        "<article>a&amp;b</article><quantity>3</quantity><note>x&#13;</note></item></lines>"
        '<colour>red</colour><comment xsi:nil="true"/></Order>'
    )
