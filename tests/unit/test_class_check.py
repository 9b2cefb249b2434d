"""A field holds just the class it is annotated with: a derived object would lose what it adds, so it is a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import BufferStart


@dataclass
class Address:
    street: str


@dataclass
class Business(Address):
    vat: str = ""


class Shape(msgspec.Struct, tag="shape"):
    size: int = 0


class Round(Shape, tag="round"):
    radius: int = 0


class Row(TypedDict, total=False):
    address: Address


class Stop(NamedTuple):
    address: Address
    shape: Shape = Shape()


class Crate(msgspec.Struct):
    address: Address


@dataclass
class Order:
    one: Address = field(default_factory=lambda: Address("x"))
    maybe: Address | None = None
    many: list[Address] = field(default_factory=list)
    by_name: dict[str, list[Address | None]] = field(default_factory=dict)
    pair: tuple[int, Address] = field(default_factory=lambda: (1, Address("x")))
    shape: Shape | int = 0
    crate: Crate | None = None
    row: Row = field(default_factory=lambda: Row())
    stop: Stop | None = None
    again: Order | None = None
    number: int = 0
    anything: Any = None


@dataclass
class Link:
    number: int
    next: Link | None = None


class Longer(Link):
    pass


@dataclass
class Branch:
    kids: list[Branch]


TYPES = PayloadTypes([Order, Crate, Address, Business])
WHAT = "must be Address, got Business, whose own fields would be lost"


@pytest.mark.parametrize(
    ("order", "where"),
    [
        (Order(Business("x")), "Order.one"),
        (Order(maybe=Business("x")), "Order.maybe"),
        (Order(many=[Address("x"), Business("x")]), "Order.many[1]"),
        (Order(by_name={"a": [None, Business("x")]}), "Order.by_name['a'][1]"),
        (Order(pair=(1, Business("x"))), "Order.pair[1]"),
        (Order(crate=Crate(Business("x"))), "Order.crate.address"),
        (Order(row={"address": Business("x")}), "Order.row['address']"),
        (Order(stop=Stop(Business("x"))), "Order.stop.address"),
        (Order(again=Order(again=Order(Business("x")))), "Order.again.again.one"),
        (Crate(Business("x")), "Crate.address"),
    ],
)
def test_a_derived_object_is_refused_at_its_field(order: Any, where: str) -> None:
    with pytest.raises(PayloadError) as caught:
        TYPES.encode(order)
    assert (caught.value.code, str(caught.value)) == ("bad_payload", f"{where} {WHAT}")


def test_structs_are_no_exception() -> None:
    with pytest.raises(PayloadError, match=r"^Order.shape must be Shape, got Round, whose own fields would be lost$"):
        TYPES.encode(Order(shape=Round()))


def test_so_is_a_class_that_is_not_related() -> None:
    with pytest.raises(PayloadError, match=r"^Order.one must be Address, got Crate, whose own fields would be lost$"):
        TYPES.encode(Order(Crate(Address("x"))))  # type: ignore[arg-type]  # what a type checker would refuse


def test_so_is_a_key_that_a_typed_dict_does_not_have() -> None:
    with pytest.raises(PayloadError, match=r"^Order.row has the key 'zip', which Row does not have$"):
        TYPES.encode(Order(row={"zip": 1}))  # type: ignore[typeddict-unknown-key]  # as above


def test_an_item_of_a_buffer_is_checked_as_any_payload() -> None:
    with pytest.raises(PayloadError, match=r"^Crate.address must be Address"):
        TYPES.encode(BufferStart("x", [Crate(Business("x"))]))


@pytest.mark.parametrize(
    "order",
    [
        Order(),
        Order(
            Address("a"),
            Address("b"),
            [Address("c")],
            {"a": [None, Address("d")]},
            (1, Address("e")),
            Shape(1),
            Crate(Address("f")),
            {"address": Address("g")},
            Stop(Address("h")),
            Order(),
        ),
    ],
)
def test_the_classes_themselves_travel(order: Order) -> None:
    assert TYPES.decode(*TYPES.encode(order)) == order


def chain(length: int, last: Link | None = None) -> Link:
    for number in range(length):
        last = Link(number, last)
    assert last is not None
    return last


def test_a_chain_of_many_links_travels_as_deep_as_it_can_be_encoded() -> None:
    types = PayloadTypes([Link])
    name, data = types.encode(chain(700))
    found, numbers = types.decode(name, data), []
    while found is not None:
        numbers.append(found.number)
        found = found.next
    assert numbers == list(reversed(range(700)))


def test_a_derived_object_is_refused_however_deep_it_is() -> None:
    with pytest.raises(PayloadError, match="must be Link, got Longer, whose own fields would be lost"):
        PayloadTypes([Link]).encode(chain(300, Longer(1)))


def test_objects_in_a_circle_are_refused() -> None:
    circle = Branch([])
    circle.kids += [circle, circle]
    with pytest.raises(PayloadError, match="Branch cannot be encoded"):
        PayloadTypes([Branch]).encode(circle)


def test_a_value_of_another_kind_is_told_by_the_receiver() -> None:
    name, data = TYPES.encode(Order(many=5))  # type: ignore[arg-type]  # what a type checker would refuse
    with pytest.raises(PayloadError, match=r"^Order: .*many"):
        TYPES.decode(name, data)


def test_a_class_without_classes_in_it_costs_nothing() -> None:
    encode = TYPES._encoder(Address)[1]

    assert encode is TYPES._encode
