"""What happened in a conversation, and when: its calls as a tree, each with what became of its messages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from xpipe.core.codec import Packed, PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.messages import (
    DAMAGED,
    FAULT,
    REQUEST,
    RESPONSE,
    ConversationRecord,
    HopRecord,
    Message,
    readable,
    readable_hop,
)
from xpipe.core.payloads import BufferComplete
from xpipe.inspection.listing import CallTree, grow
from xpipe.inspection.pending import Pending, Present
from xpipe.inspection.plain import Undecodable, plain_payload
from xpipe.ports import SharedBackend, ThreadRecord

LOOK = 0.2
"""Seconds between looks at a conversation that is followed."""
GIVEN_UP = "given up"
UNANSWERED = "unanswered"
_LATE = "late-"
_SYSTEM_TYPES = PayloadTypes(())


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to handle a message.

    number: from 1; began, ended: in seconds since the epoch, 0.0 for began when no handler ran; process: host:pid;
    outcome: the code of its fault, "" when it went well; again: when the next attempt was due, 0.0 for none; answered:
    it ended the call. With `again` and no outcome the message was put off: a Sequence waits before a new try at a step.
    """

    number: int
    began: float
    ended: float
    process: str
    outcome: str
    again: float
    answered: bool

    @classmethod
    def of(cls, hop: HopRecord) -> Attempt:
        """The attempt that `hop` records."""
        return cls(hop.attempt, hop.began, hop.ended, hop.process, hop.outcome, hop.again, hop.answered)

    @property
    def ran(self) -> float:
        """Seconds that its handler took."""
        return self.ended - self.began if self.began else 0.0


@dataclass(slots=True)
class Handled:
    """A message that a thread got in a call: the request, a reply to a call of its own, one to itself.

    sent: in seconds since the epoch, 0.0 if that is not known.
    """

    message: Message
    attempts: list[Attempt]

    @property
    def waited(self) -> float:
        """Seconds from when it was sent to when its handler began for the first time."""
        began = next((one.began for one in self.attempts if one.began), 0.0)
        return max(0.0, began - self.message.at) if began and self.message.at else 0.0

    def pending(self, present: Present) -> Pending:
        """What becomes of it now, if it has not been handled to its end."""
        tried = self.attempts[-1] if self.attempts else None
        return present.pending(self.message, tried.ended if tried else 0.0, tried.again if tried else 0.0)


@dataclass(slots=True)
class TracedCall:
    """A call: its request, what its thread handled until it was over, the reply, and the calls made in it.

    state: active, waiting, done, failed, unanswered (it ended without a reply) or given up (nobody wants it any more).
    pending: the message that an active one is about.
    """

    thread: ThreadRecord
    caller: str
    handled: list[Handled]
    state: str = ""
    reply: Message | None = None
    calls: list[TracedCall] = field(default_factory=list)
    pending: Pending | None = None

    @property
    def request(self) -> Message:
        """The message that opened it."""
        return self.handled[0].message

    @property
    def attempts(self) -> Iterator[Attempt]:
        """All attempts at all its messages, in the order of their ends."""
        return (attempt for one in self.handled for attempt in one.attempts)

    @property
    def waited(self) -> float | None:
        """Seconds from when its request was sent to when its handler began, or to now; None if that is not known."""
        first, pending = self.handled[0], self.pending
        if first.attempts:
            return first.waited
        waits = pending is not None and pending.doing == "waits" and pending.message is first.message
        return pending.seconds if pending is not None and waits else None

    @property
    def ran(self) -> float:
        """Seconds that the attempts of its handlers took that have ended, in all."""
        return sum(attempt.ran for attempt in self.attempts)

    @property
    def ended(self) -> float:
        """When it was over, in seconds since the epoch; 0.0 while it is not, or if that is not known."""
        if self.state in ("active", "waiting"):
            return 0.0
        sent = self.reply.at if self.reply else 0.0
        return sent or max((attempt.ended for attempt in self.attempts), default=0.0)

    @property
    def code(self) -> str:
        """The code of the fault that it ended with, "" for none."""
        if self.reply is not None:
            return fault_code(self.reply) if reply_kind(self.reply) == FAULT else ""
        return self.answering.outcome if self.answering else ""

    @property
    def answering(self) -> Attempt | None:
        """The attempt that ended it. The reply itself is not kept if a Buffer got it and collected nothing."""
        return next((attempt for attempt in self.attempts if attempt.answered), None)


