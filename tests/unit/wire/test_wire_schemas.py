"""The JSON Schema and XSD of many payload classes say what goes out, and nothing else."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from lxml import etree
from wire_samples import Line, Node, Order, Special

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import SYSTEM_PAYLOADS
from xpipe.wire.json_form import to_jsonable
from xpipe.wire.json_schema import json_schemas
from xpipe.wire.xml_form import to_xml
from xpipe.wire.xsd import xsd_of, xsd_of_all


@dataclass
class Priced:
    """What it costs.

    Before taxes.
    """

    price: Decimal


PAYLOADS = [Order(1, 2, [Line("a", 3, None)]), Special(1, 2), Node(1, [Node(2)]), Priced(Decimal("1.10"))]
CLASSES = [type(payload) for payload in PAYLOADS]
ALL_TYPES = PayloadTypes([*(type(payload) for payload in PAYLOADS), Line])


def validator(cls: type) -> Draft202012Validator:
    references, definitions = json_schemas(CLASSES)
    schema = {**references[CLASSES.index(cls)], "$defs": definitions}
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_goes_out_as_json_is_valid_and_an_unknown_field_is_not(payload: Any) -> None:
    plain = to_jsonable(payload, ALL_TYPES)

    validator(type(payload)).validate(plain)

    assert not validator(type(payload)).is_valid({**plain, "more": 1})


def test_a_decimal_comes_as_text_or_as_a_number() -> None:
    assert validator(Priced).is_valid({"price": "1.10"})
    assert validator(Priced).is_valid({"price": 1.1})


def test_descriptions_are_not_indented() -> None:
    assert json_schemas([Priced])[1]["Priced"]["description"] == "What it costs.\n\nBefore taxes."


def test_xpipes_own_payloads_have_schemas() -> None:
    references, definitions = json_schemas(SYSTEM_PAYLOADS)
    assert len(references) == len(SYSTEM_PAYLOADS)
    assert set(definitions) >= {cls.__name__ for cls in SYSTEM_PAYLOADS}
    etree.XMLSchema(etree.fromstring(xsd_of_all(SYSTEM_PAYLOADS)))


def test_what_json_schema_cannot_express_is_an_error_that_names_the_class() -> None:
    strange = make_dataclass("Strange", [("thing", complex)])
    with pytest.raises(PayloadError, match="JSON Schema cannot express Strange"):
        json_schemas([strange])


def test_one_xsd_checks_documents_of_all_classes_and_files_of_them() -> None:
    schema = etree.XMLSchema(etree.fromstring(xsd_of_all([*CLASSES, Line])))
    elements = [to_xml(payload, ALL_TYPES) for payload in PAYLOADS]

    for text in [*elements, f"<messages>{''.join(elements)}</messages>", "<messages/>"]:
        schema.assertValid(etree.fromstring(text))

    assert not schema.validate(etree.fromstring("<messages><Unknown/></messages>"))
    assert not schema.validate(etree.fromstring("<Priced><price>1</price><more/></Priced>"))


def test_classes_of_one_name_do_not_fit_into_one_xsd() -> None:
    other = make_dataclass("Order", [("number", str)])
    with pytest.raises(PayloadError, match="two payload classes are called Order"):
        xsd_of_all([Order, other])
    inside = make_dataclass("Holder", [("order", other)])
    with pytest.raises(PayloadError, match="two classes are called Order"):
        xsd_of_all([Order, inside])


def test_a_class_called_messages_is_an_element_like_others() -> None:
    messages = make_dataclass("messages", [("text", str)])
    schema = etree.XMLSchema(etree.fromstring(xsd_of_all([messages, Line])))
    assert schema.validate(etree.fromstring("<messages><text>x</text></messages>"))


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


def test_the_schemas_take_sums_of_flags_and_need_no_field_that_post_init_fills() -> None:
    @dataclasses.dataclass
    class Grant:
        rights: Rights
        id: str = dataclasses.field(init=False)

    _, definitions = json_schemas([Grant])

    assert definitions["Grant"]["required"] == ["rights"]
    rights = {"title": "Rights", "type": "integer", "description": "the sum of any of 1, 2"}
    assert definitions["Rights"] == rights
    assert '<xs:restriction base="int"/>' in xsd_of(Grant)
