# ruff: noqa: E501  a case is one line
"""What is wrong with a document is said in one sentence: where, which field, what."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from typing import Annotated, Any, Literal

import foreign
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_samples import TYPES, Circle, Everything, Line, Node, Order, Special, Square, everything

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError, WireError
from xpipe.core.payloads import BufferStart, SequenceComplete
from xpipe.wire.json_form import from_json, to_json
from xpipe.wire.xml_form import from_xml, to_xml


def xml_error(cls: type, text: bytes | str, where: str = "orders.xml:12:1") -> str:
    with pytest.raises(WireError) as caught:
        from_xml(cls, text, TYPES, where)
    return str(caught.value)


def json_error(cls: type, text: Any, where: str = "orders.json:12:1") -> str:
    with pytest.raises(WireError) as caught:
        from_json(cls, text, TYPES, where)
    return str(caught.value)


HEAD = "<Order>\n  <id>1</id>\n"
BELOW_NONE = foreign.out_of_bounds(Annotated[int, msgspec.Meta(ge=0)], -1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{HEAD}  <quantity>many</quantity></Order>", "14:3: Order.quantity: 'many' is not an integer"),
        (f"{HEAD}  <quantity> </quantity></Order>", "14:3: Order.quantity: the text is missing"),
        (f"{HEAD}</Order>", "12:1: Order.quantity: the field is missing and has no default"),
        (f"{HEAD}  <quantitty>1</quantitty></Order>", "14:3: Order.quantitty: there is no such field; did you mean quantity?"),
        (f"{HEAD}  <id>1</id></Order>", "14:3: Order.id: the field is given twice"),
        (f"{HEAD}  <quantity><n/></quantity></Order>", "14:13: Order.quantity: text is expected and not <n>"),
        (f"{HEAD}  <colour>rad</colour></Order>", "14:3: Order.colour: 'rad' is not one of 'red', ' \\n<&>\\r\\t'"),
        (f"{HEAD}  <quantity xsi:nil='true'/></Order>", "14:3: Order.quantity: None does not fit here; the element is marked xsi:nil"),
        (f"{HEAD} hm </Order>", "12:1: Order: the text 'hm' stands where <id>, <quantity>, <lines>, <colour>, <comment> is expected"),
        (f"{HEAD}  <lines><line/></lines></Order>", "14:10: Order.lines: <item> is expected and not <line>"),
        (f"{HEAD}  <lines><item><quantity>-1</quantity></item></lines></Order>", "14:10: Order.lines[0].article: the field is missing and has no default"),
        (f"{HEAD}  <quantity>1</quantity><lines><item><article/><quantity>-1</quantity></item></lines></Order>", f"14:48: Order.lines[0].quantity: {BELOW_NONE}"),
        ("<Order id='1'/>", "12:1: Order: the attribute id is not known; fields are elements"),
        ("<Order xmlns='urn:x'/>", "12:1: <Order> has a namespace; payloads have none, remove xmlns"),
        ("<Oder/>", "12:1: <Order> is expected and not <Oder>"),
        ("<Order>\n<id>1<id></Order>", "13:18: <id> is closed by </Order>"),
        ("<Order><id>1</id>", "12:18: the document ends inside <Order>"),
        ("<Order>a & b</Order>", "12:11: a bare & must be written &amp;"),
        ("<Order>&nbsp;</Order>", "12:14: &nbsp; is not known; write the character itself"),
        ("<Order>\0</Order>", "12:8: the character 0x0 cannot travel in XML"),
        (b"<Order>\xff</Order>", "12:8: there are bytes that are no UTF-8"),
        ("<Order/><Order/>", "12:9: there is something after the element"),
        ("", "12:1: an element is expected"),
        ("<x:Order/>", "12:9: the prefix x: is not declared; the elements of payloads have none"),
        ("<!DOCTYPE Order><Order/>", "12:1: a DOCTYPE is not accepted; remove it and its entities"),
        ("<Order>" + "<a>" * 100_000, "12:775: elements are nested more than 256 levels deep"),
        ("<Order><id>" + "9" * 5000 + "</id></Order>", f"12:8: Order.id: '{'9' * 60}'... is not an integer (it is too long)"),
    ],
)  # fmt: skip
def test_a_wrong_xml_document_is_explained(text: bytes | str, sentence: str) -> None:
    assert xml_error(Order, text) == f"orders.xml:{sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"id": 1,\n "quantity": "many"}', "13:14: Order.quantity: 'many' is not an integer"),
        ('{"id": 1.0, "quantity": 1}', "12:8: Order.id: 1.0 is not an integer"),
        ('{"id": true, "quantity": 1}', "12:8: Order.id: True is not an integer"),
        ('{"id": null, "quantity": 1}', "12:8: Order.id: None is not an integer"),
        ('{"id": 1}', "12:1: Order.quantity: the field is missing and has no default"),
        ('{"id": 1, "quantitty": 1}', "12:24: Order.quantitty: there is no such field; did you mean quantity?"),
        ('{"id": 1, "id": 2}', "12:1: the key 'id' is given twice in one object"),
        ('{"id": NaN}', '12:1: NaN is no JSON; write "NaN"'),
        ('{"id": 1e999}', "12:1: the number 1e999 is too large"),
        ('{"id": 1', "12:9: the JSON value is not closed"),
        ('{"id": 1} {}', "12:11: there is something after the JSON value"),
        ("", "12:1: there is no JSON value"),
        ("{'id': 1}", f"12:2: this is no JSON ({foreign.no_json(chr(123) + chr(39))})"),
        (b'{"id": "\xff"}', "12:9: the byte 0xff is no UTF-8"),
        ('{"id": "\\ud800"}', "12:9: a lone surrogate is no text"),
        ("[" * 100_000, "12:1: the values are nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", "12:1: a number has too many digits; write it as text"),
        ("[1, 2]", "12:1: Order: a list of 2 is not a mapping of the fields of Order"),
        ('{"id": 1, "quantity": 1, "lines": [{"article": "a", "quantity": 1}, {"article": 5}]}', "12:81: Order.lines[1].article: 5 is not text"),
        ('{"id": 1, "quantity": 1, "lines": [{"article": "", "quantity": -1}]}', f"12:64: Order.lines[0].quantity: {BELOW_NONE}"),
    ],
)  # fmt: skip
def test_a_wrong_json_document_is_explained(text: bytes | str, sentence: str) -> None:
    assert json_error(Order, text) == f"orders.json:{sentence}"


def test_a_union_without_its_tag_is_explained() -> None:
    good = to_json(everything(), TYPES)

    assert json_error(Everything, good.replace(b'{"type":"sq/1","side":4}', b'{"side":4}')).endswith(
        "Everything.shape.type: is missing; it says which of o, sq/1 this is"
    )
    assert xml_error(Everything, to_xml(everything(), TYPES).replace('<shape xsi:type="Square">', "<shape>")).endswith(
        "Everything.shape: the attribute xsi:type is missing; it says which of Circle, Square this is"
    )


def test_a_renamed_field_goes_by_its_name_on_the_wire() -> None:
    assert json_error(Circle, '{"side_length": 1}').endswith(
        "Circle.side_length: there is no such field; did you mean sideLength?"
    )


def test_inherited_fields_are_fields() -> None:
    payload = Special(1, 2, comment=None)

    assert from_xml(Special, to_xml(payload, TYPES), TYPES) == payload


def test_a_post_init_that_refuses_names_the_class_and_the_place() -> None:
    @dataclasses.dataclass
    class Picky:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("value must not be negative")
            if self.value > 9:
                raise KeyError("far too much")

    types = PayloadTypes([Picky])
    for value, reason in (("-1", "value must not be negative"), ("10", "KeyError: 'far too much'")):
        with pytest.raises(WireError, match=f"^a:3:4: Picky: {reason}$"):
            from_xml(Picky, f"<Picky><value>{value}</value></Picky>", types, "a:3:4")
        with pytest.raises(WireError, match=f"^a:3:4: Picky: {reason}$"):
            from_json(Picky, f'{{"value": {value}}}', types, "a:3:4")


def test_a_field_that_post_init_fills_may_be_absent() -> None:
    @dataclasses.dataclass
    class Filled:
        value: int
        double: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.double = 2 * self.value

    types = PayloadTypes([Filled])

    assert from_json(Filled, '{"value": 2}', types).double == 4
    assert from_xml(Filled, "<Filled><value>2</value></Filled>", types).double == 4
    assert from_xml(Filled, to_xml(Filled(2), types), types) == Filled(2)


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (Line("a\0", 1), "Line.article: the character U+0000 at index 1 cannot travel in XML 1.0; use JSON"),
        (Line("\ud800", 1), "Line.article: the character U+D800 at index 0 cannot travel in XML 1.0; use JSON"),
        (Line("", 1, "\uffff"), "Line.note: the character U+FFFF at index 0 cannot travel in XML 1.0; use JSON"),
        (Order(1, 2, [Line("\x1b", 1)]), "Order.lines[0].article: the character U+001B at index 0 cannot travel in XML 1.0; use JSON"),
        (Order(1, None), "Order.quantity: None is not an integer"),  # type: ignore[arg-type]  # the point of it
        (BufferStart("x", [5]), "BufferStart.items[0]: 5 is no payload"),
        (SequenceComplete("x", Line("\x01", 1), 1), "SequenceComplete.result.article: the character U+0001 at index 0 cannot travel in XML 1.0; use JSON"),
    ],
)  # fmt: skip
def test_what_xml_cannot_carry_is_refused_by_field(payload: Any, sentence: str) -> None:
    with pytest.raises(PayloadError) as caught:
        to_xml(payload, TYPES)
    assert str(caught.value) == sentence


def test_what_json_cannot_carry_is_refused_by_field() -> None:
    with pytest.raises(PayloadError) as caught:
        to_json(Line("\ud800", 1), TYPES)
    assert (
        str(caught.value) == "Line.article: '\\ud800' has a lone surrogate, which is no text (surrogates not allowed)"
    )


def test_too_deep_a_payload_is_one_error() -> None:
    node = Node(0)
    for value in range(5000):
        node = Node(value, [node])

    for write in (to_xml, to_json):
        with pytest.raises(PayloadError) as caught:
            write(node, TYPES)
        assert str(caught.value) == "Node is nested too deeply to be written"


def test_a_deep_json_tree_is_one_error() -> None:
    text = '{"value": 1, "children": [' * 300 + "]}" * 300

    assert json_error(Node, text) == "orders.json:12:1: Node: the values are nested too deeply"


def test_an_attack_by_entities_is_refused_at_once() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 20))

    sentence = xml_error(Order, f'<!DOCTYPE Order [<!ENTITY e0 "ha">{entities}]><Order><id>&e19;</id></Order>')

    assert sentence == "orders.xml:12:1: a DOCTYPE is not accepted; remove it and its entities"


def test_a_schema_location_is_never_read(tmp_path: Any) -> None:
    text = (
        '<Order xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:noNamespaceSchemaLocation="{tmp_path}/none.xsd"><id>1</id><quantity>2</quantity></Order>'
    )

    assert from_xml(Order, text, TYPES) == Order(1, 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_xml_in_another_encoding_is_read(encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\n<Line><article>é</article><quantity>1</quantity></Line>'

    assert from_xml(Line, text.encode(encoding), TYPES) == Line("é", 1)


def test_comments_and_cdata_are_no_part_of_the_text() -> None:
    text = "<Line><!-- c --><article>a<!-- b -->b<![CDATA[<c>]]><?pi x?>d</article><quantity> 1 </quantity></Line>"

    assert from_xml(Line, text, TYPES) == Line("ab<c>d", 1)


def test_a_class_that_cannot_travel_is_named() -> None:
    @dataclasses.dataclass
    class Odd:
        value: complex

    with pytest.raises(PayloadError, match=r"^Odd.value cannot be sent: the type complex is not supported"):
        to_json(Odd(1j), PayloadTypes([Odd]))


def test_a_name_that_is_no_xml_name_is_refused_by_field() -> None:
    odd = msgspec.defstruct("Odd", [("number", int)], rename={"number": "a number"})

    with pytest.raises(
        PayloadError,
        match=r"^Odd.a number: 'a number' cannot name an XML element; give the field another name or use JSON$",
    ):
        to_xml(odd(1), PayloadTypes([odd]))


def test_literals_of_text_keep_their_white_space() -> None:
    class Spaced(enum.Enum):
        A = " a\n"

    cls = dataclasses.make_dataclass("Literals", [("one", Literal["\t", " "]), ("two", Spaced)])
    payload, types = cls(" ", Spaced.A), PayloadTypes([cls])

    assert from_xml(cls, to_xml(payload, types), types) == payload


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_comes_in_is_a_payload_or_a_wire_error(data: bytes | str) -> None:
    for read in (from_xml, from_json):
        with contextlib.suppress(WireError):
            read(Square, data, TYPES, "x:1:1")


MARKUP = st.lists(st.sampled_from(["<Node>", "</Node>", "<value>", "</value>", "1", "x", "<children>", "</children>", "<item>", "</item>", "<item/>", " xsi:nil='true'", "&amp;", "<!--", "-->", "<![CDATA[", "]]>", "\0", "<?a?>", "xsi:type='int'", "<Node "]), max_size=14).map("".join)  # fmt: skip
TOKENS = st.lists(st.sampled_from(["{", "}", "[", "]", ",", ":", '"value"', '"children"', "1", "1e5", "null", '"$float"', '"type"', "\\", '"']), max_size=14).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(MARKUP, TOKENS)
def test_no_document_of_right_looking_pieces_gets_past_the_errors(xml: str, json: str) -> None:
    for cls in (Node, Everything, BufferStart):
        for read, text in ((from_xml, xml), (from_xml, f"<Node>{xml}</Node>"), (from_json, json)):
            with contextlib.suppress(WireError):
                read(cls, text, TYPES, "x:1:1")


class Prio(enum.Enum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


Job = dataclasses.make_dataclass("Job", [("prio", Prio), ("rights", Rights, Rights(0)), ("by", dict[Prio, int], None)])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"prio": 5}', "Job.prio: 5 is not one of 1 (LOW), 2 (HIGH)"),
        ('{"prio": "HIGH"}', "Job.prio: 'HIGH' is not one of 1 (LOW), 2 (HIGH)"),
        ('{"prio": true}', "Job.prio: True is not one of 1 (LOW), 2 (HIGH)"),
        ('{"prio": 1, "rights": 8}', "Job.rights: 8 is not a sum of 1 (READ), 2 (WRITE)"),
        ('{"prio": 1, "by": {"7": 1}}', "Job.by['7']: the key 7 is not one of 1 (LOW), 2 (HIGH)"),
        ("<Job><prio>5</prio></Job>", "Job.prio: 5 is not one of 1 (LOW), 2 (HIGH)"),
        ("<Job><prio>HIGH</prio></Job>", "Job.prio: 'HIGH' is not one of 1 (LOW), 2 (HIGH)"),
    ],
)
def test_a_value_of_no_enum_member_is_reported_with_the_members(text: str, sentence: str) -> None:
    read: Any = from_xml if text.startswith("<") else from_json
    with pytest.raises(WireError) as caught:
        read(Job, text, PayloadTypes([Job]))
    assert str(caught.value).partition(": ")[2] == sentence
