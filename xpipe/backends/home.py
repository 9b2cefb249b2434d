"""A backend over any store: the ledger of the conversations that are at home here, and what becomes of them elsewhere.

The ledger decides in memory; what it did goes to the store as one batch, which the store applies if this node is still
registered. What nobody works on lies in the store: a node that has room pulls it. docs/internals.md has the protocol.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import msgspec

from xpipe.backends.arguments import check_pair, check_slot, is_closed, thread_is_full, unclaimed
from xpipe.backends.store import (
    DONE,
    DUE,
    GAP,
    HOME,
    LOST,
    OK,
    OUTSIDE,
    OVER,
    QUEUE,
    Answer,
    Batch,
    Cancel,
    Counts,
    Inject,
    Kept,
    Letter,
    Offer,
    Reply,
    Save,
    Store,
)
from xpipe.core import chains
from xpipe.core.errors import BackendError, LimitError
from xpipe.core.messages import (
    ENDED,
    LOST_HOP,
    OUTPUT,
    REVOKED,
    UNREADABLE,
    Claim,
    ConversationRecord,
    Cursor,
    DeadLetter,
    Event,
    Injection,
    PumpRecord,
    Step,
    damaged_letter,
    readable,
    readable_hop,
    tombstone,
)
from xpipe.core.organism import DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS
from xpipe.ledger.kept import Changes, KeptRecords
from xpipe.ledger.ledger import Ledger, claim_ready, release
from xpipe.ledger.records import Conversation, Thread
from xpipe.ports import (
    Advanced,
    BackendTotals,
    Capabilities,
    Collection,
    Damage,
    JoinRecord,
    Load,
    Orphan,
    RegistryRecord,
    ThreadRecord,
)

LENT = "~"
"""Who has claimed a message that is offered to other nodes: whoever takes it, the store knows."""
OWN_WORK = 100
"""Ready messages from which on new conversations go to the queue, if there are other nodes."""
AT_ONCE = 100
"""Conversations that are pulled in one go."""
AWAKE = 5.0
"""Seconds for which a conversation that only waits is kept in memory."""
ROUNDS = 4
"""Of asking for more, within one call."""
PAGE = 500
ORDERED = 30.0
"""Seconds to wait for what another node was asked to do."""


class _Records(KeptRecords):
    """The records at home here. Events stay until what they tell of is stored; what is over is dropped."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home

    def is_enrolled(self, pump: str) -> bool:
        return pump in self._home.pumps_here

    def tell(self, pump: str, event: Event) -> None:
        if pump in self._home.pumps_here:
            super().tell(pump, event)

    def take_events(self, pump: str) -> list[Event]:
        del pump
        return []

    def take_all_events(self) -> dict[str, list[Event]]:
        """Those of all pumps."""
        events, self._inboxes = self._inboxes, {}
        return events

    def note_settled(self, conversation: Conversation) -> None:
        pass


class _LooseSlots(dict[str, Any]):
    """Ids with slots that were recorded by hand; their slots are read when a thread of that id is made."""

    def __init__(self, ids: Sequence[str], store: Store) -> None:
        super().__init__(dict.fromkeys(ids))
        self._store = store

    def pop(self, id: str, default: Any = None) -> Any:
        if id not in self:
            return default
        super().pop(id)
        return self._store.slots(id, 0, None)


