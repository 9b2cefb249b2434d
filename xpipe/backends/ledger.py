"""The rules of a commit, on records in memory. docs/semantics.md names them; the ids in comments are its rows."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping

from xpipe.backends.records import Conversation, JoinState, Thread
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
)

MAX_DEAD_LETTERS = 10_000
_NONE_OPEN: list[str] = []


class Ledger:
    """All records of one organism, and the transitions between them. Not thread-safe; each method is one commit."""

    def __init__(self, organism: str, secret: bytes, slots_per_thread: int, max_threads: int) -> None:
        self.secret = secret
        self.root = chains.root(organism)
        self.root_id = chains.thread_id(secret, self.root)
        self.slots_per_thread = slots_per_thread
        self.max_threads = max_threads
        self.threads: dict[str, Thread] = {}
        self.conversations: dict[str, Conversation] = {}
        self.counters: dict[str, int] = {}
        self.lanes: dict[str, deque[Thread]] = {}
        self.inboxes: dict[str, list[Event]] = {}
        self.dead: deque[DeadLetter] = deque(maxlen=MAX_DEAD_LETTERS)
        self.deadlines: list[tuple[float, str]] = []
        self.finished: deque[str] = deque()
        self.joins: dict[str, JoinState] = {}
        self.in_flight = 0
        self.slot_count = 0
        self.late = 0
        self.unanswered = 0

    def refusal(self, step: Step) -> str:
        """Why `step` cannot be committed: stale, slots, or "" when it can."""
        thread = self.threads.get(step.thread)
        if thread is None or not thread.claimed or thread.fence != step.fence:
            return "stale"
        if step.again is not None:
            return ""
        return "slots" if self._overfills(thread, step) else ""

    def _overfills(self, thread: Thread, step: Step) -> bool:
        most = self.slots_per_thread
        if step.own and len(thread.slots) + len(step.own) > most:
            return True
        answered = thread.parent if step.answer and not step.answer.fault else None
        if answered is not None and not answered.join and len(answered.slots) >= most:
            return True
        targets = (self.threads.get(send.binding.thread) for send in step.sends)
        return any(target is not None and len(target.slots) >= most for target in targets)

    def commit(self, step: Step) -> None:
        """Apply `step`, which `refusal` has found nothing against."""
        thread = self.threads[step.thread]
        thread.claimed = False
        mailbox = thread.mailbox
        assert mailbox
        if step.again is not None:
            mailbox[0] = step.again
            self._make_ready(thread)
            return
        mailbox.pop(0)
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
            self._make_ready(thread)
        else:
            thread.mailbox = None
        self.in_flight -= 1
        self._lower(thread)

    def _begin(self, thread: Thread, step: Step) -> None:
        if step.state is not None:
            thread.state = step.state
        if step.no_answer:
            thread.no_answer = True
        if step.join is not None:
            thread.join = JoinState(step.join, thread)
            if step.join.collect:
                self.joins[step.join.id] = thread.join
            if step.join.expires:
                heapq.heappush(self.deadlines, (step.join.expires, step.join.id))

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
        thread = self.threads.get(binding.thread)
        if thread is None:
            thread = Thread(
                binding.thread,
                binding.chain,
                binding.listener,
                binding.caller,
                parent,
                parent.conversation,
                binding.index,
            )
            self.threads[binding.thread] = thread
            parent.conversation.threads.append(binding.thread)
        return thread

    def _record(self, thread: Thread, data: bytes) -> None:
        thread.slots.append(data)
        self.slot_count += 1

    def _deliver(self, thread: Thread, data: bytes, ready: bool = True) -> None:
        self._record(thread, data)
        self.in_flight += 1
        self._raise(thread)
        if thread.mailbox is None:
            thread.mailbox = [data]
            if ready:
                self._make_ready(thread)
        else:
            thread.mailbox.append(data)  # A10

    def _make_ready(self, thread: Thread) -> None:
        lane = self.lanes.get(thread.listener)
        if lane is None:
            lane = self.lanes[thread.listener] = deque()
        lane.append(thread)

    def _answer(self, thread: Thread, answer: Answer, dead: DeadLetter | None = None) -> None:
        parent = thread.parent
        assert parent is not None
        if parent.join is not None:
            self._collect(parent, parent.join, thread.index, answer, dead)
        elif parent.open is None or parent.open.pop(answer.call, None) is None:
            self._record_late(parent, answer.message)  # A7
        elif parent.parent is None:
            self._output(parent, answer.message, answer.fault)  # A8
        else:
            self._deliver(parent, answer.message)  # A6

    def _record_late(self, parent: Thread, data: bytes) -> None:
        self.late += 1
        if parent.state == b"" and len(parent.slots) < self.slots_per_thread:
            message = decode_message(data)
            message.kind = f"late-{message.kind}"
            self._record(parent, encode_message(message))

    def _output(self, initiator: Thread, data: bytes, fault: bool) -> None:
        conversation = initiator.conversation
        conversation.faulted = conversation.faulted or fault
        self._record(initiator, data)
        self._tell(Event(conversation.id, OUTPUT, data), conversation)

    def _tell(self, event: Event, conversation: Conversation) -> None:
        self.inboxes.setdefault(conversation.owner, []).append(event)

    def _collect(self, parent: Thread, join: JoinState, index: int, answer: Answer, dead: DeadLetter | None) -> None:
        if not join.terms.collect:
            if dead is not None:
                dead.told = False
            elif answer.fault:
                cause = decode_message(answer.message).payload
                self._bury(parent.conversation, DeadLetter(answer.message, cause, told=False))
        elif not join.record(index, answer.message):
            self.late += 1  # B4
        elif not join.missing:
            self._join(parent, join)

    def _join(self, thread: Thread, join: JoinState) -> None:
        join.missing = 0
        self.joins.pop(join.terms.id, None)
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
            self.joins.pop(thread.join.terms.id, None)
            thread.join = None

    def _bury(self, conversation: Conversation, letter: DeadLetter) -> None:
        self.dead.append(letter)
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
            hop = decode_message(thread.slots[-1]).hop
            message = no_answer(thread.conversation.id, thread.listener, parent.listener, call, hop)
            self._answer(thread, Answer(call, message, fault=True))
        elif parent.open is not None:
            parent.open.pop(call, None)

    def _end(self, conversation: Conversation) -> None:
        if not conversation.running:
            return
        conversation.running = False
        state = "failed" if conversation.faulted else "done"
        self._tell(Event(conversation.id, ENDED, state=state), conversation)
        self.finished.append(conversation.id)

    def expire(self, now: float) -> None:
        """Complete every join whose time has passed; what is missing stays None (B6)."""
        while self.deadlines:
            expires, id = self.deadlines[0]
            join = self.joins.get(id)
            if join is not None and join.thread is not None:
                if expires > now:
                    return
                self._join(join.thread, join)
            heapq.heappop(self.deadlines)

    def claim(self, room: Mapping[str, int], most: int) -> list[Claim]:
        """Lease up to `most` ready messages, at most `room[name]` of each listener."""
        claims: list[Claim] = []
        for name in list(self.lanes):
            lane = self.lanes[name]
            count = min(len(lane), room.get(name, 0), most - len(claims))
            if count <= 0:
                continue
            claims.extend(self._claim(lane.popleft()) for _ in range(count))
            # What was served goes behind the others, even if it fills up again: none is starved when `most` is reached.
            del self.lanes[name]
            if lane:
                self.lanes[name] = lane
        return claims

    def _claim(self, thread: Thread) -> Claim:
        assert thread.mailbox
        thread.claimed = True
        thread.fence += 1
        parent = thread.parent
        return Claim(
            thread.id,
            thread.fence,
            thread.mailbox[0],
            thread.chain,
            thread.listener,
            thread.caller,
            thread.call,
            parent is not None and parent.parent is None,
            list(thread.open.values()) if thread.open else _NONE_OPEN,
            thread.state,
        )

    def inject(self, pump: str, injection: Injection, now: float) -> str:
        """Start the conversation of `injection`; its id."""
        number = self.counters[injection.source] = self.counters.get(injection.source, 0) + 1
        initiator = f"{injection.source}-{number}"
        chain = chains.extend(self.root, initiator)
        id = chains.thread_id(self.secret, chain)
        conversation = Conversation(id, pump, now)
        thread = Thread(id, chain, initiator, "system", None, conversation)
        self.threads[id] = thread
        conversation.threads.append(id)
        self.conversations[id] = conversation
        if injection.fault is not None:
            message = Message(id, FAULT, id, "system", initiator, "Fault", injection.fault, id, 0)
            self._output(thread, encode_message(message), fault=True)  # F10
        self._request_all(thread, injection)
        if not thread.pending:
            self._end(conversation)
        self._make_room()
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
            initiator.open[call] = to
            self._deliver(self._bind(binding, initiator), encode_message(message))

    def _make_room(self) -> None:
        """Forget the oldest finished conversations beyond `max_threads`; live ones are never touched."""
        while len(self.threads) > self.max_threads and self.finished:
            conversation = self.conversations.pop(self.finished.popleft())
            for id in conversation.threads:
                thread = self.threads.pop(id)
                self.slot_count -= len(thread.slots)
