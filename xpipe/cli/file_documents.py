"""What the commands print for programs that tell of organism.yaml itself, as types; see `documents`."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from xpipe.cli.documents import Version, Way

NodeKind = Annotated[
    str,
    Meta(
        description="How a handler runs (handler: not known without its code), or what stands in its place.",
        extra_json_schema={
            "enum": ["async", "thread", "inline", "worker", "handler", "buffer", "sequence", "group", "messages"]
        },
    ),
]
EdgeKind = Annotated[str, Meta(extra_json_schema={"enum": ["message", "peer", "step", "item", "member", "reply"]})]


class FindingRow(TypedDict):
    """One thing wrong with a file. What stands in an option has neither line nor column: `file` is the option then."""

    code: str
    severity: Annotated[str, Meta(extra_json_schema={"enum": ["error", "warning", "note"]})]
    file: str
    line: int | None
    column: int | None
    message: str
    hint: str


class CheckDocument(TypedDict):
    """What is wrong with organism files, file by file."""

    schema_version: Version
    findings: list[FindingRow]


class ConfigDocument(TypedDict):
    """The effective configuration. Durations are in seconds, sizes in bytes, secrets masked as `***`."""

    schema_version: Version
    file: str
    config: Annotated[dict[str, Any], Meta(description="As `xpipe schema config` describes it.")]


class NodeRow(TypedDict):
    """A listener, a group, or the messages of the file. accepts, answers: names of classes, null if not known."""

    id: str
    name: str
    kind: NodeKind
    agent: bool
    description: str
    calls_any: Annotated[bool, Meta(description="It has no peers, and so may call any listener.")]
    accepts: list[str] | None
    answers: list[str] | None


class EdgeRow(Way):
    """Who calls whom, by id. What does not apply to its kind is null."""

    kind: EdgeKind
    step: Annotated[int | None, Meta(description="Its place in a sequence, from 1.")]
    max_in_flight: Annotated[int | None, Meta(description="Items of a buffer under way at once.")]
    messages: Annotated[int | None, Meta(description="How many messages the file sends there.")]
    types: Annotated[list[str] | None, Meta(description="The classes of a reply.")]


class GraphDocument(TypedDict):
    """The topology of an organism, in the order of its file."""

    schema_version: Version
    organism: str
    backend: str
    nodes: list[NodeRow]
    edges: list[EdgeRow]
