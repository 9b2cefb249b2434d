"""Records that a store keeps: what commits did to each conversation, as fields, and conversations made of such fields.

The fields of a conversation, in msgpack; n numbers its threads in the order in which they were made:

| field | what it holds |
|---|---|
| "" | started, retried_from, ended, outputs, verdict |
| f{n} | of thread n, written once: id, chain, listener, caller, its parent's number or -1, index |
| {n} | of thread n: mailbox, open, call, owner, fence, slots, touched, and the rest if any of it is set |
| j{n} | the terms of its join |
| r{n}.{i} | since and the result at i of its join; of an earlier join if `since` is another |
| h{k} | the k-th HopRecord |

What is pending is not kept: it follows from the mailboxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from xpipe.core.messages import DeadLetter, Join
from xpipe.ledger.memory import MemoryRecords
from xpipe.ledger.records import Conversation, JoinState, Thread

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.decode
_decode_join = msgspec.msgpack.Decoder(Join).decode
_decode_result = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_HEAD = msgspec.msgpack.Decoder(tuple[float, str, float, int, int]).decode
_FIXED = msgspec.msgpack.Decoder(tuple[str, str, str, str, int, int]).decode


class KeptThread(Thread):
    """number: in its conversation; saved, terms: its moving field and its join's terms as they were written last."""

    __slots__ = ("number", "saved", "terms")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.number = len(self.conversation.threads)
        self.saved = b""
        self.terms: Join | None = None


class KeptConversation(Conversation):
    """hop_count: how many hops it has; saved: its head, as it was written last."""

    __slots__ = ("hop_count", "saved")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hop_count = 0
        self.saved = b""


@dataclass(slots=True)
class ConversationChanges:
    """What commits did to one conversation.

    slots: appended to threads, by id; pairs: chains and ids of new threads.
    """

    id: str
    fields: dict[bytes, bytes] = field(default_factory=dict)
    slots: dict[str, list[bytes]] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Changes:
    """What commits did. in_flight, threads, slot_count: how much there is more of each."""

    conversations: dict[str, ConversationChanges] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    delivered: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    threads: int = 0
    slot_count: int = 0

    def of(self, id: str) -> ConversationChanges:
        """Those of the conversation `id`."""
        found = self.conversations.get(id)
        if found is None:
            found = self.conversations[id] = ConversationChanges(id)
        return found


