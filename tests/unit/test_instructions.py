"""What an agent is told about its peers: enough to write a message that they accept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
import pytest

from xpipe.core.codec import PayloadTypes
from xpipe.core.organism import BufferOptions, Listener
from xpipe.core.payloads import BufferComplete, Fault, Items, SequenceStep
from xpipe.runtime.instructions import usage_instructions
from xpipe.runtime.topology import Topology
from xpipe.wire.json_schema import example, json_schema


@dataclass
class Leaf:
    name: str
    weight: float = 0.5


@dataclass
class Tree:
    kind: Literal["oak", "elm"]
    leaves: list[Leaf]
    planted: datetime
    parent: Tree | None = None
    notes: dict[str, int] = field(default_factory=dict)
    pair: tuple[int, str] = (1, "x")


@dataclass
class Loop:
    again: list[Loop]
    deeper: Loop | None


class Bounded(msgspec.Struct):
    count: int
    flag: bool
    data: bytes
    any: Any


def nobody(payload: Any, metadata: Any) -> None:
    del payload, metadata


def listener(name: str, *accepts: type, **options: Any) -> Listener:
    return Listener(name, nobody, accepts, **options)


@pytest.mark.parametrize("cls", [Leaf, Tree, Loop, Bounded])
def test_an_example_is_a_payload_of_its_class(cls: type) -> None:
    assert json_schema(cls) is not None

    assert isinstance(msgspec.json.decode(msgspec.json.encode(example(cls)), type=cls), cls)


def test_an_agent_reads_names_descriptions_schemas_and_examples_of_its_peers_only() -> None:
    listeners = [
        listener("agent", Leaf, agent=True, peers=frozenset({"grow", "shop"})),
        listener("grow", Tree, Leaf, description="Grows a tree."),
        listener("shop.one", Leaf, BufferComplete, Fault, broadcast=True),
        listener("shop.two", Leaf, Tree, broadcast=True),
        listener("hidden", Bounded),
    ]
    topology = Topology(listeners, PayloadTypes([Leaf, Tree, Bounded]))

    text = usage_instructions(listeners[0], topology)

    paragraphs = text.split("\n\n")
    titles = [
        "grow: Grows a tree.",
        "shop: what is sent to it goes to each of shop.one, shop.two",
        "shop.one",
        "shop.two",
    ]
    assert [one.splitlines()[0] for one in paragraphs] == titles
    assert paragraphs[1].splitlines()[1:] == ["  accepts Leaf"]
    accepted = [line.strip() for line in paragraphs[0].splitlines() if "accepts" in line]
    assert accepted == ["accepts Tree", "accepts Leaf"]
    shown = [line.partition(": ")[2] for line in text.splitlines() if line.strip().startswith("example: ")]
    assert isinstance(msgspec.json.decode(shown[0], type=Tree), Tree)
    assert "hidden" not in text
    assert "BufferComplete" not in text


@pytest.mark.parametrize(
    ("peer", "depth"), [("all", 1), ("all_of_all", 2), ("first_all", 1), ("group_of_all", 1), ("by_hand", 0)]
)
def test_what_takes_items_is_told_with_the_form_of_the_items(peer: str, depth: int) -> None:
    listeners = [
        listener("agent", Leaf, agent=True, peers=frozenset({peer})),
        listener("grow", Leaf, BufferComplete),
        listener("shop.one", Leaf, broadcast=True),
        listener("all", Items, buffer=BufferOptions("grow")),
        listener("all_of_all", Items, buffer=BufferOptions("all")),
        listener("first_all", Items, sequence=(SequenceStep("all"), SequenceStep("grow"))),
        listener("group_of_all", Items, buffer=BufferOptions("shop")),
        listener("by_hand", Items, Leaf),
    ]

    text = usage_instructions(listeners[0], Topology(listeners, PayloadTypes([Leaf])))

    name, accepts, schema, shown, *_ = text.splitlines()
    assert name == peer
    assert accepts.strip() == ("accepts " + "Items of " * depth + "Leaf" if depth else "accepts Items")
    assert schema.strip().startswith("schema of an item: " if depth else "schema: ")
    items = msgspec.json.decode(shown.partition("example: ")[2], type=Items).items
    for _ in range(depth - 1):
        items = items[0]["items"]
    assert items == ([{"name": "text", "weight": 0.5}] if depth else [])


def test_who_has_no_peers_list_is_told_nothing() -> None:
    topology = Topology([listener("any", Leaf), listener("nobody", Leaf, peers=frozenset())], PayloadTypes([Leaf]))

    assert usage_instructions(topology["any"], topology) == usage_instructions(topology["nobody"], topology) == ""
