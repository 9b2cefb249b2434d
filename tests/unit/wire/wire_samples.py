"""Payload classes that use every supported type."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, Literal, NewType

import msgspec

from xpipe.core.codec import PayloadTypes

ArticleId = NewType("ArticleId", int)


class Colour(enum.Enum):
    RED = "red"
    ODD = " \n<&>\r\t"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Circle(msgspec.Struct, tag="o", rename="camel", forbid_unknown_fields=True):
    side_length: float


class Square(msgspec.Struct, tag="sq/1", frozen=True):
    side: int = 1


class Pair(msgspec.Struct, array_like=True):
    left: int
    right: str = "r"


@dataclass
class Node:
    """A tree."""

    value: int
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    article: str
    quantity: Annotated[int, msgspec.Meta(ge=0)]
    note: str | None = None


@dataclass
class Order:
    id: int
    quantity: int
    lines: list[Line] = field(default_factory=lambda: [Line("default", 1)])
    colour: Colour = Colour.RED
    _: KW_ONLY
    comment: str | None = "none"


@dataclass
class Special(Order):
    until: datetime.date | None = None


@dataclass
class Everything:
    text: str
    integer: int
    number: float
    flag: bool
    data: bytes
    amount: decimal.Decimal
    moment: datetime.datetime
    day: datetime.date
    clock: datetime.time
    span: datetime.timedelta
    uid: uuid.UUID
    colour: Colour
    level: Level
    literal: Literal["a", "1", 1, None]
    optional: str | None
    mixed: int | float | str | None
    shape: Circle | Square | None
    shapes: list[Circle | Square]
    texts: list[str | None]
    numbers: tuple[float, ...]
    pair: tuple[int, str]
    array: Pair
    unique: set[str]
    frozen: frozenset[int]
    by_text: dict[str, int]
    by_integer: dict[int, Line]
    by_uid: dict[uuid.UUID, list[int]]
    by_colour: dict[Colour, float]
    by_level: dict[Level, str]
    by_day: dict[datetime.date, Node]
    by_pair: dict[tuple[int, int], str]
    nested: list[list[list[int]]]
    tree: Node
    article: ArticleId
    nothing: None
    anything: Any


def everything() -> Everything:
    return Everything(
        text="  \r\n\tä <&> ]]> \U0001f600 ",
        integer=-(10**80),
        number=-math.inf,
        flag=True,
        data=b"\x00\xff<>",
        amount=decimal.Decimal("1.10E+5"),
        moment=datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=-77))),
        day=datetime.date(9999, 12, 31),
        clock=datetime.time(1, 2, 3, 4, datetime.UTC),
        span=datetime.timedelta.min,
        uid=uuid.UUID(int=5),
        colour=Colour.ODD,
        level=Level.HIGH,
        literal="1",
        optional="",
        mixed="NaN",
        shape=Square(4),
        shapes=[Circle(0.5), Square()],
        texts=["", None, " "],
        numbers=(-0.0, math.inf, 1e-320),
        pair=(1, ""),
        array=Pair(3),
        unique={"b", "a", ""},
        frozen=frozenset({3, -1, 20}),
        by_text={"": 1, "a b": 2, "type": 3},
        by_integer={-1: Line("x", 0)},
        by_uid={uuid.UUID(int=1): []},
        by_colour={Colour.ODD: 1.0},
        by_level={Level.LOW: "low"},
        by_day={datetime.date(2026, 1, 31): Node(1)},
        by_pair={(1, 2): "z"},
        nested=[[], [[]], [[1], []]],
        tree=Node(1, [Node(2, [Node(3)]), Node(4)]),
        article=ArticleId(7),
        nothing=None,
        anything={"a": [1, 2.5, None, True, "x", {}], "": math.inf},
    )


TYPES = PayloadTypes([Everything, Order, Special, Line, Node, Circle, Square, Pair])
