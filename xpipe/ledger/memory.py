"""What a ledger asks of its records, and the ones in memory."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping, MutableSequence
from typing import Protocol

from xpipe.core.messages import Cursor, DeadLetter, Event, PumpRecord
from xpipe.ledger.records import Conversation, JoinState, Thread

MAX_DEAD_LETTERS = 10_000


class Records(Protocol):
    """The records of one organism. What is changed in a record that was read here is kept."""

    in_flight: int

    @property
    def thread_count(self) -> int:
        """How many threads there are."""

    def thread(self, id: str) -> Thread | None:
        """The thread `id`."""

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
        """Make and keep a thread; slots that were recorded under its id before are its first ones."""

    def bound_id(self, chain: str) -> str | None:
        """The id that `chain` was bound to from outside."""

    def add_conversation(self, id: str, owner: str, started: float, retried_from: str = "") -> Conversation:
        """Make and keep a conversation, whose initiator is added next."""

    def conversation(self, id: str) -> Conversation | None:
        """The conversation `id`."""

    def changed(self, thread: Thread) -> None:
        """`thread` is about to change, otherwise than by what is asked of these records."""

    def note_result(self, join: JoinState, index: int) -> None:
        """`join` has its result at `index`."""

    def note_delivered(self, conversation: Conversation) -> None:
        """More outputs of `conversation` are delivered."""

    def record(self, thread: Thread, data: bytes) -> None:
        """Append a slot to `thread`."""

    def note_hop(self, thread: Thread, data: bytes) -> None:
        """Append to the hops of the conversation of `thread`."""

    def next_number(self, source: str) -> int:
        """The number of the next initiator of `source`, from 1."""

    def make_ready(self, thread: Thread, first: bool = False) -> None:
        """Put `thread` at the end of its listener's queue, or at its head."""

    def take_ready(self, room: Mapping[str, int], most: int) -> list[Thread]:
        """Take up to `most` ready threads, up to `room[name]` of each listener, turn and turn about."""

    def drop_ready(self, threads: Collection[Thread]) -> None:
        """Take `threads`, which are ready, out of their queues."""

    def delay(self, thread: Thread) -> None:
        """Keep `thread` to be ready when it is due."""

    def take_due(self, now: float) -> Iterable[Thread]:
        """The delayed threads that are due, earliest first; they are not kept as delayed any longer."""

    def younger(self, thread: Thread) -> Iterable[Thread]:
        """The threads of its conversation that were made after `thread`, oldest first."""

    def claimed_by(self, pump: str) -> Iterable[Thread]:
        """The threads that `pump` has claimed."""

    def is_enrolled(self, pump: str) -> bool:
        """Whether `pump` is known."""

    def tell(self, pump: str, event: Event) -> None:
        """Keep `event` for `pump`."""

    def take_events(self, pump: str) -> list[Event]:
        """The events kept for `pump`, which are kept no longer."""

    def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter under the next number; of MAX_DEAD_LETTERS and one the oldest goes."""

    def add_join(self, join: JoinState) -> None:
        """Keep a join that waits for results."""

    def drop_join(self, join: JoinState) -> None:
        """Keep `join` no longer among those that wait for results."""

    def expired_joins(self, now: float) -> Iterable[JoinState]:
        """The joins whose time has passed."""

    def next_due(self) -> float:
        """When the next join expires or the next thread is due, 0.0 for never."""

    def note_end(self, conversation: Conversation) -> None:
        """`conversation` is over."""

    def note_settled(self, conversation: Conversation) -> None:
        """`conversation` is over and its outputs are delivered."""

    def forget_settled(self, threads: int) -> bool:
        """Forget settled conversations until so many threads are gone, the earliest ended first; False for none.

        It may forget some of them only: as many as one statement takes.
        """

    def set_cursor(self, cursor: Cursor) -> None:
        """Keep how far a source has been read."""

    def pumps(self) -> Iterable[PumpRecord]:
        """The pumps that have enrolled and not retired."""

    def put_pump(self, pump: PumpRecord) -> None:
        """Keep what is known of a pump."""

    def drop_pump(self, id: str) -> None:
        """Forget a pump."""


class MemoryRecords:
    def __init__(self) -> None:
        self.threads: dict[str, Thread] = {}
        self.conversations: dict[str, Conversation] = {}
        self.joins: dict[str, JoinState] = {}
        self.lanes: dict[str, deque[Thread]] = {}
        self.dead: OrderedDict[int, DeadLetter] = OrderedDict()
        self.cursors: dict[str, Cursor] = {}
        self.ids: dict[str, str] = {}
        self.chains: dict[str, str] = {}
        self.loose: dict[str, MutableSequence[bytes]] = {}
        self.in_flight = 0
        self.slot_count = 0
        self._numbers: dict[str, int] = {}
        self._inboxes: dict[str, list[Event]] = {}
        self._expiries: list[tuple[float, str]] = []
        self._delayed: list[tuple[float, int, Thread]] = []
        self._delays = itertools.count()
        self._dead_number = 0
        # Conversations that are over by their places in the order of the ends, which begins at `_oldest`; a heap of
        # the places of those that are settled.
        self._ended: dict[int, Conversation] = {}
        self._oldest = self._last = 0
        self._settled: list[int] = []
        self._pumps: dict[str, PumpRecord] = {}

    @property
    def thread_count(self) -> int:
        return len(self.threads)

    def thread(self, id: str) -> Thread | None:
        return self.threads.get(id)

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
        thread = self.threads[id] = Thread(id, chain, listener, caller, parent, conversation, index)
        if self.loose:
            thread.slots = self.loose.pop(id, thread.slots)
        conversation.threads.append(id)
        return thread

    def bound_id(self, chain: str) -> str | None:
        return self.ids.get(chain) if self.ids else None

    def add_conversation(self, id: str, owner: str, started: float, retried_from: str = "") -> Conversation:
        conversation = self.conversations[id] = Conversation(id, owner, started, retried_from)
        return conversation

    def conversation(self, id: str) -> Conversation | None:
        return self.conversations.get(id)

    def changed(self, thread: Thread) -> None:
        pass

    def note_result(self, join: JoinState, index: int) -> None:
        pass

    def note_delivered(self, conversation: Conversation) -> None:
        pass

    def record(self, thread: Thread, data: bytes) -> None:
        if thread.slots:
            thread.slots.append(data)
        else:
            thread.slots = [data]  # It has no room to spare: most threads have few slots.
        self.slot_count += 1

    def note_hop(self, thread: Thread, data: bytes) -> None:
        conversation = thread.conversation
        if conversation.hops:
            conversation.hops.append(data)
        else:
            conversation.hops = [data]

    def next_number(self, source: str) -> int:
        number = self._numbers[source] = self._numbers.get(source, 0) + 1
        return number

    def make_ready(self, thread: Thread, first: bool = False) -> None:
        lane = self.lanes.get(thread.listener)
        if lane is None:
            lane = self.lanes[thread.listener] = deque()
        if first:
            lane.appendleft(thread)
        else:
            lane.append(thread)

    def take_ready(self, room: Mapping[str, int], most: int) -> list[Thread]:
        taken: list[Thread] = []
        for name in list(self.lanes):
            lane = self.lanes[name]
            count = min(len(lane), room.get(name, 0), most - len(taken))
            if count <= 0:
                continue
            taken += [lane.popleft() for _ in range(count)]
            # What was served goes behind the others, even if it fills up again: none is starved when `most` is reached.
            del self.lanes[name]
            if lane:
                self.lanes[name] = lane
        return taken

    def drop_ready(self, threads: Collection[Thread]) -> None:
        for name in {thread.listener for thread in threads}:
            left = self.lanes[name] = deque(thread for thread in self.lanes[name] if thread not in threads)
            if not left:
                del self.lanes[name]

    def delay(self, thread: Thread) -> None:
        heapq.heappush(self._delayed, (thread.due, next(self._delays), thread))

    def take_due(self, now: float) -> Iterable[Thread]:
        while 0.0 < self._next_delayed() <= now:
            yield heapq.heappop(self._delayed)[2]

    def _next_delayed(self) -> float:
        while self._delayed and self._delayed[0][0] != self._delayed[0][2].due:
            heapq.heappop(self._delayed)  # It was cancelled meanwhile.
        return self._delayed[0][0] if self._delayed else 0.0

    def younger(self, thread: Thread) -> Iterable[Thread]:
        ids = thread.conversation.threads
        return [self.threads[id] for id in ids[ids.index(thread.id) + 1 :]]

    def claimed_by(self, pump: str) -> Iterable[Thread]:
        return [thread for thread in self.threads.values() if thread.owner == pump]

    def is_enrolled(self, pump: str) -> bool:
        return pump in self._pumps

    def tell(self, pump: str, event: Event) -> None:
        self._inboxes.setdefault(pump, []).append(event)

    def take_events(self, pump: str) -> list[Event]:
        return self._inboxes.pop(pump, [])

    def bury(self, letter: DeadLetter) -> None:
        self._dead_number += 1
        letter.number = self._dead_number
        self.dead[letter.number] = letter
        if len(self.dead) > MAX_DEAD_LETTERS:
            self.dead.popitem(last=False)

    def drop_dead(self, numbers: Iterable[int]) -> int:
        """Forget the dead letters of these numbers; how many there were."""
        return sum(self.dead.pop(number, None) is not None for number in numbers)

    def add_join(self, join: JoinState) -> None:
        self.joins[join.terms.id] = join
        if join.terms.expires:
            heapq.heappush(self._expiries, (join.terms.expires, join.terms.id))

    def drop_join(self, join: JoinState) -> None:
        if self.joins.get(join.terms.id) is join:
            del self.joins[join.terms.id]
        if len(self._expiries) > 2 * len(self.joins) + 100:  # Most are of joins that were over before their time.
            self._expiries = [one for one in self._expiries if self._is_awaited(one)]
            heapq.heapify(self._expiries)

    def expired_joins(self, now: float) -> Iterable[JoinState]:
        while 0.0 < self._next_expiry() <= now:
            yield self.joins[heapq.heappop(self._expiries)[1]]

    def next_due(self) -> float:
        times = [time for time in (self._next_expiry(), self._next_delayed()) if time]
        return min(times, default=0.0)

    def _next_expiry(self) -> float:
        while self._expiries and not self._is_awaited(self._expiries[0]):
            heapq.heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else 0.0

    def _is_awaited(self, expiry: tuple[float, str]) -> bool:
        """Whether it is that of a join that waits, and not of an earlier one of that id."""
        time, id = expiry
        return id in self.joins and self.joins[id].terms.expires == time

    def note_end(self, conversation: Conversation) -> None:
        self._last += 1
        conversation.place = self._last
        self._ended[self._last] = conversation

    def note_settled(self, conversation: Conversation) -> None:
        heapq.heappush(self._settled, conversation.place)

    def forget_settled(self, threads: int) -> bool:
        before = len(self.threads)
        while self._settled and before - len(self.threads) < threads:
            self.forget(self._ended[self._settled[0]])
        return len(self.threads) < before

    def forget_ended(self, before: float, most: int) -> int:
        """Forget up to `most` conversations that ended before `before`; how many."""
        for count in range(most):
            oldest = self._first_ended()
            if oldest is None or oldest.ended >= before:
                return count
            self.forget(oldest)
        return most

    def _first_ended(self) -> Conversation | None:
        while self._ended and self._oldest not in self._ended:
            self._oldest += 1
        return self._ended.get(self._oldest)

    def set_cursor(self, cursor: Cursor) -> None:
        self.cursors[cursor.name] = cursor

    def forget(self, conversation: Conversation) -> None:
        """Remove a conversation that is over."""
        del self.conversations[conversation.id]
        del self._ended[conversation.place]
        while self._settled and self._settled[0] not in self._ended:
            heapq.heappop(self._settled)
        for id in conversation.threads:
            thread = self.threads.pop(id)
            self.slot_count -= len(thread.slots)
            self.unbind(thread.chain)

    def unbind(self, chain: str) -> bool:
        """Undo a binding from outside, if there is one."""
        id = self.ids.pop(chain, None)
        return id is not None and self.chains.pop(id, None) is not None

    def pumps(self) -> Iterable[PumpRecord]:
        return list(self._pumps.values())

    def put_pump(self, pump: PumpRecord) -> None:
        self._pumps[pump.id] = pump

    def drop_pump(self, id: str) -> None:
        self._pumps.pop(id, None)
        self._inboxes.pop(id, None)
