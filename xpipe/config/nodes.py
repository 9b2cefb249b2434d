"""A YAML document as nodes that know where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


class Unknown:
    """The type of UNKNOWN."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
"""The value of a scalar whose variables could not be replaced; a finding says so already."""


@dataclass(slots=True, eq=False)
class ScalarNode:
    """One value. `source` is its text in the file, `text` that with variables replaced, `value` its YAML type.

    `varied` says that the text came from variables, so it must not be shown. `origin` of this and all other nodes: the
    option that it came from, "" for the file.
    """

    line: int
    column: int
    source: str
    text: str
    value: object
    varied: bool = False
    plain: bool = False
    size: int = 1
    height: int = 1
    origin: str = ""


@dataclass(slots=True, eq=False)
class ListNode:
    """A list. `size` counts the nodes inside, aliases expanded; `height` the levels."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1
    origin: str = ""


@dataclass(slots=True, eq=False)
class MapNode:
    """A mapping from the text of a key to the key's and the value's node.

    Not `whole` if the file cannot be read to its end: then more keys may follow.
    """

    line: int
    column: int
    entries: dict[str, tuple[ScalarNode, Node]] = field(default_factory=dict)
    size: int = 1
    height: int = 1
    whole: bool = True
    origin: str = ""


Node: TypeAlias = ScalarNode | ListNode | MapNode


def is_empty(node: Node) -> bool:
    """Whether `node` is nothing at all, as after a key without a value."""
    return isinstance(node, ScalarNode) and node.value is None


def is_unknown(node: Node) -> bool:
    """Whether a finding already says that the value of `node` cannot be known."""
    return isinstance(node, ScalarNode) and node.value is UNKNOWN


def line_of(node: Node) -> str:
    """Where `node` stands, for a sentence: `line 3`, or the option that it came from."""
    return node.origin or f"line {node.line}"


def place_of(node: Node) -> str:
    """The same with the column."""
    return node.origin or f"line {node.line}, column {node.column}"


def data_of(node: Node) -> Any:
    """`node` as dict, list, str, int, float, bool and None."""
    if isinstance(node, MapNode):
        return {key: data_of(value) for key, (_, value) in node.entries.items()}
    if isinstance(node, ListNode):
        return [data_of(item) for item in node.items]
    return node.value
