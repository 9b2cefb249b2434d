"""The rules of a commit. docs/semantics.md names them; the ids in comments are its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xpipe.backends.records import Conversation, JoinState, Thread
from xpipe.backends.store import Store
from xpipe.core import chains
from xpipe.core.messages import (
    DEAD,
    ENDED,
    FAULT,
    OUTPUT,
    REQUEST,
    Answer,
    Binding,
    Claim,
    DeadLetter,
    Event,
    Injection,
    Message,
    Send,
    Step,
    decode_message,
    encode_message,
    no_answer,
    readable,
)
from xpipe.ports import Advanced

_NONE_OPEN: list[str] = []
ALONE_FROM = 2
"""A message whose lease was lost this often is claimed alone, so that it takes no others down with it."""


class Ledger:
    """The transitions between the records in `store`. Not thread-safe; each public method is one commit."""

    def __init__(self, store: Store, organism: str, secret: bytes, slots_per_thread: int, max_threads: int) -> None:
        self.store = store
        self.secret = secret
        self.root = chains.root(organism)
        self.root_id = chains.thread_id(secret, self.root)
        self.slots_per_thread = slots_per_thread
        self.max_threads = max_threads
        self.late = 0
        self.unanswered = 0
        self.now = 0.0

    def exchange(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        """What `SharedBackend.advance` does, on the records."""
        late, unanswered, self.now = self.late, self.unanswered, now
        refused = {}
        for position, step in enumerate(finished):
            reason = self.refusal(pump, step)
            if reason:
                refused[position] = reason
            else:
                self.commit(step)
        self.expire()
        claims = self.claim(pump, room, most) if self.store.is_enrolled(pump) else []
        due, events = self.store.next_expiry(), self.store.take_events(pump)
        return Advanced(claims, events, refused, due, self.late - late, self.unanswered - unanswered)

    def refusal(self, pump: str, step: Step) -> str:
        """Why `pump` cannot commit `step`: stale, slots, or "" when it can."""
        thread = self.store.thread(step.thread)
        if thread is None or thread.owner != pump or thread.fence != step.fence:
            return "stale"
        if step.again:
            return ""
        return "slots" if self._overfills(thread, step) else ""

    def _overfills(self, thread: Thread, step: Step) -> bool:
        most = self.slots_per_thread
        if step.own and len(thread.slots) + len(step.own) > most:
            return True
        answered = thread.parent if step.answer and not step.answer.fault else None
        if answered is not None and not answered.join and len(answered.slots) >= most:
            return True
        targets = (self._target(send.binding) for send in step.sends)
        return any(target is not None and len(target.slots) >= most for target in targets)

    def _target(self, binding: Binding) -> Thread | None:
        """The thread that `binding` means, if there is one: an id bound from outside wins."""
        return self.store.thread(self.store.bound_id(binding.chain) or binding.thread)

    def commit(self, step: Step) -> None:
        """Apply `step`, which `refusal` has found nothing against."""
        thread = self.store.thread(step.thread)
        assert thread is not None
        thread.owner = ""
        thread.deliveries = 0
        thread.touched = self.now
        if step.dead is not None:
            self._date(step.dead, thread)
        if step.again:
            thread.attempt = step.again
            self.store.make_ready(thread)
            return
        assert thread.mailbox
        thread.mailbox.pop(0)
        thread.attempt = 1
        thread.call = step.call
        answerable = step.call or step.answer is not None or step.delegate is not None
        thread.failed = step.failed or (thread.failed and not answerable)  # until it gets another call
        if step.ends:
            self._give_up(thread)
        self._begin(thread, step)
        self._send_all(thread, step)
        if step.dead is not None:
            self._bury(thread.conversation, step.dead)
        if thread.mailbox:
            self.store.make_ready(thread)
        else:
            thread.mailbox = None
        self.store.in_flight -= 1
        self._lower(thread)

    def _date(self, letter: DeadLetter, thread: Thread) -> None:
        letter.thread, letter.attempts, letter.at = thread.id, thread.attempt, self.now

    def _begin(self, thread: Thread, step: Step) -> None:
        if step.state is not None:
            thread.state = step.state
        if step.no_answer:
            thread.no_answer = True
        if step.join is not None:
            thread.join = JoinState(step.join, thread)
            if step.join.collect:
                self.store.add_join(thread.join)

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

    def _bind(self, binding: Binding, parent: Thread) -> Thread:
        thread = self._target(binding)
        if thread is None:
            thread = self.store.add_thread(
                self.store.bound_id(binding.chain) or binding.thread,
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
        self.store.record(thread, data)
        thread.touched = self.now
        self.store.in_flight += 1
        self._raise(thread)
        if thread.mailbox is None:
            thread.mailbox = [index]
            if ready:
                self.store.make_ready(thread)
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

    def _close(self, parent: Thread, call: str) -> bool:
        return parent.open is not None and parent.open.pop(call, None) is not None

    def _record_late(self, parent: Thread, data: bytes) -> None:
        self.late += 1
        is_plain = parent.parent is not None and parent.state == b""
        if is_plain and len(parent.slots) < self.slots_per_thread:
            message = decode_message(data)
            message.kind = f"late-{message.kind}"
            self.store.record(parent, encode_message(message))

    def _output(self, initiator: Thread, data: bytes, fault: bool) -> None:
        conversation = initiator.conversation
        conversation.faulted = conversation.faulted or fault
        conversation.outputs += 1
        initiator.touched = self.now
        self.store.record(initiator, data)
        self._tell(Event(conversation.id, OUTPUT, data), conversation)

    def _tell(self, event: Event, conversation: Conversation) -> None:
        if conversation.owner and self.store.is_enrolled(conversation.owner):
            self.store.tell(conversation.owner, event)

    def _collect(self, item: Thread, join: JoinState, answer: Answer, dead: DeadLetter | None) -> None:
        """`item` has answered, or will not any more."""
        assert item.parent is not None
        if not join.terms.collect:
            if dead is not None:
                dead.told = False
            elif answer.fault:
                letter = DeadLetter(answer.message, decode_message(answer.message).payload, told=False)
                self._date(letter, item)
                self._bury(item.conversation, letter)
        elif not join.record(item.index, answer.message):
            if dead is not None and not answer.call:
                dead.told = False
            self.late += 1  # B4
        elif not join.missing:
            self._join(item.parent, join)

    def _join(self, thread: Thread, join: JoinState) -> None:
        join.missing = 0
        self.store.drop_join(join.terms.id)
        self._deliver(thread, join.terms.joined)

    def _delegate(self, thread: Thread, send: Send) -> None:
        parent = thread.parent
        assert parent is not None
        if parent.join is None:
            if parent.open is None or send.call not in parent.open:
                self.late += 1
                return
            parent.open[send.call] = send.segment
        send.binding.index = thread.index
        self._deliver(self._bind(send.binding, parent), send.message)  # B7

    def _give_up(self, thread: Thread) -> None:
        thread.open = None
        if thread.join is not None:
            self.store.drop_join(thread.join.terms.id)
            thread.join = None

    def _bury(self, conversation: Conversation, letter: DeadLetter) -> None:
        self.store.bury(letter)
        if not letter.told:
            self._tell(Event(conversation.id, DEAD, letter.message, cause=letter.fault), conversation)

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

    def _end_unanswered(self, thread: Thread) -> None:
        """E1 to E3. Called while the thread still counts in its parent, so that the parent cannot become quiet."""
        parent = thread.parent
        assert parent is not None
        call, thread.call = thread.call, ""
        self.unanswered += 1
        if parent.join is not None or parent.no_answer:
            last = readable(thread.slots[-1])
            hop = last.hop if last else 0
            message = no_answer(thread.conversation.id, thread.listener, parent.listener, call, hop)
            self._answer(thread, Answer(call, message, fault=True))
        elif parent.open is not None:
            parent.open.pop(call, None)

    def _end(self, conversation: Conversation) -> None:
        if conversation.ended:
            return
        conversation.ended = self.now
        self._tell(Event(conversation.id, ENDED, state=conversation.state), conversation)
        self.store.note_end(conversation)
        if conversation.settled:
            self.store.note_settled(conversation)

    def deliver(self, id: str, outputs: int) -> None:
        """The first `outputs` outputs of the conversation `id` have been printed."""
        conversation = self.store.conversation(id)
        outputs = min(outputs, conversation.outputs) if conversation else 0
        if conversation is None or conversation.delivered >= outputs:
            return
        conversation.delivered = outputs
        if conversation.settled:
            self.store.note_settled(conversation)

    def make_room(self) -> bool:
        """Forget what is settled, the earliest ended first, until there is room; whether there is."""
        while self.store.thread_count >= self.max_threads:
            if not self.store.forget_settled():
                return False
        return True

    def expire(self) -> None:
        """Complete every join whose time has passed; what is missing stays None (B6)."""
        for join in self.store.expired_joins(self.now):
            if join.thread is not None:
                self._join(join.thread, join)

    def claim(self, pump: str, room: Mapping[str, int], most: int) -> list[Claim]:
        """Lease up to `most` ready messages to `pump`, at most `room[name]` of each listener."""
        claims: list[Claim] = []
        rest: list[Thread] = []
        for thread in self.store.take_ready(room, most):
            alone = thread.deliveries >= ALONE_FROM or (claims and claims[0].deliveries >= ALONE_FROM)
            if rest or (claims and alone):
                rest.append(thread)
            else:
                claims.append(self._claim(pump, thread))
        for thread in reversed(rest):
            self.store.make_ready(thread, first=True)
        return claims

    def _claim(self, pump: str, thread: Thread) -> Claim:
        assert thread.mailbox
        thread.owner = pump
        thread.fence += 1
        parent = thread.parent
        return Claim(
            thread.id,
            thread.fence,
            thread.slots[thread.mailbox[0]],
            thread.chain,
            thread.listener,
            thread.caller,
            thread.call,
            parent is not None and parent.parent is None,
            list(thread.open.values()) if thread.open else _NONE_OPEN,
            thread.state,
            thread.attempt,
            thread.deliveries,
        )

    def release(self, pump: str, lost: bool) -> int:
        """Make what `pump` has claimed ready again, first in its queues; `lost`: with its lease, not handed back."""
        threads = list(self.store.claimed_by(pump))
        for thread in threads:
            thread.owner = ""
            thread.deliveries += lost
            self.store.make_ready(thread, first=True)
        return len(threads)

    def inject(self, pump: str, injection: Injection, now: float) -> str:
        """Start the conversation of `injection`; its id."""
        self.now = now
        number = self.store.next_number(injection.source)
        initiator = f"{injection.source}-{number}"
        chain = chains.extend(self.root, initiator)
        id = chains.thread_id(self.secret, chain)
        conversation = self.store.add_conversation(id, pump, now)
        thread = self.store.add_thread(id, chain, initiator, "system", None, conversation)
        thread.touched = now
        if injection.fault is not None:
            message = Message(id, FAULT, id, "system", initiator, "Fault", injection.fault, id, 0)
            self._output(thread, encode_message(message), fault=True)  # F10
        self._request_all(thread, injection)
        if not thread.pending:
            self._end(conversation)
        return id

    def _request_all(self, initiator: Thread, injection: Injection) -> None:
        for index, to in enumerate(injection.to):
            call = f"{initiator.id}.{index}" if index else initiator.id
            message = Message(
                call, REQUEST, initiator.id, initiator.listener, to, injection.type, injection.payload, call, 1
            )
            chain = chains.extend(initiator.chain, to)
            binding = Binding(chains.thread_id(self.secret, chain), chain, to, initiator.listener)
            initiator.open = initiator.open or {}
            initiator.open[call] = chains.escape(to)
            self._deliver(self._bind(binding, initiator), encode_message(message))


def _call_of(thread: Thread) -> str:
    """The open call that its caller's thread has to `thread` (F11)."""
    open = thread.parent.open if thread.parent else None
    return next((call for call, segment in (open or {}).items() if thread.chain.endswith(f".{segment}")), "")