class Home:
    """State of one organism in `store`, decided on here as far as it is at home here. See SharedBackend."""

    def __init__(
        self, store: Store, max_threads: int = DEFAULT_MAX_THREADS, slots_per_thread: int = DEFAULT_MAX_SLOTS
    ) -> None:
        self._store = store
        self._max_threads = max_threads
        self._slots_per_thread = slots_per_thread
        self._lock = threading.RLock()
        self._state: Ledger | None = None
        self._records = _Records(self)
        self._closed = False
        self.pumps_here: dict[str, PumpRecord] = {}
        self._name = ""
        self._number = 0
        self._counts = Counts()
        self._lent: dict[tuple[str, int], str] = {}
        self._offers: dict[Thread, tuple[str, int]] = {}
        self._read: dict[str, int] = {}
        # Conversations that run elsewhere and whose owner is here: how many of their outputs it has been told.
        self._told: dict[str, int] = {}
        self._events: dict[str, list[Event]] = {}
        self._in_doubt = False
        self._now = 0.0
        self.pause: Callable[[float], None] = time.sleep

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    @property
    def closed(self) -> bool:
        return self._closed

    # The organism.

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        with self._lock:
            self._closed = False
            root, secret = self._store.open(organism and chains.root(organism), secrets.token_bytes(32))
            if not root:
                raise BackendError("there is no organism here; run one first, or correct the place")
            if organism is not None and chains.root(organism) != root:
                raise BackendError(f"this backend holds {root}, not {organism}; give each its own")
            if self._state is None:
                self._slots_per_thread = slots_per_thread or self._slots_per_thread
                name = root.partition(".")[2]
                self._state = Ledger(self._records, name, secret, self._slots_per_thread, self._max_threads)

    @property
    def _ledger(self) -> Ledger:
        self._require_open()
        if self._state is None:
            raise unclaimed(self._place)
        return self._state

    @property
    def _place(self) -> str:
        return "memory"

    def _require_open(self) -> None:
        if self._closed:
            raise is_closed(self._place)

    def root(self) -> str:
        self._require_open()
        return self._store.open(None, b"")[0]

    def secret(self) -> bytes:
        return self._ledger.secret

    # Nodes.

    def enroll(self, pump: PumpRecord) -> None:
        with self._lock:
            self._require_open()
            self._leave_no_doubt()
            self._counts = self._store.register(pump)
            self.pumps_here[pump.id] = pump
            if not self._name:
                self._begin(pump.id)

    def _begin(self, name: str) -> None:
        self._name, self._number = name, 0
        self._look_outside()

    def renew(self, pump: str, expires: float) -> bool:
        return self._store.renew(pump, expires)

    def pumps(self) -> list[PumpRecord]:
        self._require_open()
        return self._store.nodes()

    def retire(self, pump: str) -> None:
        with self._lock:
            self._leave_no_doubt()
            self._commit(lambda _: release(self._records, pump, lost=False))
            if pump == self._name:
                self._leave()
            self._let_go(pump)
            self._store.expire(pump, lost=False)
            self._pull_as_another()

    def bury_pump(self, pump: str) -> int:
        with self._lock:
            self._leave_no_doubt()
            freed = sum(thread.owner == pump for thread in self._records.threads.values())
            if pump in self.pumps_here and pump != self._name:
                self._commit(lambda _: release(self._records, pump, lost=True))
            held = self._store.expire(pump)
            self._let_go(pump)
            if pump == self._name:
                self._forget_all()
                self._pull_as_another()
            return freed + (held or 0)

    def _let_go(self, pump: str) -> None:
        self.pumps_here.pop(pump, None)
        self._events.pop(pump, None)

    def _begin_as_another(self) -> None:
        if self._name in self.pumps_here:
            return
        self._name, self._lent = "", {}
        if self.pumps_here:
            self._begin(next(iter(self.pumps_here)))

    def _pull_as_another(self) -> None:
        """As `_begin_as_another`, for pumps that share this home: what the other one had goes on in its order."""
        if self._name not in self.pumps_here:
            self._begin_as_another()
            while self._name and (reply := self._commit(lambda batch: setattr(batch, "pull", AT_ONCE))) is not None:
                if not reply.pulled:
                    break

    def _leave(self) -> None:
        """Hand everything back that is at home here."""

        def release_all(batch: Batch) -> None:
            for id in reversed(self._records.conversations):  # Each goes to the front of the queue.
                batch.saves.append(Save(id, read=self._read.get(id, 0), release=QUEUE))

        self._commit(release_all)

    def _forget_all(self) -> None:
        """Nothing is at home here any more; what others do must be read anew."""
        numbers = self._records._numbers
        self._records = _Records(self)
        self._records._numbers = numbers
        self._lent, self._offers, self._read = {}, {}, {}
        if self._state is not None:
            self._state.records = self._records

    def _lose_everything(self) -> None:
        """Others have taken this node for dead: its pump has to begin anew, under another name."""
        self._forget_all()
        self._let_go(self._name)
        self._begin_as_another()
        self._in_doubt = False

    def _leave_no_doubt(self) -> None:
        """If nobody knows whether the last apply arrived, begin anew, as if others had taken this node for dead."""
        if self._in_doubt:
            self._store.expire(self._name)
            self._lose_everything()

    def _look_outside(self) -> None:
        """Read what has been bound and recorded by hand."""
        self._counts = self._store.counts()
        bound = self._store.bound()
        self._records.ids, self._records.chains = bound, {id: chain for chain, id in bound.items()}
        self._records.loose = _LooseSlots(self._store.loose(), self._store)

    def _reload(self) -> None:
        """Somebody has bound a chain or recorded a slot by hand: what is at home here is read anew."""
        lent = self._lent
        self._forget_all()
        self._lent = lent
        self._look_outside()
        self._load(self._store.mine(self._name).pulled)
        self._in_doubt = False

    @contextlib.contextmanager
    def _as_node(self) -> Iterator[None]:
        """Whoever changes conversations is a node; one that no pump has enrolled is so only for that."""
        self._leave_no_doubt()
        if self._name:
            yield
            return
        name = f"once-{uuid4()}"
        self._store.register(PumpRecord(name, "", 0, 0, time.time() + ORDERED))
        self._begin(name)
        try:
            yield
        finally:
            if self._name == name and not self._in_doubt:
                self._leave()
                self._forget_all()
                self._store.expire(name)
                self._name = ""

    # Commits.

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        with self._lock:
            self._leave_no_doubt()
            ledger = self._ledger
            stale = dict.fromkeys(range(len(finished)), "stale")
            if pump not in self.pumps_here:
                return Advanced([], [], stale, 0.0, 0, 0, self._counts.in_flight)
            self._now = now
            own: list[Step] = []
            places: list[int] = []
            batch = Batch(now=now)
            for at, step in enumerate(finished):
                conversation = self._lent.pop((step.thread, step.fence), None)
                if conversation is None:
                    own.append(step)
                    places.append(at)
                else:
                    batch.answers.append((conversation, Answer(step)))
            late, unanswered, rounds = ledger.late, ledger.unanswered, 0
            left = dict(room)
            claims: list[Claim] = []
            refused: dict[int, str] = {}
            while True:
                asks = left if rounds < ROUNDS else {}
                one = ledger.exchange(pump, own, asks, most - len(claims), now)
                reply = self._flush(batch, pump=pump, room=asks, most=most - len(claims) - len(one.claims), now=now)
                if reply is not None and reply.status == OUTSIDE:
                    self._reload()
                    batch = Batch(now=now, answers=batch.answers)
                    continue
                if reply is not None and reply.status == LOST:
                    self._lose_everything()
                    if pump not in self.pumps_here:
                        return Advanced([], [], stale, 0.0, 0, 0, self._counts.in_flight)
                    own, places, batch = [], [], Batch(now=now)
                    left, claims, refused = dict(room), [], dict(stale)
                    continue
                rounds += 1
                refused |= {places[at]: reason for at, reason in one.refused.items()}
                taken = self._take_in(reply, now) if reply is not None else []
                for claim in (*one.claims, *taken):
                    left[claim.listener] -= 1
                claims += one.claims + taken
                own, places, batch = [], [], Batch(now=now)
                if reply is None or not (reply.pulled or reply.letters):
                    break
            due = min([time for time in (self._records.next_due(), self._counts.due) if time], default=0.0)
            if rounds > ROUNDS and self._records.lanes:
                due = now  # There may be more to claim.
            counts = ledger.late - late, ledger.unanswered - unanswered, self._counts.in_flight
            return Advanced(claims, self._events.pop(pump, []), refused, due, *counts)

    def _commit(self, work: Callable[[Batch], object], now: float = 0.0) -> Reply | None:
        """Have the store apply what `work` does, here and in the batch it is given; None for nothing.

        now: by default the time of the last call that gave one.
        """
        now = self._now = now or self._now
        first: Reply | None = None
        while True:
            batch = Batch(now=now)
            if first is None:
                work(batch)
            reply = self._flush(batch, now=now)
            if reply is None:
                return first
            if reply.status == OUTSIDE:
                self._reload()
            elif reply.status == LOST:
                self._lose_everything()
                return first
            else:
                self._take_in(reply, now)
                first = first or reply
                if not (reply.pulled or reply.letters):  # Else that has changed something in turn.
                    return first

    def _flush(
        self,
        batch: Batch,
        pump: str = "",
        room: Mapping[str, int] | None = None,
        most: int = 0,
        now: float = 0.0,
    ) -> Reply | None:
        """Have the store apply what the ledger did, and ask for more to do if there is `room`; None for nothing."""
        if room and pump in self.pumps_here:
            self._share(batch)
        changes = self._records.take_changes()
        found = self._saves(changes, now)
        for save in batch.saves:
            known = found.setdefault(save.id, save)
            known.release = known.release or save.release
            known.fields |= save.fields
        batch.saves = list(found.values())
        batch.dead += changes.letters
        batch.delivered |= changes.delivered
        batch.in_flight, batch.slots = changes.in_flight, changes.slot_count
        for thread, key in list(self._offers.items()):
            if thread.owner != LENT or (thread.id, thread.fence) != key:
                del self._offers[thread]
                batch.withdrawn.append(key)
        if room and most > 0 and pump in self.pumps_here and not (batch.changes_something and self._records.lanes):
            batch.pull = min(AT_ONCE, most)
            if pump == self._name:  # What it takes is its own, if there are other pumps here.
                batch.take = {name: free for name, free in room.items() if free > 0 and not name.startswith("system.")}
        if not (batch.changes_something or batch.pull):
            return None
        reply = self._apply(batch)
        if reply.status == OK:
            for save in batch.saves:
                if save.release:
                    self._drop(save.id)
        return reply

    def _apply(self, batch: Batch) -> Reply:
        """The reply is OK, OUTSIDE or LOST; what was applied already is looked up."""
        batch.outside = outside = self._counts.outside
        self._in_doubt = True  # Until the reply is taken in, which may fail, too.
        reply = self._store.apply(self._name, self._number + 1, batch)
        if reply.status == DONE:
            reply = self._look_up(batch)
        self._counts = reply.counts
        if reply.status == GAP:  # The store has lost its memory.
            reply.status = LOST
        elif reply.status == OK:
            self._counts.outside = outside
            self._number += 1
            if not reply.refused:
                for pump, events in self._records.take_all_events().items():
                    self._events.setdefault(pump, []).extend(events)
        return reply

    def _look_up(self, batch: Batch) -> Reply:
        """The reply to `batch`, which was applied, but whose reply was lost."""
        reply = self._store.mine(self._name)
        gone = {save.id for save in batch.saves if save.release}  # It may have pulled them again.
        reply.pulled = [id for id in reply.pulled if id in gone or id not in self._records.conversations]
        reply.news = list(self._told)
        reply.taken = [one for one in reply.taken if (one[0].claim.thread, one[0].claim.fence) not in self._lent]
        if batch.inject is not None:
            made = [save.id for save in batch.inject.saves]
            reply.pulled = [id for id in reply.pulled if reply.refused or id not in made]
            reply.numbers = self._store.numbers(list(batch.inject.numbers))
        reply.adopted = [one.id for one in self._store.load(list(batch.adopt), slots=False) if one.owner == batch.owner]
        return reply

    def _drop(self, id: str) -> None:
        for thread in self._threads_of(id):
            self._offers.pop(thread, None)
        conversation = self._records.conversations[id]
        if conversation.owner in self.pumps_here and not conversation.ended:
            self._told[id] = conversation.outputs
        self._records.drop(id)
        self._read.pop(id, None)

    def _threads_of(self, id: str) -> list[Thread]:
        return [self._records.threads[one] for one in self._records.conversations[id].threads]

    def _saves(self, changes: Changes, now: float) -> dict[str, Save]:
        saves = {}
        for id, one in changes.conversations.items():
            conversation = self._records.conversations[id]
            save = saves[id] = Save(id, one.fields, one.slots, one.pairs, conversation.outputs, self._read.get(id, 0))
            if conversation.ended:
                save.release, save.ended = OVER, conversation.ended
            elif now and (due := self._waits_until(conversation)) > now + AWAKE:
                save.release, save.due = DUE, due
        return saves

    def _waits_until(self, conversation: Conversation) -> float:
        """When something is to be done in `conversation` again, if it only waits for that; else 0.0."""
        due = []
        for thread in self._threads_of(conversation.id):
            if thread.mailbox:
                if not thread.due:
                    return 0.0
                due.append(thread.due)
            if thread.join is not None and thread.join.open and thread.join.terms.expires:
                due.append(thread.join.terms.expires)
        return min(due, default=0.0)

    def _share(self, batch: Batch) -> None:
        """Offer what is ready beyond the room here, as far as others have asked for it."""
        for listener, wanted in self._counts.wanted.items():
            if listener in self._records.lanes:
                for claim in claim_ready(self._records, LENT, {listener: wanted}, wanted):
                    thread = self._records.threads[claim.thread]
                    self._offers[thread] = claim.thread, claim.fence
                    batch.offers.append(Offer(thread.conversation.id, claim))

    def _take_in(self, reply: Reply, now: float) -> list[Claim]:
        """What an apply has brought: conversations, letters, news; the claims that were taken."""
        self._load(reply.pulled)
        for id, (first, letters) in reply.letters.items():
            if id in self._records.conversations:
                self._read_letters(id, first, letters, now)
        for kept in self._store.load([id for id in reply.news if id in self._told], slots=True):
            self._hear(kept)
        for thread in reply.revoked:
            self._lent = {key: conversation for key, conversation in self._lent.items() if key[0] != thread}
            self._tell(self._name, Event("", REVOKED, state=thread))
        claims = []
        for offer, deliveries in reply.taken:
            claim = msgspec.structs.replace(offer.claim, deliveries=offer.claim.deliveries + deliveries)
            self._lent[claim.thread, claim.fence] = offer.conversation
            claims.append(claim)
        self._in_doubt = False
        return claims

    def _read_letters(self, id: str, first: int, letters: list[Letter], now: float) -> None:
        done = self._read.get(id, first)
        for letter in letters[done - first :]:
            if letter.cancel is not None:
                self._ledger.cancel(id, letter.cancel.fault, letter.cancel.at)
            elif letter.answer is not None:
                self._finish_lent(letter.answer, now)
        self._read[id] = first + len(letters)
        self._records.note(id)

    def _finish_lent(self, answer: Answer, now: float) -> None:
        step = answer.step
        thread = self._records.threads.get(step.thread)
        if thread is None or thread.owner != LENT or thread.fence != step.fence:
            self._ledger.late += 1
            return
        self._offers.pop(thread, None)
        thread.deliveries += answer.deliveries
        if self._ledger.exchange(LENT, [step], {}, 0, now).refused:  # Handled again here, where its pump hears of it.
            thread.owner = ""
            self._records.changed(thread)
            self._records.make_ready(thread, first=True)

    def _hear(self, kept: Kept) -> None:
        """Tell the pump that owns a conversation what has reached its initiator elsewhere."""
        told = self._told.pop(kept.id, None)
        if told is None:
            return
        record = _record_of(kept)
        for data in (kept.slots or [[]])[0][told : record.outputs]:
            self._tell(kept.owner, Event(kept.id, OUTPUT, data))
        if record.ended:
            self._tell(kept.owner, Event(kept.id, ENDED, state=record.state))
        elif kept.home != self._name:
            self._told[kept.id] = record.outputs

    def _tell(self, pump: str, event: Event) -> None:
        if pump in self.pumps_here:
            self._events.setdefault(pump, []).append(event)

    def _load(self, ids: Sequence[str]) -> None:
        for kept in self._store.load(ids, slots=True):
            if kept.home != self._name:
                continue
            conversation = self._records.load(
                kept.id, kept.owner, kept.delivered, kept.fields, kept.slots or [[] for _ in kept.threads]
            )
            self._read[kept.id] = kept.read
            self._hear(kept)
            for id in conversation.threads:
                thread = self._records.threads[id]
                if thread.owner == LENT:
                    self._offers[thread] = id, thread.fence
                elif thread.owner and thread.owner not in self.pumps_here:
                    thread.owner = ""
                    thread.fence += 1
                    thread.deliveries += 1
                    self._records.changed(thread)
                    self._records.make_ready(thread, first=True)

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        return self._inject(pump, messages, now, cursor, seen)

    def _inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
        letter: int = 0,
    ) -> list[str]:
        with self._lock, self._as_node():
            sources: dict[str, int] = {}
            for message in messages:
                sources[message.source] = sources.get(message.source, 0) + 1
            while True:
                self._commit(lambda _: None, now)
                busy = sum(map(len, self._records.lanes.values())) >= OWN_WORK and self._counts.nodes > 1
                here = self._name in self.pumps_here and not busy
                numbers = {source: self._records._numbers.get(source, 0) for source in sources}
                ids = [self._ledger.inject(pump, message, now) for message in messages]
                changes = self._records.take_changes()
                saves = list(self._saves(changes, 0.0).values())
                inject = Inject(pump, here, saves, numbers, sources, cursor, seen, letter)
                batch = Batch(now=now, inject=inject, dead=changes.letters)
                batch.in_flight, batch.slots = changes.in_flight, changes.slot_count
                reply = self._apply(batch)
                if reply.status == LOST:
                    self._lose_everything()
                    return self._inject(pump, messages, now, cursor, seen, letter)
                failed = reply.status == OUTSIDE or reply.refused
                for save in saves:
                    if failed or save.release or not here:
                        self._drop(save.id)
                if not failed:
                    self._take_in(reply, now)
                    self._commit(lambda _: None, now)
                    return ids
                self._records.take_all_events()
                for id in ids:
                    self._told.pop(id, None)
                self._records._numbers |= reply.numbers or numbers
                if reply.status == OUTSIDE:
                    self._reload()
                    continue
                self._take_in(reply, now)
                if reply.numbers == numbers:
                    self._commit(lambda _: None, now)
                    return []

    # What else is changed.

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        with self._lock:
            self._leave_no_doubt()
            if conversation in self._records.conversations:
                did = False

                def cancel(_: Batch) -> None:
                    nonlocal did
                    did = self._ledger.cancel(conversation, fault, now)

                if self._commit(cancel, now) is not None or not did:
                    return did
        return self._order(conversation, Letter(cancel=Cancel(fault, now)), now) == "cancelled"

    def _order(self, conversation: str, letter: Letter, now: float) -> str:
        """Have its home, or else this one, read `letter`; the state of the conversation then, "" if it was over."""
        number = self._store.post(conversation, letter)
        if number < 0:
            return ""
        end = time.monotonic() + ORDERED
        home = ""
        while time.monotonic() < end:
            kept = next(iter(self._store.load([conversation], slots=False)), None)
            if kept is None or kept.place == OVER or kept.read >= number:
                return _record_of(kept).state if kept is not None else ""
            home = kept.home
            if home != self._name and home in {one.id for one in self._store.nodes()}:
                self.pause(0.02)
                continue
            with self._lock, self._as_node():  # If it is at home here, this reads its letters.
                self._commit(lambda batch: setattr(batch, "pulled", conversation), now)
        raise BackendError(f"the pump {home} did not cancel {conversation} within {ORDERED:g} s; try again later")

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        with self._lock, self._as_node():

            def adopt(batch: Batch) -> None:
                batch.adopt, batch.owner = {conversation: owner}, pump

            reply = self._commit(adopt)
            if reply is None or conversation not in reply.adopted:
                return None
            record = self.conversation(conversation)
            known = self._records.conversations.get(conversation)
            self._told.pop(conversation, None)
            if known is not None:
                known.owner = pump
            elif record is not None and record.state == "running" and pump in self.pumps_here:
                self._told[conversation] = record.outputs
            return record

    def delivered(self, outputs: Mapping[str, int]) -> None:
        with self._lock, self._as_node():
            self._commit(lambda batch: batch.delivered.update(outputs))
            for id, count in outputs.items():
                if id in self._records.conversations:
                    self._records.conversations[id].delivered = count

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        return next(iter(self._inject(pump, [injection], now, letter=number)), None)

    def forget(self, conversation: str) -> bool:
        return bool(self._forget([conversation]))

    def forget_ended(self, before: float, most: int) -> int:
        return self._forget(self._store.ended(before, most, settled=False))

    def _forget(self, ids: Sequence[str]) -> int:
        with self._lock:
            forgotten = self._store.forget(ids)
            outside, self._counts = self._counts.outside, self._store.counts()
            self._counts.outside = outside
            return forgotten

    def make_room(self) -> bool:
        while (over := self._store.counts().threads - self._max_threads + 1) > 0:
            settled = self._store.ended(math.inf, PAGE, settled=True)
            if not settled:
                return False
            for kept in self._store.load(settled, slots=False):
                self._forget([kept.id])
                over -= len(kept.threads)
                if over <= 0:
                    break
        return True

    def load(self) -> Load:
        counts = self._counts if self._name else self._store.counts()
        return Load(counts.in_flight, self._max_threads - counts.threads)

    def wait(self, pump: str, seconds: float) -> bool:
        return self._store.wait(pump, seconds)

    def cursor(self, name: str) -> Cursor | None:
        return self._store.cursor(name)

    # What is looked at.

    def ready_listeners(self) -> list[str]:
        with self._lock:
            counts = self._store.counts()
            found = dict.fromkeys([*self._records.lanes, *counts.offered])
            if counts.homeless:
                alive = {one.id for one in self._store.nodes()}
                for kept in self._kept("running"):
                    if kept.place == QUEUE or (kept.place == HOME and kept.home not in alive):
                        found |= dict.fromkeys(_load_alone(kept).lanes)
            return list(found)

    def _ids(self, index: str = "all", newest: bool = False) -> Iterator[str]:
        after = -1
        while found := self._store.page(index, after, PAGE, newest):
            yield from (id for _, id in found)
            after = found[-1][0]

    def _kept(self, index: str = "all", newest: bool = False, slots: bool = False) -> Iterator[Kept]:
        ids = self._ids(index, newest)
        while some := list(itertools.islice(ids, PAGE)):
            yield from self._store.load(some, slots)

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        self._require_open()
        index = "running" if running else "unsettled" if unsettled else "all"
        for kept in self._kept(index):
            if owner in (None, kept.owner):
                yield _record_of(kept)

    def conversation(self, id: str) -> ConversationRecord | None:
        return next(iter(map(_record_of, self._store.load([id], slots=False))), None)

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        self._require_open()
        one = None if conversation is None else [conversation]
        found = self._kept(newest=newest, slots=True) if one is None else self._store.load(one, slots=True)
        for kept in found:
            threads = _threads_of(kept)
            yield from map(_thread_record, reversed(threads) if newest else threads)

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        found = []
        for id in self._store.find(prefix, most):
            for kept in self._store.load([self._store.conversation_of(id)], slots=True):
                found += [_thread_record(one) for one in _threads_of(kept) if one.id == id]
        return found

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        for kept in self._store.load([conversation], slots=False):
            at = start
            while (data := kept.fields.get(b"h%d" % at)) is not None:
                yield data
                at += 1

    def join_results(self, thread: str) -> list[bytes | None]:
        with self._lock:
            here = self._records.threads.get(thread)
            if here is not None:
                return list(here.join.results) if here.join else []
        for kept in self._store.load([self._store.conversation_of(thread)], slots=True):
            for one in _threads_of(kept):
                if one.id == thread and one.join is not None:
                    return list(one.join.results)
        return []

    def _open_joins(self) -> Iterator[Any]:
        for kept in self._kept("running", slots=True):
            for one in _threads_of(kept):
                if one.join is not None and one.join.open:
                    yield one.join

    def joins(self) -> Iterator[tuple[str, int, int]]:
        for join in self._open_joins():
            yield join.terms.id, join.terms.total - join.missing, join.terms.total

    def join_get(self, id: str) -> JoinRecord | None:
        with self._lock:
            join = self._records.joins.get(id) or next((one for one in self._open_joins() if one.terms.id == id), None)
            return JoinRecord(id, join.terms.total, list(join.results)) if join else None

    def totals(self) -> BackendTotals:
        self._require_open()
        counts = self._store.counts()
        every = active = 0
        for kept in self._kept():
            every += 1
            active += kept.place != OVER
        return BackendTotals(
            counts.threads,
            every,
            active,
            counts.in_flight,
            counts.slots,
            sum(1 for _ in self.joins()),
            sum(1 for _ in self.dead_letters()),
        )

    def dead_letters(self) -> Iterator[DeadLetter]:
        after = 0
        while found := self._store.dead(after, PAGE):
            yield from found
            after = found[-1].number

    def drop_dead_letters(self, before: float) -> int:
        return self._store.drop_dead([one.number for one in self.dead_letters() if one.at < before])

    def drop_dead(self, numbers: Sequence[int]) -> int:
        return self._store.drop_dead(numbers)

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        del remove
        yield from ()

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        for kept in self._kept(slots=True):
            for thread in _threads_of(kept):
                waiting = thread.mailbox or ()
                for at, data in enumerate(thread.slots):
                    if at not in waiting and readable(data) is None:
                        place = f"slot {at} of the thread {thread.id}"
                        yield self._damage(place, data, thread.id, (thread.id, at, tombstone(thread.id)), set_aside)
            for at, data in enumerate(self.hops(kept.id)):
                if readable_hop(data) is None:
                    place = f"hop {at} of the conversation {kept.id}"
                    yield self._damage(place, data, kept.id, (kept.id, at), set_aside)

    def _damage(self, place: str, data: bytes, id: str, where: tuple[Any, ...], set_aside: bool) -> Damage:
        def mend(batch: Batch) -> None:
            batch.dead.append(damaged_letter(data, place, id, time.time()))
            if len(where) == 2:
                batch.saves.append(Save(id, {b"h%d" % where[1]: LOST_HOP}))
            else:
                batch.mended.append(where)

        if set_aside:
            with self._lock, self._as_node():
                self._commit(mend)
        return Damage(place, UNREADABLE, set_aside)

    def info(self) -> dict[str, Any]:
        totals = self.totals()
        threads, entries = len(self.buffer_list_threads()), len(self.registry_list_all())
        counts = {"buffer_threads": threads, "registry_entries": entries, "ttl_seconds": 0}
        return {"type": "memory", "place": "this process", **counts, **asdict(totals)}

    def ping(self) -> bool:
        return not self._closed

    # Slots and the registry.

    def buffer_append(self, thread: str, slot: bytes) -> int:
        check_slot(thread, slot)
        self._require_open()
        index = self._store.append(thread, slot, self._slots_per_thread)
        if index < 0:
            raise thread_is_full(thread, self.buffer_thread_len(thread))
        return index

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        self._require_open()
        return self._store.slots(thread, start, stop)

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        return next(iter(self.buffer_get_thread(thread, index, index + 1)), None) if index >= 0 else None

    def buffer_thread_len(self, thread: str) -> int:
        return len(self.buffer_get_thread(thread))

    def buffer_thread_exists(self, thread: str) -> bool:
        return self.buffer_thread_len(thread) > 0

    def buffer_delete_thread(self, thread: str) -> bool:
        self._require_open()
        return self._store.delete_slots(thread)

    def buffer_list_threads(self) -> list[str]:
        return list(self.buffer_iter_threads())

    def buffer_iter_threads(self) -> Iterator[str]:
        self._require_open()
        after = ""
        while found := self._store.slot_threads(after, PAGE):
            yield from found
            after = found[-1]

    def buffer_clear(self) -> None:
        for thread in self.buffer_list_threads():
            self.buffer_delete_thread(thread)

    def registry_set(self, chain: str, uuid: str) -> str:
        check_pair(chain, uuid)
        self._require_open()
        ledger = self._state
        if ledger is not None:
            if chain == ledger.root:
                return ledger.root_id
            if uuid == ledger.root_id:
                raise LimitError(f"the id {uuid} is bound to the chain {ledger.root} already; take another id")
        bound, other = self._store.bind(chain, uuid)
        if bound:
            return bound
        raise LimitError(f"the id {uuid} is bound to the chain {other} already; take another id")

    def registry_get_uuid(self, chain: str) -> str | None:
        self._require_open()
        if self._state is not None and chain == self._state.root:
            return self._state.root_id
        return self._store.uuid_of(chain)

    def registry_get_chain(self, uuid: str) -> str | None:
        self._require_open()
        if self._state is not None and uuid == self._state.root_id:
            return self._state.root
        return self._store.chain_of(uuid)

    def registry_delete(self, uuid: str) -> bool:
        self._require_open()
        return self._store.unbind(uuid)

    def registry_clear(self) -> None:
        for uuid in self._store.bound().values():
            self.registry_delete(uuid)

    def registry_list_all(self) -> dict[str, str]:
        return {one.uuid: one.chain for one in self.registry_entries()}

    def registry_entries(self) -> Iterator[RegistryRecord]:
        self._require_open()
        if self._state is not None:
            yield RegistryRecord(self._state.root_id, self._state.root, "root")
        for chain, uuid in self._store.bound().items():
            yield RegistryRecord(uuid, chain, "bound")
        for kept in self._kept():
            for thread in _threads_of(kept):
                yield RegistryRecord(thread.id, thread.chain, "thread")

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        self._require_open()
        return self._store.collections.create(kind, id, head, size)

    def collection_get(self, kind: str, id: str) -> Collection | None:
        self._require_open()
        return self._store.collections.get(kind, id)

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        self._require_open()
        return self._store.collections.add(kind, id, index, part)

    def collection_remove(self, kind: str, id: str) -> bool:
        self._require_open()
        return self._store.collections.remove(kind, id)

    def collection_ids(self, kind: str) -> Iterator[str]:
        self._require_open()
        yield from self._store.collections.ids(kind)

    def close(self) -> None:
        self._closed = True
        self._store.close()


def _load_alone(kept: Kept) -> KeptRecords:
    records = KeptRecords()
    slots = kept.slots if kept.slots is not None else [[] for _ in kept.threads]
    records.load(kept.id, kept.owner, kept.delivered, kept.fields, slots)
    return records


def _threads_of(kept: Kept) -> list[Thread]:
    return list(_load_alone(kept).threads.values())


def _record_of(kept: Kept) -> ConversationRecord:
    records = _load_alone(kept)
    one = records.conversations[kept.id]
    chain = records.threads[one.id].chain
    times = one.started, one.ended
    counts = one.outputs, one.delivered, len(one.threads)
    return ConversationRecord(one.id, chain, one.state, one.owner, *times, *counts, one.retried_from)


def _thread_record(thread: Thread) -> ThreadRecord:
    last = readable(thread.slots[-1]) if thread.slots else None
    return ThreadRecord(
        thread=thread.id,
        conversation=thread.conversation.id,
        chain=thread.chain,
        listener=thread.listener,
        state=thread.status,
        slots=len(thread.slots),
        bytes=sum(map(len, thread.slots)),
        last_from=last.sender if last else "",
        last_to=last.to if last else "",
        touched=thread.touched,
    )