@dataclass(frozen=True, slots=True)
class Trace:
    """A conversation as it is at `now`.

    hops: how many messages were handled to the end; damaged: how many records cannot be read.
    """

    conversation: ConversationRecord
    initiator: str
    calls: list[TracedCall]
    hops: int
    retries: int
    damaged: int
    now: float


def trace_of(backend: SharedBackend, conversation: ConversationRecord) -> Trace:
    """What happened in `conversation` so far. Holds all of it, its payloads as they are stored."""
    id = conversation.id
    present = Present(backend, time.time())
    records = [readable_hop(data) for data in backend.hops(id)]
    hops = [one for one in records if one is not None and one.outcome != DAMAGED]
    threads = list(backend.threads(id))
    slots = {one.thread: _messages(backend, one) for one in threads}
    weaver = _Weaver(slots, _attempts(hops), _replies(backend, threads, slots), present)
    roots = grow(threads)
    calls = [call for root in roots for call in weaver.calls_below(root)]
    again = sum(1 for one in hops if one.again)
    damaged = len(records) - len(hops)
    name = roots[0].path[-1] if roots else ""
    return Trace(conversation, name, calls, len(hops) - again, again, damaged, present.now)


def follow(backend: SharedBackend, conversation: str, looked: Callable[[], None] = lambda: None) -> Iterator[HopRecord]:
    """The attempts in `conversation` from the first on, each when it has ended, until the conversation is over.

    `looked` is called after each look at it while it is not.
    """
    told = 0
    while True:
        known = backend.conversation(conversation)
        for data in backend.hops(conversation, told):
            told += 1
            hop = readable_hop(data)
            if hop is not None:
                yield hop
        if known is None or known.ended:
            return
        looked()
        time.sleep(LOOK)


def fault_code(message: Message) -> str:
    """The code of the fault that `message` carries."""
    try:
        payload: Any = plain_payload(message.type, message.payload)
    except Undecodable:
        return FAULT
    code = payload.get("code") if isinstance(payload, dict) else None
    return code if isinstance(code, str) else FAULT


def _messages(backend: SharedBackend, thread: ThreadRecord) -> list[Message]:
    return [message for data in backend.buffer_get_thread(thread.thread) if (message := readable(data))]