class KeptRecords(MemoryRecords):
    """The records of the conversations that are at home here."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = Changes()
        self._changed: dict[Thread, None] = {}
        self._in_flight = 0

    def changed(self, thread: Thread) -> None:
        self._changed[thread] = None

    def note_result(self, join: JoinState, index: int) -> None:
        assert isinstance(join.thread, KeptThread)
        result = _encode((join.since, join.results[index]))
        self._of(join.thread).fields[b"r%d.%d" % (join.thread.number, index)] = result

    def note(self, id: str) -> None:
        """Have the next changes mention the conversation `id`."""
        self._changes.of(id)

    def note_delivered(self, conversation: Conversation) -> None:
        self._changes.delivered[conversation.id] = conversation.delivered

    def thread(self, id: str) -> Thread | None:
        thread = super().thread(id)
        if thread is not None:
            self._changed[thread] = None
        return thread

    def add_thread(
        self,
        id: str,
        chain: str,
        listener: str,
        caller: str,
        parent: Thread | None,
        conversation: Conversation,
        index: int = -1,
    ) -> Thread:
        thread = KeptThread(id, chain, listener, caller, parent, conversation, index)
        self.threads[id] = thread
        conversation.threads.append(id)
        changes = self._of(thread)
        changes.pairs.append((chain, id))
        number = parent.number if isinstance(parent, KeptThread) else -1
        changes.fields[b"f%d" % thread.number] = _encode((id, chain, listener, caller, number, index))
        self._changes.threads += 1
        self._changed[thread] = None
        return thread

    def add_conversation(self, id: str, owner: str, started: float, retried_from: str = "") -> Conversation:
        conversation = self.conversations[id] = KeptConversation(id, owner, started, retried_from)
        self._changes.of(id)
        return conversation

    def record(self, thread: Thread, data: bytes) -> None:
        super().record(thread, data)
        self._of(thread).slots.setdefault(thread.id, []).append(data)
        self._changes.slot_count += 1
        self._changed[thread] = None

    def note_hop(self, thread: Thread, data: bytes) -> None:
        conversation = thread.conversation
        assert isinstance(conversation, KeptConversation)
        self._of(thread).fields[b"h%d" % conversation.hop_count] = data
        conversation.hop_count += 1

    def take_ready(self, room: Mapping[str, int], most: int) -> list[Thread]:
        taken = super().take_ready(room, most)
        self._changed.update(dict.fromkeys(taken))
        return taken

    def take_due(self, now: float) -> Iterable[Thread]:
        for thread in super().take_due(now):
            self._changed[thread] = None
            yield thread

    def younger(self, thread: Thread) -> Iterable[Thread]:
        found = list(super().younger(thread))
        self._changed.update(dict.fromkeys(found))
        return found

    def claimed_by(self, pump: str) -> Iterable[Thread]:
        found = list(super().claimed_by(pump))
        self._changed.update(dict.fromkeys(found))
        return found

    def note_end(self, conversation: Conversation) -> None:
        super().note_end(conversation)
        self._changes.of(conversation.id)

    def bury(self, letter: DeadLetter) -> None:
        self._changes.letters.append(letter)

    def _of(self, thread: Thread) -> ConversationChanges:
        return self._changes.of(thread.conversation.id)

    def take_changes(self) -> Changes:
        """What has been done since the last call, each field as it is now."""
        changes, self._changes = self._changes, Changes()
        changed, self._changed = self._changed, {}
        for thread in changed:
            assert isinstance(thread, KeptThread)
            moving = _moving(thread)
            if moving != thread.saved:
                thread.saved = moving
                fields = changes.of(thread.conversation.id).fields
                fields[b"%d" % thread.number] = moving
                if thread.join is not None and thread.join.terms is not thread.terms:
                    thread.terms = thread.join.terms
                    fields[b"j%d" % thread.number] = _encode(thread.terms)
        for id in changes.conversations:
            conversation = self.conversations[id]
            assert isinstance(conversation, KeptConversation)
            head = _head(conversation)
            if head != conversation.saved:
                conversation.saved = changes.conversations[id].fields[b""] = head
        changes.in_flight, self._in_flight = self.in_flight - self._in_flight, self.in_flight
        return changes

    def load(
        self, id: str, owner: str, delivered: int, fields: Mapping[bytes, bytes], slots: Sequence[list[bytes]]
    ) -> Conversation:
        """Make and keep the conversation `id` of its `fields` and of the slots of its threads, by number."""
        started, retried_from, ended, outputs, verdict = _HEAD(fields[b""])
        conversation = self.conversations[id] = KeptConversation(id, owner, started, retried_from)
        conversation.ended, conversation.outputs, conversation.verdict = ended, outputs, verdict
        conversation.delivered, conversation.saved = delivered, fields[b""]
        conversation.hop_count = sum(one.startswith(b"h") for one in fields)
        made: list[KeptThread] = []
        for number, own in enumerate(slots):
            thread_id, chain, listener, caller, parent, index = _FIXED(fields[b"f%d" % number])
            above = made[parent] if parent >= 0 else None
            thread = KeptThread(thread_id, chain, listener, caller, above, conversation, index)
            thread.slots = own
            _move(thread, fields)
            conversation.threads.append(thread_id)
            self.threads[thread_id] = thread
            self.slot_count += len(own)
            made.append(thread)
        for thread in reversed(made):  # A thread is made after its parent.
            boxed = len(thread.mailbox or ())
            thread.pending += boxed
            self.in_flight += boxed
            if thread.pending and thread.parent is not None:
                thread.parent.pending += 1
        self._in_flight += sum(len(thread.mailbox or ()) for thread in made)
        for thread in made:
            self._put_where_it_waits(thread)
        return conversation

    def _put_where_it_waits(self, thread: Thread) -> None:
        if thread.join is not None and thread.join.open:
            self.add_join(thread.join)
        if not thread.mailbox or thread.owner:
            return
        if thread.due:
            self.delay(thread)
        else:
            self.make_ready(thread)

    def drop(self, id: str) -> None:
        """Keep the conversation `id` here no longer: it is over, or has another home."""
        conversation = self.conversations.pop(id)
        self._ended.pop(conversation.place, None)
        ready = set()
        for one in conversation.threads:
            thread = self.threads.pop(one)
            self.slot_count -= len(thread.slots)
            self.in_flight -= len(thread.mailbox or ())
            self._in_flight -= len(thread.mailbox or ())
            if thread.mailbox and not thread.owner and not thread.due:
                ready.add(thread)
            thread.due = 0.0  # Where it was delayed, it is found to be cancelled.
            if thread.join is not None:
                self.drop_join(thread.join)
        self.drop_ready(ready)


def _head(conversation: Conversation) -> bytes:
    one = conversation
    return _encode((one.started, one.retried_from, one.ended, one.outputs, one.verdict))


def _moving(thread: Thread) -> bytes:
    often = (
        thread.mailbox,
        thread.open,
        thread.call,
        thread.owner,
        thread.fence,
        len(thread.slots),
        thread.touched,
    )
    join = thread.join
    plain = thread.attempt == 1 and not (thread.deliveries or thread.due or thread.failed or thread.no_answer)
    if plain and join is None and not thread.state:
        return _encode(often)
    counts = join and (join.since, join.missing, join.faults, join.feeding, join.more_at, join.open)
    rarely = thread.attempt, thread.deliveries, thread.due, thread.failed, thread.no_answer, thread.state, counts
    return _encode(often + rarely)


def _move(thread: KeptThread, fields: Mapping[bytes, bytes]) -> None:
    thread.saved = fields[b"%d" % thread.number]
    often, rarely = (moving := _decode(thread.saved))[:7], moving[7:]
    thread.mailbox, thread.open, thread.call, thread.owner, thread.fence, _, thread.touched = often
    if not rarely:
        return
    thread.attempt, thread.deliveries, thread.due, thread.failed, thread.no_answer, thread.state, counts = rarely
    if counts is None:
        return
    thread.terms = _decode_join(fields[b"j%d" % thread.number])
    join = thread.join = JoinState(thread.terms, thread)
    join.since, join.missing, join.faults, join.feeding, join.more_at, join.open = counts
    for index in range(join.terms.total):
        data = fields.get(b"r%d.%d" % (thread.number, index))
        since, result = _decode_result(data) if data is not None else (0, None)
        if data is not None and since == join.since:
            join.results[index] = result
