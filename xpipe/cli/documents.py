"""What the commands print for programs, as types: the published JSON Schemas are made of these, and mypy checks the
code that prints by them.

A key may come with any version of xpipe; `schema_version` rises when one changes its meaning or goes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from xpipe.cli.totals import Totals
from xpipe.ports import Damage, RegistryRecord

Version = Literal[1]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
ThreadState = Annotated[str, Meta(extra_json_schema={"enum": ["active", "waiting", "done", "failed"]})]
CallState = Annotated[
    str,
    Meta(extra_json_schema={"enum": ["active", "waiting", "done", "failed", "unanswered", "given up"]}),
]
Doing = Annotated[str, Meta(extra_json_schema={"enum": ["waits", "runs", "unknown"]})]
ConversationState = Annotated[str, Meta(extra_json_schema={"enum": ["running", "done", "failed", "cancelled"]})]
OutputKind = Annotated[str, Meta(extra_json_schema={"enum": ["response", "fault"]})]
SlotKind = Annotated[
    str,
    Meta(extra_json_schema={"enum": ["request", "self", "response", "fault", "joined", "more", "damaged", "rejected"]}),
]
Payload = Annotated[Any, Meta(description="The payload, as its class says; `xpipe schema ORGANISM.YAML` has those.")]
Problem = Annotated[str | None, Meta(description="Why there is no payload.")]

From = TypedDict("From", {"from": str})
Way = TypedDict("Way", {"from": str, "to": str})


class OutputItem(From):
    """What reached whoever started a conversation."""

    conversation: str
    kind: OutputKind
    type: str
    payload: Payload


class OutputRow(From):
    """An output as it is stored. delivered: a run has printed it; retried_from: whose dead letter was tried again."""

    conversation: str
    kind: SlotKind
    type: str
    payload: Payload
    problem: Problem
    delivered: bool
    started: Time | None
    ended: Time | None
    retried_from: str | None


class FaultRow(TypedDict):
    """Why something failed, and where."""

    code: str
    text: str
    origin: str
    hop: int
    attempt: int
    retryable: bool
    traceback: str
    causes: Annotated[list[str], Meta(description="The names of the exception's classes, its own first.")]


class FaultItem(FaultRow):
    """A fault where it happened."""

    conversation: str
    thread: str


class ThreadRow(Way):
    """A thread; from and to are those of its last message, `touched` is when something last happened in it."""

    thread: str
    conversation: str
    chain: str
    listener: str
    state: ThreadState
    slots: int
    bytes: int
    touched: Time | None


class CallRow(ThreadRow):
    """A thread of a call tree. caller: the thread that called it, if that is there; depth: of the root 0."""

    caller: str | None
    depth: int


class SlotRow(Way):
    """One recorded message of a thread."""

    index: int
    kind: SlotKind
    type: str
    payload: Payload
    problem: Problem


class SlotRecord(SlotRow):
    """A slot, and whose it is."""

    thread: str


class Pair(TypedDict):
    """A thread id and the call chain that it stands for."""

    uuid: str
    chain: str


class TimingsRow(TypedDict):
    """When a run started, and how long it took."""

    started: Time
    seconds: float
    hops_per_second: float


class RunDocument(TypedDict):
    """All of a run."""

    schema_version: Version
    outputs: list[OutputItem]
    faults: list[FaultItem]
    threads: list[ThreadRow]
    registry: list[Pair]
    totals: Totals
    timings: TimingsRow


class SendDocument(TypedDict):
    """The conversations that were begun; with --wait what they have answered."""

    schema_version: Version
    conversations: list[str]
    outputs: NotRequired[list[OutputItem]]


class SentRecord(TypedDict):
    """A conversation that was begun."""

    conversation: str


class OutputsDocument(TypedDict):
    """Outputs, the oldest conversations first."""

    schema_version: Version
    outputs: list[OutputRow]


class ThreadsDocument(TypedDict):
    """Threads, the newest first."""

    schema_version: Version
    threads: list[ThreadRow]


class ThreadDocument(TypedDict):
    """One thread, and what it has recorded."""

    schema_version: Version
    thread: ThreadRow
    slots: list[SlotRow]


class CallsDocument(TypedDict):
    """With --tree: the threads of conversations, callers before those whom they called."""

    schema_version: Version
    calls: list[CallRow]


class AttemptRow(TypedDict):
    """One attempt to handle a message. fault: the code of its fault, null when it went well; again: when the next
    attempt was due, null if there was none. Without a fault it was put off until then: a Sequence waits before it tries
    a step anew."""

    attempt: int
    began: Time | None
    ended: Time | None
    ran_seconds: float
    process: str
    fault: str | None
    again: Time | None


class AttemptRecord(AttemptRow):
    """With --follow: an attempt that has ended."""

    conversation: str
    message: str
    listener: str


class HandledRow(From):
    """A message that the thread of a call got: the request, replies to its own calls, messages to itself."""

    message: str
    kind: SlotKind
    type: str
    sent: Time | None
    attempts: list[AttemptRow]


class ReplyRow(TypedDict):
    """What ended a call. Its payload comes with --payloads."""

    kind: OutputKind
    type: str
    sent: Time | None
    payload: NotRequired[Payload]
    problem: NotRequired[Problem]


class PendingRow(TypedDict):
    """A message that waits or runs now. doing: runs if a process has claimed it; unknown if nothing tells. since: when
    it was sent, or tried last, so many seconds ago; again: when it is due to be tried again. process: the run that has
    claimed it, null if it could be any of several."""

    message: str
    doing: Doing
    since: Time | None
    seconds: float
    again: Time | None
    process: str | None


class TracedCallRow(Way):
    """A call. caller: the call in which it was made, null if the initiator made it. waited_seconds: until its handler
    began, or until now; null if that is not known. ran_seconds: of the attempts that have ended. now: what its thread
    is at, null if it is at nothing. The payload of its request comes with --payloads."""

    call: str
    caller: str | None
    depth: int
    thread: str
    type: str
    state: CallState
    sent: Time | None
    ended: Time | None
    waited_seconds: float | None
    ran_seconds: float
    now: PendingRow | None
    reply: ReplyRow | None
    handled: list[HandledRow]
    payload: NotRequired[Payload]
    problem: NotRequired[Problem]


class TracedConversationRow(TypedDict):
    """A conversation. damaged: how many records of what happened cannot be read."""

    conversation: str
    initiator: str
    state: ConversationState
    started: Time | None
    ended: Time | None
    hops: int
    retries: int
    retried_from: str | None
    damaged: int


class TraceDocument(TypedDict):
    """What happened in a conversation: its calls, callers before those they called."""

    schema_version: Version
    conversation: TracedConversationRow
    calls: list[TracedCallRow]


class RegistryDocument(TypedDict):
    """The registry."""

    schema_version: Version
    registry: list[RegistryRecord]


class Orphans(TypedDict):
    """So many of a kind that belong to nothing."""

    kind: str
    lacks: str
    count: int


class Collection(TypedDict):
    """What was collected."""

    conversations: dict[str, int]
    threads: int
    slots: int
    bytes: int
    undelivered_outputs: int
    dead_pumps: int
    handed_back: int
    dead_letters: int
    orphans: list[Orphans]


class Kept(TypedDict):
    """Conversations that stay."""

    running: int
    over: int


class GcDocument(TypedDict):
    """What was collected, or with --dry-run would be. damaged: null when nothing was verified."""

    schema_version: Version
    dry_run: bool
    older_than_seconds: float
    collected: Collection
    kept: Kept
    damaged: list[Damage] | None


class CancelRow(TypedDict):
    """A conversation; cancelled: it was not over already."""

    conversation: str
    cancelled: bool


class CancelDocument(TypedDict):
    """Conversations that were to be ended."""

    schema_version: Version
    conversations: list[CancelRow]
