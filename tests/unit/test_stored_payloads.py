"""What is sent arrives: a payload with a `__post_init__` comes back with the fields it had, and it is not run."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple, Required, TypedDict

import msgspec
import pytest

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.payloads import BufferStart, SequenceStart
from xpipe.wire.json_form import from_json, to_json
from xpipe.wire.xml_form import from_xml, to_xml

RAN: list[str] = []


@dataclass
class Job:
    name: str
    log: list[str] = field(init=False)

    def __post_init__(self) -> None:
        RAN.append("Job")
        self.log = ["made"]


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    children: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        RAN.append("Point")
        object.__setattr__(self, "x", self.x + 1)


@dataclass
class Base:
    number: int = 1

    def __post_init__(self) -> None:
        RAN.append("Base")
        self.number += 1


@dataclass
class Derived(Base):
    tags: list[str] = field(default_factory=lambda: ["default"])
    _: KW_ONLY
    kind: str = "k"


class Circle(msgspec.Struct, frozen=True, tag="circle", rename="camel", kw_only=True):
    side_length: float
    job: Job | None = None

    def __post_init__(self) -> None:
        RAN.append("Circle")


class Square(msgspec.Struct, tag="square"):
    side: int

    def __post_init__(self) -> None:
        RAN.append("Square")
        self.side += 1


class Pair(msgspec.Struct, array_like=True, weakref=True):
    left: int
    right: Point | None = None

    def __post_init__(self) -> None:
        RAN.append("Pair")


class Row(TypedDict, total=False):
    point: Point
    number: Required[int]


class Place(NamedTuple):
    job: Job
    name: str = "here"


@dataclass
class Everywhere:
    jobs: list[Job]
    by_name: dict[str, Job | None]
    unique: set[Point]
    frozen: frozenset[Point]
    by_point: dict[Point, Derived]
    shapes: list[Circle | Square | int]
    pair: tuple[int, Point]
    array: Pair
    row: Row
    place: Place
    inner: Everywhere | None = None
    rest: Any = None


def everywhere(inner: Everywhere | None = None) -> Everywhere:
    job, point = Job("a"), Point(1, (Point(2),))
    job.log.append("sent")
    return Everywhere(
        jobs=[job],
        by_name={"a": job, "b": None},
        unique={point},
        frozen=frozenset({Point(7)}),
        by_point={point: Derived(5, ["t"], kind="x")},
        shapes=[Circle(side_length=0.5, job=job), Square(1), 3],
        pair=(1, point),
        array=Pair(1, point),
        row={"number": 1},
        place=Place(job),
        inner=inner,
        rest={"k": [1]},
    )


TYPES = PayloadTypes([Everywhere, Job, Point, Base, Derived, Circle, Square, Pair])


@pytest.mark.parametrize(
    "payload",
    [
        Point(1, (Point(2),)),
        Base(),
        Derived(3, ["t"], kind="x"),
        Circle(side_length=1.5),
        Square(1),
        Pair(1, Point(3)),
    ],
)
def test_no_user_code_runs_between_handlers(payload: Any) -> None:
    RAN.clear()

    arrived = TYPES.decode(*TYPES.encode(payload))

    assert (arrived, RAN) == (payload, [])
    assert type(arrived) is type(payload)


def test_fields_that_init_does_not_set_travel_and_what_is_not_set_stays_so() -> None:
    @dataclass
    class Task:
        name: str
        log: list[str] = field(init=False)
        done: bool = field(init=False)

    task, types = Task("a"), PayloadTypes([Task])
    task.log = ["sent"]

    arrived = types.decode(*types.encode(task))

    assert vars(arrived) == {"name": "a", "log": ["sent"]}


def test_it_holds_wherever_the_class_stands_inside_another() -> None:
    payload = everywhere(everywhere())
    name, data = TYPES.encode(payload)
    RAN.clear()

    arrived = TYPES.decode(name, data)

    assert RAN == []
    assert TYPES.encode(arrived) == (name, data)
    assert arrived.unique == payload.unique
    assert arrived.by_point == payload.by_point
    assert [type(one) for one in arrived.shapes] == [Circle, Square, int]
    assert arrived.inner.place == Place(arrived.inner.jobs[0])


def test_payloads_of_buffers_and_sequences_are_checked_too() -> None:
    for start in (BufferStart("x", [Square(1)]), SequenceStart(["x"], Square(1))):
        name, data = TYPES.encode(start)
        RAN.clear()
        assert (TYPES.decode(name, data), RAN) == (start, [])


def test_a_field_newer_than_the_message_gets_its_default() -> None:
    # Given a message of a time when Holder had no fields
    holder = dataclasses.make_dataclass("Holder", [("one", Base, field(default_factory=Base))])
    data = msgspec.msgpack.encode({})

    # Then its default is that of the class
    assert PayloadTypes([holder]).decode("Holder", data).one == Base()


def test_a_subclass_is_not_made_where_the_user_would_see_it() -> None:
    seen = []

    class Hooked(msgspec.Struct):
        number: int = 0

        def __init_subclass__(cls, **options: Any) -> None:
            seen.append(cls)
            super().__init_subclass__(**options)

        def __post_init__(self) -> None:
            self.number += 1

    types = PayloadTypes([Hooked])

    assert types.decode(*types.encode(Hooked(1))) == Hooked(1)
    assert seen == []


def test_errors_still_name_the_class_and_the_field() -> None:
    data = msgspec.msgpack.encode({"x": 1, "children": [{"x": "no"}]})
    with pytest.raises(PayloadError, match=r"^Point: .*children\[0\]\.x"):
        TYPES.decode("Point", data)


@pytest.mark.parametrize("read", [from_json, from_xml])
def test_a_payload_from_outside_has_its_post_init_run_once(read: Any) -> None:
    write = to_json if read is from_json else to_xml
    text = write(everywhere_without_jobs(), TYPES)
    RAN.clear()

    read(Everywhere, text, TYPES)

    assert Counter(RAN) == {"Base": 1, "Circle": 1, "Job": 1, "Pair": 1, "Point": 6, "Square": 1}


def everywhere_without_jobs() -> Everywhere:
    return dataclasses.replace(
        everywhere(),
        jobs=[],
        by_name={},
        unique=set(),
        frozen=frozenset(),
        shapes=[Circle(side_length=1.0), Square(1)],
    )
