"""Payload types by name, payloads as bytes: errors name the field, nothing but declared types comes back."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import foreign
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpipe.core.codec import Packed, PayloadTypes, accepts_type
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import (
    SYSTEM_PAYLOADS,
    BufferComplete,
    BufferError,
    BufferItemResult,
    BufferStart,
    Fault,
    SequenceComplete,
    SequenceStart,
)


@dataclass
class Inner:
    name: str = ""
    tags: list[Any] = field(default_factory=list)


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    by_key: dict[str, Any] = field(default_factory=dict)
    number: int = 0


class Packet(msgspec.Struct):
    data: bytes = b""
    any: Any = None


@dataclass
class Picky:
    number: int = 0

    def __post_init__(self) -> None:
        if self.number < 0:
            raise LookupError("below zero")


@dataclass
class Broken:
    what: "NotDefinedAnywhere" = None  # type: ignore[name-defined]  # noqa: F821, UP037


class Colour(enum.Enum):
    RED = "red"


@pytest.fixture(scope="module")
def types() -> PayloadTypes:
    return PayloadTypes([Inner, Outer, Packet, Picky])


def encoding_error(types: PayloadTypes, payload: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        types.encode(payload)
    assert caught.value.code == "bad_payload"
    return str(caught.value)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (Inner(tags=[1, object()]), f"Inner.tags[1] cannot be encoded: {foreign.unencodable(object())}"),
        (
            Outer(Inner(tags=[{"k": (1, range(3))}])),
            f"Outer.inner.tags[0]['k'][1] cannot be encoded: {foreign.unencodable(range(3))}",
        ),
        (Outer(by_key={"k": 1j}), f"Outer.by_key['k'] cannot be encoded: {foreign.unencodable(1j)}"),
        (Packet(any=Inner(object())), f"Packet.any.name cannot be encoded: {foreign.unencodable(object())}"),
        (Outer(number=2**64), f"Outer.number cannot be encoded: {foreign.unencodable(2**64)}"),
        (Inner("\ud800"), f"Inner.name cannot be encoded: {foreign.unencodable(chr(0xD800))}"),
    ],
)
def test_an_error_of_encoding_names_the_field(types: PayloadTypes, payload: Any, text: str) -> None:
    assert encoding_error(types, payload) == text


def test_a_payload_that_contains_itself_is_an_error(types: PayloadTypes) -> None:
    payload = Inner()
    payload.tags.append(payload.tags)

    assert "contains itself" in encoding_error(types, payload)


def test_an_error_inside_a_payload_inside_another_names_the_inner_field(types: PayloadTypes) -> None:
    text = f"Inner.name cannot be encoded: {foreign.unencodable(object())}"
    assert encoding_error(types, BufferStart("x", [Inner(), Inner(object())])) == text
    assert encoding_error(types, SequenceStart(["x"], Inner(object()))) == text


@pytest.mark.parametrize("item", [5, [1, 2], 1.5, b"x", Colour.RED])
def test_what_is_no_payload_cannot_stand_inside_another_one(types: PayloadTypes, item: Any) -> None:
    with pytest.raises(PayloadError, match=f"^{type(item).__name__} is no payload type"):
        types.encode(BufferStart("x", [item]))


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("Outer", {"inner": {"name": 5}}, f"Outer: {foreign.misfit(Outer, {'inner': {'name': 5}})}"),
        ("Outer", {"number": "5"}, f"Outer: {foreign.misfit(Outer, {'number': '5'})}"),
        ("Outer", [1], f"Outer: {foreign.misfit(Outer, [1])}"),
        ("Packet", {"data": 1}, f"Packet: {foreign.misfit(Packet, {'data': 1})}"),
        ("BufferStart", {"target": "x", "items": [[1]]}, "BufferStart: "),
        (
            "BufferStart",
            {"target": "x", "items": [[1, 2]]},
            "BufferStart: ",
        ),
        ("SequenceStart", {"steps": ["x"]}, f"SequenceStart: {foreign.misfit(SequenceStart, {'steps': ['x']})}"),
    ],
)
def test_an_error_of_decoding_names_the_field(types: PayloadTypes, name: str, data: Any, text: str) -> None:
    with pytest.raises(PayloadError) as caught:
        types.decode(name, msgspec.msgpack.encode(data))
    assert caught.value.code == "bad_payload"
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81", b"\x91" * 5000])
def test_bytes_that_are_no_payload_are_an_error(types: PayloadTypes, data: bytes) -> None:
    for name in ("Outer", "BufferStart", "Fault"):
        with pytest.raises(PayloadError):
            types.decode(name, data)


@given(st.binary(max_size=40))
def test_no_bytes_do_anything_but_decode_or_raise_a_payload_error(data: bytes) -> None:
    types = PayloadTypes([Packet, Picky])
    for name in ("Packet", "Picky", "BufferComplete", "SequenceStart"):
        try:
            assert type(types.decode(name, data)) is types.class_of(name)
        except PayloadError:
            continue


UNKNOWN = (
    "Stranger is no payload type of this organism (Inner, Outer, Packet, Picky); "
    "define it as a dataclass or Struct in the module of a handler"
)


def test_a_type_that_is_not_known_is_named_with_those_that_are(types: PayloadTypes) -> None:
    stranger = type("Stranger", (), {})
    for attempt in (
        lambda: types.encode(stranger()),
        lambda: types.decode("Stranger", b"\x80"),
        lambda: types.name_of(stranger),
        lambda: types.class_of("Stranger"),
    ):
        with pytest.raises(PayloadError) as caught:
            attempt()
        assert (caught.value.code, str(caught.value)) == ("unknown_type", UNKNOWN)


def test_a_subclass_of_a_known_class_is_not_known(types: PayloadTypes) -> None:
    with pytest.raises(PayloadError, match=r"^Child is no payload type"):
        types.encode(type("Child", (Inner,), {})())


def test_a_class_whose_annotations_do_not_resolve_is_an_error() -> None:
    types = PayloadTypes([Broken])
    with pytest.raises(PayloadError, match=r"^Broken cannot be a payload: "):
        types.decode("Broken", b"\x80")


def item_of(module: str) -> type:
    """A dataclass called Item, defined in a module of that name."""
    made = sys.modules[module] = ModuleType(module)
    exec("from dataclasses import dataclass\n@dataclass\nclass Item:\n    text: str = ''", made.__dict__)
    item: type = made.Item
    return item


def test_classes_of_one_name_go_by_their_modules() -> None:
    shop, stock = item_of("app.shop"), item_of("app.stock")
    types = PayloadTypes([shop, stock, Inner])

    assert [types.name_of(one) for one in (shop, stock, Inner)] == ["shop.Item", "stock.Item", "Inner"]
    assert types.class_of("stock.Item") is stock
    assert type(types.decode(*types.encode(shop("x")))) is shop


def test_classes_of_one_name_in_modules_of_one_name_go_by_the_whole_path() -> None:
    one, other, third = item_of("one.shop"), item_of("other.shop"), item_of("one.shop")
    types = PayloadTypes([one, other, third])

    names = [types.name_of(cls) for cls in (one, other, third)]
    assert names[:2] == ["shop.Item", "other.shop.Item"]
    assert len(set(names)) == 3
    assert [types.class_of(name) for name in names] == [one, other, third]


def test_private_names_of_modules_are_not_stored_but_read() -> None:
    private = "xpipe_organism_0123456789abcdef"
    one, other = item_of(f"{private}.one.shop"), item_of(f"{private}.other.shop")
    types = PayloadTypes([one, other])

    assert [types.name_of(cls) for cls in (one, other)] == ["shop.Item", "other.shop.Item"]
    assert types.class_of(f"{private}.other.shop.Item") is other


def test_a_class_with_the_name_of_a_system_payload_gives_way() -> None:
    mine = type("Fault", (), {"__module__": "app.mine"})
    types = PayloadTypes([mine])

    assert (types.name_of(Fault), types.name_of(mine)) == ("Fault", "mine.Fault")


def test_a_class_given_twice_keeps_its_name() -> None:
    assert PayloadTypes([Inner, Inner]).name_of(Inner) == "Inner"


@pytest.mark.parametrize(
    "payload",
    [
        BufferStart("x", [Inner("a"), "<Inner/>", {"name": "b"}, BufferStart("y", [Packet(b"\x00", 1)])]),
        SequenceStart(["x"], Outer(Inner("deep"))),
        SequenceStart(["x"], SequenceStart(["y"], BufferStart("z", [Inner()]))),
        BufferComplete("id", 2, 1, [BufferItemResult(0, True, Inner("a")), BufferItemResult(1, False, None, "x", "y")]),
        SequenceComplete("id", BufferComplete("id", 1, 1, [BufferItemResult(0, True, Packet(b"p"))]), 1),
        BufferError("bad_payload", "text", buffer_id="id"),
        Packet(b"\x00\xff", {"a": [1, None, 2.5]}),
    ],
)
def test_a_payload_comes_back_as_it_was_with_those_inside_it(types: PayloadTypes, payload: Any) -> None:
    assert types.decode(*types.encode(payload)) == payload


def test_payloads_inside_another_may_stay_packed(types: PayloadTypes) -> None:
    start = types.decode_packed(*types.encode(BufferStart("x", [Inner("a"), "text", {"name": "b"}])))

    assert start.items == [Packed("Inner", types.encode(Inner("a"))[1]), "text", {"name": "b"}]
    assert types.unpack(start.items[0]) == Inner("a")


def test_a_wrong_payload_inside_another_is_an_error_that_names_its_field(types: PayloadTypes) -> None:
    name, data = types.encode(SequenceComplete("id", Inner(5), 1))

    with pytest.raises(PayloadError) as caught:
        types.decode(name, data)
    assert str(caught.value) == f"Inner: {foreign.misfit(Inner, {'name': 5})}"


def test_only_fault_stands_for_its_kinds() -> None:
    kinds = [cls for cls in SYSTEM_PAYLOADS if issubclass(cls, Fault)]
    assert len(kinds) == 3
    assert all(accepts_type([Fault], cls) for cls in kinds)
    assert not accepts_type([BufferError], Fault)
    assert not accepts_type([Inner], type("Child", (Inner,), {}))


def test_classes_that_share_even_their_whole_path_have_the_same_names_in_every_process() -> None:
    kept = [item_of("app.shop") for _ in range(6)]
    one, other = PayloadTypes(kept[:3]), PayloadTypes(kept[3:])

    assert {one.name_of(cls) for cls in kept[:3]} == {other.name_of(cls) for cls in kept[3:]}
