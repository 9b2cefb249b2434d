"""The rules of a commit. docs/semantics.md names them; the ids in comments are its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from xpipe.core import chains
from xpipe.core.messages import (
    DEAD,
    ENDED,
    OUTPUT,
    REQUEST,
    REVOKED,
    Answer,
    Binding,
    Claim,
    DeadLetter,
    Event,
    Injection,
    Join,
    Message,
    Send,
    Step,
    decode_message,
    encode_message,
    fault_message,
    no_answer,
    readable,
    rejected_message,
)
from xpipe.ledger.memory import Records
from xpipe.ledger.records import CANCELLED, FAILED, Conversation, JoinState, Thread
from xpipe.ports import Advanced

_NONE_OPEN: list[str] = []
ALONE_FROM = 2
"""A message whose lease was lost this often is claimed alone, so that it takes no others down with it."""


class Ledger:
    """The transitions between `records`. Not thread-safe; each public method is one commit.

    It counts what is pending in each thread; a thread whose count reaches zero is quiet. late: replies that came after
    their call had ended; unanswered: calls that ended without an answer.
    """

    def __init__(self, records: Records, organism: str, secret: bytes, slots_per_thread: int, max_threads: int) -> None:
        self.records = records
        self.late = 0
        self.unanswered = 0
        self.now = 0.0
        self.secret = secret
        self.root = chains.root(organism)
        self.slots_per_thread = slots_per_thread
        self.max_threads = max_threads

    @cached_property
    def root_id(self) -> str:
        """The thread id of the root."""
        return chains.thread_id(self.secret, self.root)

    def exchange(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        """What `SharedBackend.advance` does, on the records."""
        late, unanswered, self.now = self.late, self.unanswered, now
        refused = {}
        for position, step in enumerate(finished):
            thread = self.records.thread(step.thread)
            if thread is None or thread.owner != pump or thread.fence != step.fence:
                refused[position] = "stale"
            elif not step.again and self._overfills(thread, step):
                refused[position] = "slots"
            else:
                self._commit(thread, step)
        self.expire()
        claims = claim_ready(self.records, pump, room, most) if self.records.is_enrolled(pump) else []
        due, events = self.records.next_due(), self.records.take_events(pump)
        counts = self.late - late, self.unanswered - unanswered, self.records.in_flight
        return Advanced(claims, events, refused, due, *counts)

    def _overfills(self, thread: Thread, step: Step) -> bool:
        most = self.slots_per_thread
        if step.own and len(thread.slots) + len(step.own) > most:
            return True
        answered = thread.parent if step.answer and not step.answer.fault else None
        if answered is not None and not answered.join and len(answered.slots) >= most:
            return True
        for send in step.sends:
            target = self._target(send.binding)
            if target is not None and len(target.slots) >= most:
                return True
        return False

    def _target(self, binding: Binding) -> Thread | None:
        """The thread that `binding` means, if there is one: an id bound from outside wins."""
        return self.records.thread(self.records.bound_id(binding.chain) or binding.thread)

    def _commit(self, thread: Thread, step: Step) -> None:
        thread.owner = ""
        thread.deliveries = 0
        thread.touched = self.now
        if step.dead is not None:
            self._date(step.dead, thread)
        if step.hop:
            self.records.note_hop(thread, step.hop)
        if step.again:
            self._try_again(thread, step)
            return
        if step.cancels:
            self._cancel_below(thread)
        assert thread.mailbox
        thread.mailbox.pop(0)
        thread.attempt = 1
        thread.call = step.call
        answerable = step.call or step.answer is not None or step.delegate is not None
        thread.failed = step.failed or (thread.failed and not answerable)  # until it gets another call
        if step.ends:
            self._give_up(thread)
        if self._begin(thread, step):
            self._send_all(thread, step)
        if step.dead is not None:
            self._bury(thread.conversation, step.dead)
        if thread.mailbox:
            self.records.make_ready(thread)
        else:
            thread.mailbox = None
        self.records.in_flight -= 1
        self._lower(thread)

    def _try_again(self, thread: Thread, step: Step) -> None:
        thread.attempt = step.again
        if step.due > self.now:
            thread.due = step.due
            self.records.delay(thread)
        else:
            self.records.make_ready(thread)

    def _date(self, letter: DeadLetter, thread: Thread) -> None:
        letter.thread, letter.attempts, letter.at = thread.id, letter.attempts or thread.attempt, self.now

    def _begin(self, thread: Thread, step: Step) -> bool:
        """Take over what the thread keeps; False when `step` goes on with a join that is over by now (B8)."""
        if step.join is not None and not self._take_over_join(thread, step.join):
            return False
        if step.state is not None:
            thread.state = step.state
        if step.no_answer:
            thread.no_answer = True
        return True

    def _take_over_join(self, thread: Thread, terms: Join) -> bool:
        join = thread.join
        if join is not None and join.terms.id == terms.id:
            if not join.open:
                return False
            join.extend(terms)
        else:
            thread.join = JoinState(terms, thread)
            if terms.is_awaited:
                self.records.add_join(thread.join)
        return True

    def _send_all(self, thread: Thread, step: Step) -> None:
        # The own mailbox is filled before anything is made ready, so that A10 sees the messages of this step in order.
        for data in step.own:
            self._deliver(thread, data, ready=False)
        for send in step.sends:
            if thread.join is None:
                if thread.open is None:
                    thread.open = {}
                thread.open[send.call] = send.segment
            self._deliver(self._bind(send.binding, thread), send.message)
        if step.answer is not None:
            self._answer(thread, step.answer, step.dead)
        if step.delegate is not None:
            self._delegate(thread, step.delegate)
        if step.join is not None and thread.join is not None:
            self._see_to(thread.join)

    def _bind(self, binding: Binding, parent: Thread) -> Thread:
        thread = self._target(binding)
        if thread is None:
            thread = self.records.add_thread(
                self.records.bound_id(binding.chain) or binding.thread,
                binding.chain,
                binding.listener,
                binding.caller,
                parent,
                parent.conversation,
                binding.index,
            )
        return thread

    def _deliver(self, thread: Thread, data: bytes, ready: bool = True) -> None:
        index = len(thread.slots)
        self.records.record(thread, data)
        self._put(thread, index, ready)

    def _put(self, thread: Thread, index: int, ready: bool = True) -> None:
        """Have the message in the slot `index` handled."""
        self.records.changed(thread)
        thread.touched = self.now
        self.records.in_flight += 1
        self._raise(thread)
        if thread.mailbox is None:
            thread.mailbox = [index]
            if ready:
                self.records.make_ready(thread)
        else:
            thread.mailbox.append(index)  # A10

    def _answer(self, thread: Thread, answer: Answer, dead: DeadLetter | None = None) -> None:
        parent = thread.parent
        assert parent is not None
        if parent.join is not None:
            self._collect(thread, parent.join, answer, dead)
        elif not self._close(parent, answer.call or _call_of(thread)):
            if dead is not None and not answer.call:
                dead.told = False
            self._record_late(parent, answer.message)  # A7
        elif parent.parent is None:
            self._output(parent, answer.message, answer.fault)  # A8
        else:
            self._deliver(parent, answer.message)  # A6

    def _record_late(self, parent: Thread, data: bytes) -> None:
        self.late += 1
        is_plain = parent.parent is not None and parent.state == b""
        if is_plain and len(parent.slots) < self.slots_per_thread:
            message = decode_message(data)
            message.kind = f"late-{message.kind}"
            self.records.record(parent, encode_message(message))

    def _output(self, initiator: Thread, data: bytes, fault: bool) -> None:
        conversation = initiator.conversation
        conversation.verdict = FAILED if fault else conversation.verdict
        conversation.outputs += 1
        initiator.touched = self.now
        self.records.record(initiator, data)
        self._tell(Event(conversation.id, OUTPUT, data), conversation)

    def _collect(self, item: Thread, join: JoinState, answer: Answer, dead: DeadLetter | None) -> None:
        """`item` has answered, or will not any more."""
        if join.thread is not None:
            self.records.changed(join.thread)
        if not join.terms.collect:
            if dead is not None:
                dead.told = False
            elif answer.fault:
                letter = DeadLetter(answer.message, decode_message(answer.message).payload, told=False)
                self._date(letter, item)
                self._bury(item.conversation, letter)
        elif not join.open or not join.keep(item.index, answer.message):
            if dead is not None and not answer.call:
                dead.told = False
            self.late += 1  # B4
            return
        else:
            self.records.note_result(join, item.index)
        join.count(answer.fault)
        self._see_to(join)

    def _see_to(self, join: JoinState) -> None:
        """Tell the thread of `join` if it is over, or has too few items under way."""
        thread = join.thread
        if thread is None or not join.open:
            return
        if join.is_over:
            self._join(thread, join)
        elif join.is_hungry:
            join.feeding = True
            self._feed(thread, join)

    def _feed(self, thread: Thread, join: JoinState) -> None:
        """Ask `thread` for more items (B9), by the same slot each time: there may be very many times."""
        if join.more_at >= 0:
            self._put(thread, join.more_at)
        else:
            join.more_at = len(thread.slots)
            self._deliver(thread, join.terms.more)

    def _join(self, thread: Thread, join: JoinState) -> None:
        self._close_join(join)
        if join.terms.collect:
            self._deliver(thread, join.terms.joined)

    def _delegate(self, thread: Thread, send: Send) -> None:
        parent = thread.parent
        assert parent is not None
        if parent.join is None:
            if parent.open is None or send.call not in parent.open:
                self.late += 1
                return
            parent.open[send.call] = send.segment
            self.records.changed(parent)
        send.binding.index = thread.index
        self._deliver(self._bind(send.binding, parent), send.message)  # B7

    def _bury(self, conversation: Conversation, letter: DeadLetter) -> None:
        self.records.bury(letter)
        if not letter.told:
            self._tell(Event(conversation.id, DEAD, letter.message, cause=letter.fault), conversation)

    def deliver(self, id: str, outputs: int) -> None:
        """The first `outputs` outputs of the conversation `id` have been printed."""
        conversation = self.records.conversation(id)
        outputs = min(outputs, conversation.outputs) if conversation else 0
        if conversation is None or conversation.delivered >= outputs:
            return
        conversation.delivered = outputs
        self.records.note_delivered(conversation)
        if conversation.settled:
            self.records.note_settled(conversation)

    def make_room(self) -> bool:
        """Forget what is settled, the earliest ended first, until there is room; whether there is."""
        while (over := self.records.thread_count - self.max_threads + 1) > 0:
            if not self.records.forget_settled(over):
                return False
        return True

    def expire(self) -> None:
        """Complete every join whose time has passed; what is missing stays None (B6). Wake what was delayed."""
        for join in self.records.expired_joins(self.now):
            if join.thread is not None:
                self._join(join.thread, join)
        for thread in self.records.take_due(self.now):
            thread.due = 0.0
            self.records.make_ready(thread)

    def inject(self, pump: str, injection: Injection, now: float) -> str:
        """Start the conversation of `injection`; its id."""
        self.now = now
        number = self.records.next_number(injection.source)
        initiator = f"{injection.source}-{number}"
        chain = chains.extend(self.root, initiator)
        id = chains.thread_id(self.secret, chain)
        conversation = self.records.add_conversation(id, pump, now, injection.retried_from)
        thread = self.records.add_thread(id, chain, initiator, "system", None, conversation)
        thread.touched = now
        if injection.fault is not None:
            self._output_fault(thread, injection.fault, id)  # F10
            if injection.rejected:
                rejected = rejected_message(injection, id, initiator, now)
                self._bury(conversation, DeadLetter(rejected, injection.fault, True, id, 0, now))
        self._request_all(thread, injection)
        if not thread.pending:
            self._end(conversation)
        return id

    def cancel(self, id: str, fault: bytes, now: float) -> bool:
        """End the conversation `id`, which runs, with `fault`; whether it did."""
        self.now = now
        conversation, initiator = self.records.conversation(id), self.records.thread(id)
        if conversation is None or initiator is None or conversation.ended:
            return False
        waiting = list(initiator.open or ())
        self._cancel_below(initiator)
        for call in waiting:
            self._output_fault(initiator, fault, call)  # C1
        conversation.verdict = CANCELLED
        self._end(conversation)
        return True

    def _output_fault(self, initiator: Thread, fault: bytes, call: str) -> None:
        id, name = initiator.id, initiator.listener
        self._output(initiator, fault_message(id, "system", name, fault, call, 0, self.now), True)

    def _request_all(self, initiator: Thread, injection: Injection) -> None:
        for index, to in enumerate(injection.to):
            call = f"{initiator.id}.{index}" if index else initiator.id
            message = Message(
                call,
                REQUEST,
                initiator.id,
                initiator.listener,
                to,
                injection.type,
                injection.payload,
                call,
                1,
                at=self.now,
            )
            chain = chains.extend(initiator.chain, to)
            binding = Binding(chains.thread_id(self.secret, chain), chain, to, initiator.listener)
            initiator.open = initiator.open or {}
            initiator.open[call] = chains.escape(to)
            self._deliver(self._bind(binding, initiator), encode_message(message))

    def _raise(self, thread: Thread) -> None:
        node: Thread | None = thread
        while node is not None:
            node.pending += 1
            if node.pending > 1:
                return
            node = node.parent

    def _lower(self, thread: Thread) -> None:
        node: Thread | None = thread
        while node is not None:
            if node.pending == 1 and node.call:
                self._end_unanswered(node)
            node.pending -= 1
            if node.pending:
                return
            if node.parent is None:
                self._end(node.conversation)
            node = node.parent

    def _close(self, parent: Thread, call: str) -> bool:
        """End an open call of `parent`; False when it is none."""
        if parent.open is None or parent.open.pop(call, None) is None:
            return False
        self.records.changed(parent)
        if not parent.open:
            parent.open = None  # An empty dictionary takes as much as a full one.
        return True

    def _end_unanswered(self, thread: Thread) -> None:
        """E1 to E3. Called while the thread still counts in its parent, so that the parent cannot become quiet."""
        parent = thread.parent
        assert parent is not None
        call, thread.call = thread.call, ""
        self.records.changed(thread)
        self.unanswered += 1
        if parent.join is not None or parent.no_answer:
            last = readable(thread.slots[-1])
            hop = last.hop if last else 0
            message = no_answer(thread.conversation.id, thread.listener, parent.listener, call, hop, self.now)
            self._answer(thread, Answer(call, message, fault=True))
        else:
            self._close(parent, call)

    def _end(self, conversation: Conversation) -> None:
        if conversation.ended:
            return
        conversation.ended = self.now
        self._tell(Event(conversation.id, ENDED, state=conversation.state), conversation)
        self.records.note_end(conversation)
        if conversation.settled:
            self.records.note_settled(conversation)

    def _give_up(self, thread: Thread) -> None:
        thread.open = None
        if thread.join is not None:
            self._close_join(thread.join)
            thread.join = None

    def _close_join(self, join: JoinState) -> None:
        join.open = False
        if join.thread is not None:
            self.records.changed(join.thread)
        self.records.drop_join(join)

    def _cancel_below(self, top: Thread) -> None:
        """Give up all that is under way below `top`; its own messages stay."""
        below = {top.id}
        ready: set[Thread] = set()
        for thread in self.records.younger(top):
            if thread.parent is not None and thread.parent.id in below and thread.pending:
                below.add(thread.id)
                ready |= self._revoke(thread)
                self._give_up(thread)
                thread.pending, thread.call, thread.failed = 0, "", True
        self.records.drop_ready(ready)
        self._give_up(top)
        top.pending = len(top.mailbox or ())

    def _revoke(self, thread: Thread) -> set[Thread]:
        """Take the messages of `thread` from where they wait; itself if it stands in a queue."""
        mailbox, owner, due = thread.mailbox, thread.owner, thread.due
        thread.mailbox, thread.owner, thread.due, thread.attempt, thread.deliveries = None, "", 0.0, 1, 0
        self.records.in_flight -= len(mailbox or ())
        if owner:
            thread.fence += 1  # The step of whoever has claimed it comes too late.
            if self.records.is_enrolled(owner):
                self.records.tell(owner, Event(thread.conversation.id, REVOKED, state=thread.id))
        return {thread} if mailbox and not owner and not due else set()

    def _tell(self, event: Event, conversation: Conversation) -> None:
        if conversation.owner and self.records.is_enrolled(conversation.owner):
            self.records.tell(conversation.owner, event)


def _call_of(thread: Thread) -> str:
    """The open call that its caller's thread has to `thread` (F11)."""
    open = thread.parent.open if thread.parent else None
    return next((call for call, segment in (open or {}).items() if thread.chain.endswith(f".{segment}")), "")