def _attempts(hops: Sequence[HopRecord]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for hop in hops:
        found.setdefault(hop.message, []).append(Attempt.of(hop))
    return found


def reply_kind(message: Message) -> str:
    """response or fault, also of one that came too late."""
    return message.kind.removeprefix(_LATE)


def _replies(
    backend: SharedBackend, threads: Sequence[ThreadRecord], slots: dict[str, list[Message]]
) -> dict[str, Message]:
    """By call the message that ended it, which its caller's thread has as a slot or its Buffer as a result."""
    found: dict[str, Message] = {}
    for thread in threads:
        results = backend.join_results(thread.thread)
        joined = [message for data in results if data is not None and (message := readable(data))]
        for message in (*slots[thread.thread], *joined):
            if reply_kind(message) in (RESPONSE, FAULT):
                found.setdefault(message.call, message)
    return found


class _Weaver:
    """Puts the messages of threads together as calls."""

    def __init__(
        self,
        slots: dict[str, list[Message]],
        attempts: dict[str, list[Attempt]],
        replies: dict[str, Message],
        present: Present,
    ) -> None:
        self._slots = slots
        self._attempts = attempts
        self._replies = replies
        self._present = present
        self._sent: dict[str, list[float]] = {}
        every = [message for messages in slots.values() for message in messages]
        for message in every:
            self._sent.setdefault(message.id, []).append(message.at)
        self._collected = _Collected(every)

    def calls_below(self, root: CallTree) -> list[TracedCall]:
        """The calls of the initiator `root`."""
        found: list[TracedCall] = []
        stack: list[tuple[CallTree, list[TracedCall]]] = [(tree, []) for tree in reversed(root.calls)]
        while stack:
            tree, callers = stack.pop()
            calls = self._calls_of(tree)
            for call in calls:
                caller = _caller_of(call, callers)
                if caller is not None and call.reply is None:
                    call.reply = self._collected.reply(caller, tree.path[0], call)
                (caller.calls if caller else found).append(call)
            stack += [(below, calls or callers) for below in reversed(tree.calls)]
        return found

    def _attempts_at(self, message: Message) -> list[Attempt]:
        """A step that a Sequence tries again gets the message anew, under the same id and later."""
        attempts = self._attempts.get(message.id, [])
        if len(self._sent[message.id]) == 1:
            return attempts
        next_one = min((at for at in self._sent[message.id] if at > message.at), default=math.inf)
        return [one for one in attempts if message.at <= one.ended < next_one]

    def _calls_of(self, tree: CallTree) -> list[TracedCall]:
        """Those that opened the thread one after the other; a thread has one open call at a time."""
        calls: list[TracedCall] = []
        for message in self._slots[tree.thread.thread]:
            handled = Handled(message, self._attempts_at(message))
            if message.kind == REQUEST:
                calls.append(TracedCall(tree.thread, message.sender, [handled]))
            elif calls and not message.kind.startswith(_LATE):
                calls[-1].handled.append(handled)
        for call in calls:
            call.reply = self._replies.get(call.request.call)
            call.state = _state(call, call is calls[-1])
            unhandled = (one for one in call.handled if not one.attempts or one.attempts[-1].again)
            if call.state == "active" and (one := next(unhandled, None)):
                call.pending = one.pending(self._present)
        return calls


class _Collected:
    """The answers of items, which are kept as results in what their Buffer ended in and nowhere else."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._completes: dict[bytes, dict[int, Packed]] = {}
        self._by_buffer: dict[str, dict[int, Packed]] = {}
        for message in messages:
            self._read(message)

    def reply(self, buffer: TracedCall, index: str, call: TracedCall) -> Message | None:
        """The answer to `call`, the item `index` of `buffer`. When it was sent is not known."""
        own = self._read(buffer.reply) if buffer.reply is not None else {}
        results = own or self._by_buffer.get(buffer.request.call, {})
        result = results.get(int(index)) if index.isdecimal() else None
        if result is None:
            return None
        asked, listener = call.request, call.thread.listener
        to = (asked.conversation, listener, asked.sender)
        return Message("", RESPONSE, *to, result.type, result.data, asked.call, asked.hop + 1)

    def _read(self, message: Message) -> dict[int, Packed]:
        """The answers that `message` holds by their indexes, if it is a BufferComplete."""
        if message.type != BufferComplete.__name__:
            return {}
        if message.payload not in self._completes:
            results = self._completes[message.payload] = {}
            try:
                complete: BufferComplete = _SYSTEM_TYPES.decode_packed(message.type, message.payload)
            except PayloadError:
                return results
            results.update((one.index, one.result) for one in complete.results if isinstance(one.result, Packed))
            self._by_buffer.setdefault(complete.buffer_id, results)
        return self._completes[message.payload]


def _caller_of(call: TracedCall, callers: Sequence[TracedCall]) -> TracedCall | None:
    """The one of `callers`, the calls of one thread in order, in which `call` was made."""
    before = [one for one in callers if one.request.at <= call.request.at]
    return before[-1] if before else next(iter(callers), None)


def _state(call: TracedCall, last: bool) -> str:
    if call.reply is not None:
        return "failed" if reply_kind(call.reply) == FAULT else "done"
    if call.answering is not None:
        return "failed" if call.answering.outcome else "done"
    state = call.thread.state
    if last and state != "done":
        return GIVEN_UP if state == "failed" else state
    return UNANSWERED
