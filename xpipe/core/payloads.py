"""What handlers receive and return: responses, metadata, and the payloads that xpipe itself speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from xpipe.core.retry import RetryPolicy

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    P = TypeVar("P", default=Any, covariant=True)
    R = TypeVar("R")
else:
    from typing import TypeVar

    P, R = TypeVar("P", covariant=True), TypeVar("R")


@dataclass(slots=True)
class HandlerResponse(Generic[P]):
    """What a handler returns: a payload and the listener it goes to; without `to` it answers the caller.

    A handler annotated `-> HandlerResponse[Invoice | Question]` sends and answers these classes only; `xpipe check`
    finds callers that take none of them.
    """

    payload: P
    to: str | None = None

    @classmethod
    def respond(cls, payload: R) -> HandlerResponse[R]:
        """An answer to whoever called this thread."""
        return cls(payload)  # type: ignore[arg-type,return-value]  # which P the class has is open here


@dataclass(frozen=True, slots=True)
class Slot:
    """One recorded message of a thread. `type` names the payload's class, `payload` is an instance of it."""

    index: int
    kind: str
    sender: str
    type: str
    payload: Any


def _no_history() -> Sequence[Slot]:
    return ()


@dataclass(slots=True)
class HandlerMetadata:
    """What a handler may know about the message it handles. The ids tell nothing of who calls whom.

    from_id: the immediate caller, or the responder when the message is a reply; attempt counts from 1;
    message_id is the same in every attempt, so that outside effects can be made idempotent, and in every request that
    the retry of a Sequence's step makes.
    """

    thread_id: str
    from_id: str
    own_name: str
    is_self_call: bool
    message_id: str
    conversation_id: str
    attempt: int = 1
    usage_instructions: str = ""
    read_history: Callable[[], Sequence[Slot]] = field(default=_no_history, repr=False, compare=False)

    @property
    def history(self) -> Sequence[Slot]:
        """The messages of this thread so far, oldest first, this one included. Read on demand."""
        return self.read_history()


@dataclass
class Fault:
    """A failure as a message. `origin` is the listener where it happened, `hop` its place on the path of messages.

    causes: the names of the classes of the exception that a handler raised, with their modules and without, its own
    class first; none for other failures.
    """

    code: str
    text: str
    origin: str = ""
    hop: int = 0
    attempt: int = 1
    retryable: bool = False
    traceback: str = ""
    causes: tuple[str, ...] = ()


@dataclass
class BufferStart:
    """Ask `system.buffer` to send each item to the listener `target`, or to each of a group, in threads of their own.

    items: payloads, or XML or JSON texts of them; or items_from, a file of them (JSON Lines, JSON or XML), relative to
    the organism's folder. It is read piece by piece and must stay as it is meanwhile; what is wrong in it is a failed
    item. max_in_flight: how many may be under way at once, 0 for DEFAULT_IN_FLIGHT.

    With `collect` the results come back as one BufferComplete; otherwise a BufferDispatched comes at once, and what
    follows does not apply. return_to: the listener that gets the result instead of the caller. timeout: seconds for the
    whole Buffer, 0 for no bound; a negative one has passed. min_success: how many have to succeed, a number or a
    percentage such as "90%"; what fewer end in says on_partial: "complete", a BufferComplete all the same, or "fault",
    a BufferError `too_few_successes`. With cancel_rest nothing goes on once that is certain, or the time is up.
    """

    target: str
    items: list[Any] = field(default_factory=list)
    collect: bool = True
    return_to: str = ""
    timeout: float = 0.0
    items_from: str = ""
    max_in_flight: int = 0
    min_success: int | str = ""
    on_partial: str = "complete"
    cancel_rest: bool = False


DEFAULT_IN_FLIGHT = 1_000
"""How many items of a Buffer may be under way at once unless it says otherwise."""


@dataclass
class Items:
    """What a listener with a `buffer` takes: `items` or `items_from`, as in a BufferStart."""

    items: list[Any] = field(default_factory=list)
    items_from: str = ""


@dataclass(slots=True)
class BufferItemResult:
    """The outcome of item `index` at `listener`: `result` is the payload of its answer, else `code` and `error` say
    what failed. The code `timeout` is also that of an item under way when the Buffer's time was up, `cancelled` that of
    one that was under way or not begun when the outcome was certain, or not begun when the time was up.
    """

    index: int
    success: bool
    result: Any = None
    code: str = ""
    error: str = ""
    listener: str = ""


@dataclass
class BufferComplete:
    """All items of a Buffer are accounted for; `results` is in the order of the items, for a group member by member.

    unread: the Buffer was over before its file had been read to the end; further items there count nowhere.
    """

    buffer_id: str
    total: int
    successful: int
    results: list[BufferItemResult]
    unread: bool = False

    @property
    def success(self) -> bool:
        """Every item succeeded."""
        return self.successful == self.total and not self.unread

    @property
    def error(self) -> str:
        """The first failed item's error, or nothing."""
        return next((result.error for result in self.results if not result.success), "")

    @property
    def failed(self) -> int:
        """How many failed other than by time-out or cancel."""
        return self.total - self.successful - self.timed_out - self.cancelled

    @property
    def timed_out(self) -> int:
        """How many had no answer in time."""
        return sum(result.code == "timeout" for result in self.results)

    @property
    def cancelled(self) -> int:
        """How many were cancelled."""
        return sum(result.code == "cancelled" for result in self.results)


@dataclass
class BufferDispatched:
    """The items of a fire-and-forget Buffer are on their way; `total` is -1 while their file is still being read."""

    buffer_id: str
    total: int


@dataclass
class BufferError(Fault):
    """A Buffer could not start or go on, or too few items succeeded."""

    buffer_id: str = ""


@dataclass
class SequenceStep:
    """A step of a Sequence. timeout: seconds from its call to its answer, 0 for no bound, a negative one has passed;
    retry: None for no retry."""

    listener: str
    timeout: float = 0.0
    retry: RetryPolicy | None = None


@dataclass
class SequenceStart:
    """Ask `system.sequence` to run the listeners `steps` in order, each on the answer of the one before.

    `payload` goes to the first step: a payload, or XML or JSON text of one. `return_to` names the listener that gets
    the result instead of the caller.
    """

    steps: list[str | SequenceStep]
    payload: Any
    return_to: str = ""


@dataclass
class SequenceComplete:
    """All steps ran; `result` is the answer of the last one."""

    sequence_id: str
    result: Any
    steps: int


@dataclass
class SequenceError(Fault):
    """A step failed or could not run; `step` names it and `index` is its position, counted from 0."""

    sequence_id: str = ""
    step: str = ""
    index: int = -1


SYSTEM_PAYLOADS: tuple[type, ...] = (
    Fault,
    BufferStart,
    BufferComplete,
    BufferDispatched,
    BufferError,
    Items,
    SequenceStart,
    SequenceComplete,
    SequenceError,
)
"""The payload classes that every organism knows."""

BUFFER = "system.buffer"
SEQUENCE = "system.sequence"