def claim_ready(records: Records, pump: str, room: Mapping[str, int], most: int) -> list[Claim]:
    """Lease up to `most` ready messages to `pump`, at most `room[name]` of each listener."""
    ready = records.take_ready(room, most)
    if max([thread.deliveries for thread in ready], default=0) < ALONE_FROM:
        return [_claim(pump, thread) for thread in ready]
    claims: list[Claim] = []
    rest: list[Thread] = []
    for thread in ready:
        alone = thread.deliveries >= ALONE_FROM or (claims and claims[0].deliveries >= ALONE_FROM)
        if rest or (claims and alone):
            rest.append(thread)
        else:
            claims.append(_claim(pump, thread))
    for thread in reversed(rest):
        records.make_ready(thread, first=True)
    return claims


def _claim(pump: str, thread: Thread) -> Claim:
    assert thread.mailbox
    thread.owner = pump
    thread.fence += 1
    return Claim(
        thread.id,
        thread.fence,
        thread.slots[thread.mailbox[0]],
        thread.chain,
        thread.listener,
        thread.caller,
        thread.call,
        thread.is_initial,
        list(thread.open.values()) if thread.open else _NONE_OPEN,
        thread.state,
        thread.attempt,
        thread.deliveries,
    )


def release(records: Records, pump: str, lost: bool) -> int:
    """Make what `pump` has claimed ready again, first in its queues; `lost`: with its lease, not handed back."""
    threads = list(records.claimed_by(pump))
    for thread in threads:
        thread.owner = ""
        thread.deliveries += lost
        records.make_ready(thread, first=True)
    return len(threads)
