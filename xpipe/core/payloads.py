"""What handlers receive and return: responses, metadata, and the payloads that xpipe itself speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class HandlerResponse:
    """What a handler returns: a payload and the listener it goes to; without `to` it answers the caller."""

    payload: Any
    to: str | None = None

    @classmethod
    def respond(cls, payload: Any) -> HandlerResponse:
        """An answer to whoever called this thread."""
        return cls(payload)


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
    """What a handler may know about the message it handles. The ids are opaque.

    from_id: the immediate caller, or the responder when the message is a reply; attempt counts from 1;
    message_id is the same in every attempt, so that outside effects can be made idempotent.
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
    """A failure as a message. `origin` is the listener where it happened, `hop` its place on the path of messages."""

    code: str
    text: str
    origin: str = ""
    hop: int = 0
    attempt: int = 1
    retryable: bool = False
    traceback: str = ""


@dataclass
class BufferStart:
    """Ask `system.buffer` to send each of `items` to the listener `target`, each in a thread of its own.

    An item is a payload, or XML or JSON text of one. With `collect` the results come back as one BufferComplete,
    otherwise a BufferDispatched comes at once. `return_to` names the listener that gets the result instead of the
    caller. `timeout` is in seconds and bounds the whole Buffer; 0 means no bound.
    """

    target: str
    items: list[Any]
    collect: bool = True
    return_to: str = ""
    timeout: float = 0.0


@dataclass
class BufferItemResult:
    """The outcome of item `index`: `result` is the payload of its answer, else `code` and `error` say what failed."""

    index: int
    success: bool
    result: Any = None
    code: str = ""
    error: str = ""


@dataclass
class BufferComplete:
    """All items of a Buffer are accounted for; `results` is in the order of the items."""

    buffer_id: str
    total: int
    successful: int
    results: list[BufferItemResult]

    @property
    def success(self) -> bool:
        """Every item succeeded."""
        return self.successful == self.total

    @property
    def error(self) -> str:
        """The first failed item's error, or nothing."""
        return next((result.error for result in self.results if not result.success), "")


@dataclass
class BufferDispatched:
    """The items of a fire-and-forget Buffer are on their way."""

    buffer_id: str
    total: int


@dataclass
class BufferError(Fault):
    """A Buffer could not start: no items, an unknown or forbidden target, or an item that is no payload of it."""

    buffer_id: str = ""


@dataclass
class SequenceStart:
    """Ask `system.sequence` to run the listeners `steps` in order, each on the answer of the one before.

    `payload` goes to the first step: a payload, or XML or JSON text of one. `return_to` names the listener that gets
    the result instead of the caller.
    """

    steps: list[str]
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
    SequenceStart,
    SequenceComplete,
    SequenceError,
)
"""The payload classes that every organism knows."""

BUFFER = "system.buffer"
SEQUENCE = "system.sequence"
