"""Whatever a field is annotated with either travels by every way as it was, or is a finding before anything runs."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import sys
import textwrap
import uuid
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Never,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
)

import msgspec
import pytest
from lxml import etree

from xpipe.config.payload_classes import complain_about_class
from xpipe.core.codec import PayloadTypes
from xpipe.wire.json_form import from_json, to_json
from xpipe.wire.json_schema import example, json_schema, json_schemas
from xpipe.wire.xml_form import from_xml, to_xml
from xpipe.wire.xsd import xsd_of

T = TypeVar("T")
Number = NewType("Number", int)
DAY = datetime.date(2026, 1, 2)
BERLIN = datetime.timezone(datetime.timedelta(hours=2))


@dataclass
class Page(Generic[T]):
    items: list[T]


@dataclass(frozen=True)
class Key:
    a: int
    day: str = "x"


class Row(TypedDict):
    x: int
    day: NotRequired[datetime.date]


class Point(NamedTuple):
    x: int
    day: datetime.date = DAY


class Prio(enum.Enum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Level(enum.IntEnum):
    ONE = 1


class Colour(enum.StrEnum):
    RED = "red"


class Mixed(enum.Enum):
    ONE = 1
    RED = "red"


class Halves(enum.Enum):
    ONE = 0.5


class Pair(msgspec.Struct, array_like=True):
    left: int
    right: str = "r"


class Circle(msgspec.Struct, tag="circle"):
    size: int


class Square(msgspec.Struct, tag="square"):
    size: int


class Plain:
    pass


class Shown(Protocol):
    def show(self) -> str: ...


TRAVELS: list[tuple[Any, Any]] = [
    (list, [1, "a"]),
    (Sequence[int], [1]),
    (Collection[int], [1]),
    (AbstractSet[int], {1}),
    (Mapping[str, int], {"a": 1}),
    (MutableMapping[str, int], {"a": 1}),
    (tuple[int, ...], (1,)),
    (tuple[int, str], (1, "a")),
    (tuple[()], ()),
    (tuple[Row, Point], ({"x": 1}, Point(2))),
    (set[Key], {Key(1)}),
    (frozenset[Prio], frozenset({Prio.LOW})),
    (dict, {"a": 1}),
    (dict[int, datetime.date], {1: DAY}),
    (dict[Key, int], {Key(1): 1}),
    (dict[Point, int], {Point(1): 2}),
    (dict[tuple[Prio, int], int], {(Prio.LOW, 1): 2}),
    (dict[frozenset[int], int], {frozenset({1}): 2}),
    (dict[int | str, int], {1: 2}),
    (dict[datetime.date, int], {DAY: 1}),
    (Any, {"a": [1]}),
    (object, {"a": [1]}),
    (None, None),
    (Number, Number(3)),
    (Annotated[int, "x"], 1),
    (Annotated[int, msgspec.Meta(ge=1)], 1),
    (Final[int], 1),
    (Literal[True], True),
    (Literal[True, 1, "a", None], True),
    (Literal[True, 1, "a", None], 1),
    (Literal[False, "x"], False),
    (Page[int], Page([1])),
    (Page[datetime.date], Page([DAY])),
    (list[Page[Key]], [Page([Key(1)])]),
    (Optional["Page[int]"], Page([1])),
    (Page, Page([1])),
    (Row, {"x": 1}),
    (list[Row], [{"x": 1, "day": DAY}]),
    (Row | int | None, {"x": 1}),
    (Point, Point(1)),
    (dict[str, Point], {"a": Point(1)}),
    (Point | int | None, Point(1)),
    (Page[int] | Point, Page([1])),
    (Page[int] | Point, Point(1)),
    (bytearray, bytearray(b"hi")),
    (bytearray | None, bytearray(b"hi")),
    (bytes | int, b"hi"),
    (Prio, Prio.HIGH),
    (list[Prio | None], [Prio.LOW, None]),
    (dict[Prio, int], {Prio.LOW: 1}),
    (Prio | str, Prio.LOW),
    (Prio | str, "x"),
    (Prio | Colour, Colour.RED),
    (Prio | float, 2.5),
    (Rights, Rights.READ | Rights.WRITE),
    (Rights, Rights(0)),
    (dict[Rights, int], {Rights.READ | Rights.WRITE: 1}),
    (Bits, Bits(8)),
    (Level, Level.ONE),
    (dict[Colour, Prio], {Colour.RED: Prio.HIGH}),
    (Circle | Square | None, Square(1)),
    (Pair | int, Pair(1)),
    (int | str | None, "1"),
    (float | int, 1),
    (datetime.datetime, datetime.datetime(2026, 1, 1, tzinfo=BERLIN)),
    (datetime.datetime, datetime.datetime(2026, 1, 1)),
    (datetime.time, datetime.time(1, 2)),
    (datetime.timedelta, datetime.timedelta(1, 2, 3)),
    (decimal.Decimal | int, decimal.Decimal("1.50")),
    (uuid.UUID, uuid.UUID(int=1)),
]

FOUND: list[tuple[Any, str]] = [
    (memoryview, "MemoryView"),
    (Mixed, "Mixed"),
    (Halves, "Halves"),
    (Page[int] | Row, "Row"),
    (bytes | str, "bytes"),
    (list[int] | tuple[int, ...], "list"),
    (Iterable[int], "Iterable"),
    (Iterator[int], "Iterator"),
    (collections.deque[int], "deque"),
    (collections.defaultdict[str, int], "defaultdict"),
    (collections.OrderedDict[str, int], "OrderedDict"),
    (collections.Counter[str], "Counter"),
    (pathlib.Path, "Path"),
    (complex, "complex"),
    (fractions.Fraction, "Fraction"),
    (ipaddress.IPv4Address, "IPv4Address"),
    (re.Pattern[str], "Pattern"),
    (Callable[[int], int], "Callable"),
    (type[Page[int]], "type"),
    (InitVar[int], "InitVar"),
    (Shown, "Shown"),
    (list[Plain], "Plain"),
    (dict[str, Plain | None], "Plain"),
    (Never, "Never"),
    (Self, "Self"),
    (Hashable, "Hashable"),
    (range, "range"),
    (Exception, "Exception"),
    (array.array, "array"),
    (msgspec.Raw, "Raw"),
    (Literal[Prio.LOW], "Literal"),
    ("list[Nowhere]", "Nowhere"),
]


def _classes(annotation: Any) -> list[type]:
    field: Any = [("field", annotation)]
    made = dataclasses.make_dataclass("Holder", field, namespace={"__module__": __name__})
    return [made] if type(annotation) is InitVar else [made, msgspec.defstruct("Holder", field, module=__name__)]


@pytest.mark.parametrize(("annotation", "value"), TRAVELS, ids=lambda part: str(part)[:60])
def test_a_type_without_a_finding_can_be_sent_in_every_way(annotation: Any, value: Any) -> None:
    for cls in _classes(annotation):
        payload, types = cls(value), PayloadTypes([cls])
        assert complain_about_class(cls, "Holder") is None
        arrived = [
            types.decode(*types.encode(payload)),
            from_json(cls, to_json(payload, types), types),
            from_json(cls, msgspec.json.decode(to_json(payload, types)), types),
            from_xml(cls, to_xml(payload, types), types),
        ]
        assert arrived == [payload] * 4
        assert {type(one.field) for one in arrived} == {type(value)}
        assert json_schema(cls)
        assert json_schemas([cls])
        assert example(cls) is not None
        assert etree.XMLSchema(etree.fromstring(xsd_of(cls)))


@pytest.mark.parametrize(("annotation", "name"), FOUND, ids=lambda part: str(part)[:60])
def test_a_type_that_cannot_be_sent_is_a_finding_with_field_and_type(annotation: Any, name: str) -> None:
    for cls in _classes(annotation):
        complaint = complain_about_class(cls, "Holder")
        assert complaint is not None
        assert complaint.message.startswith("Holder.field ")
        assert name in complaint.message


@pytest.mark.skipif(sys.version_info < (3, 12), reason="its syntax is new in Python 3.12")
def test_type_statements_and_generics_of_new_syntax_travel() -> None:
    names: dict[str, Any] = {"__name__": __name__, "dataclass": dataclass}
    code = """
        type Ids = list[int]
        @dataclass
        class Sheet[T]:
            rows: list[T]
        @dataclass
        class Book:
            ids: Ids
            sheet: Sheet[Ids]
    """
    exec(compile(textwrap.dedent(code), "sheets.py", "exec", dont_inherit=True), names)
    book, types = names["Book"]([1], names["Sheet"]([[2]])), PayloadTypes([names["Book"]])

    assert types.decode(*types.encode(book)) == book
    assert from_json(type(book), to_json(book, types), types) == book
    assert from_xml(type(book), to_xml(book, types), types) == book
