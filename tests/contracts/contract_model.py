"""What a backend is to do, in lists and dictionaries: the other side of test_contract_machine.py.

Of conversations it knows simple ones only: an initiator calls listeners, each of which may call `c` once and ends with
an answer, a fault or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xpipe.core.messages import Cursor
from xpipe.ports import Collection

ANSWER, FAULT, NOTHING = "answer", "fault", "nothing"


@dataclass
class Call:
    """A thread called by an initiator, or by such a thread. It has a message in flight, or waits, or is over.

    holder: the pump that has claimed its message.
    """

    talk: Talk
    listener: str
    caller: Call | None = None
    slots: int = 1
    asked: bool = False
    in_flight: bool = False
    answered: bool = False
    holder: str = ""


@dataclass
class Talk:
    """A conversation."""

    id: str
    owner: str
    calls: list[Call] = field(default_factory=list)
    hops: list[bytes] = field(default_factory=list)
    in_flight: int = 0
    outputs: int = 0
    delivered: int = 0
    faulted: bool = False
    cancelled: bool = False
    ended: float = 0.0
    retried_from: str = ""

    @property
    def waiting(self) -> list[Call]:
        """The calls of its initiator that are not over."""
        under_way = [call for call in self.calls if call.in_flight]
        open = [*under_way, *(call.caller for call in under_way)]
        return [call for call in self.calls if call.caller is None and not call.answered and call in open]

    @property
    def state(self) -> str:
        if not self.ended:
            return "running"
        return "cancelled" if self.cancelled else "failed" if self.faulted else "done"

    @property
    def threads(self) -> int:
        return 1 + len(self.calls)

    @property
    def slots(self) -> int:
        return self.outputs + sum(call.slots for call in self.calls)


class Model:
    """`threads` is the number of threads from which on there is no room, `slots` that of slots a thread may have."""

    def __init__(self, threads: int, slots: int) -> None:
        self.max_threads = threads
        self.max_slots = slots
        self.now = 1_000.0
        self.pumps: set[str] = set()
        self.talks: dict[str, Talk] = {}
        self.ended: list[Talk] = []
        self.ready: dict[str, list[Call]] = {}
        self.delayed: list[tuple[float, Call]] = []
        self.events: dict[str, list[tuple[str, str]]] = {}
        self.cursors: dict[str, Cursor] = {}
        self.dead: list[float] = []
        self.loose: dict[str, list[bytes]] = {}
        self.uuids: dict[str, str] = {}
        self.collections: dict[str, tuple[int, Collection]] = {}

    # -- conversations

    def begin(self, id: str, owner: str, to: Iterable[str], retried_from: str = "") -> None:
        talk = self.talks[id] = Talk(id, owner, retried_from=retried_from)
        for name in to:
            call = Call(talk, name)
            talk.calls.append(call)
            self._put(call)
        if not talk.calls:
            self._end(talk)

    def _put(self, call: Call) -> None:
        call.talk.in_flight += 1
        call.in_flight = True
        self.ready.setdefault(call.listener, []).append(call)

    def claimable(self, room: dict[str, int]) -> list[Call]:
        """What can be claimed with `room`, listener by listener."""
        taken: list[Call] = []
        for name, most in room.items():
            queue = self.ready.get(name, [])
            taken += queue[: max(0, most)]
            del queue[: max(0, most)]
        return taken

    def call_further(self, call: Call) -> None:
        """The handler has called `c`."""
        call.asked = True
        call.in_flight = False
        call.talk.in_flight -= 1
        callee = Call(call.talk, "c", call)
        call.talk.calls.append(callee)
        self._put(callee)

    def end_call(self, call: Call, how: str) -> None:
        """The handler has answered, failed or returned nothing; whoever called hears of the first two."""
        if how == FAULT:
            self.dead.append(self.now)
        if how != NOTHING:
            self._reply(call, how)
        call.in_flight = False
        call.talk.in_flight -= 1
        if not call.talk.in_flight:
            self._end(call.talk)

    def _reply(self, call: Call, how: str) -> None:
        call.answered = True
        if call.caller is not None:
            call.caller.slots += 1
            self._put(call.caller)
        else:
            call.talk.outputs += 1
            call.talk.faulted |= how == FAULT
            self._tell(call.talk, "output")

    def cancel(self, id: str) -> bool:
        """End a conversation; those who hold messages of it hear of that before its owner."""
        talk = self.talks.get(id)
        if talk is None or talk.ended:
            return False
        waiting = talk.waiting
        self.delayed = [one for one in self.delayed if one[1].talk is not talk]
        for name, queue in self.ready.items():
            self.ready[name] = [call for call in queue if call.talk is not talk]
        for call in talk.calls:
            if call.holder:
                self.events.setdefault(call.holder, []).append((id, "revoked"))
            call.in_flight, call.holder = False, ""
        talk.in_flight = 0
        for call in waiting:
            self._reply(call, FAULT)
        talk.cancelled = True
        self._end(talk)
        return True

    def _end(self, talk: Talk) -> None:
        talk.ended = self.now
        self.ended.append(talk)
        self._tell(talk, "ended")

    def _tell(self, talk: Talk, kind: str) -> None:
        if talk.owner in self.pumps:
            self.events.setdefault(talk.owner, []).append((talk.id, kind))

    def again(self, call: Call) -> None:
        """The message is to be tried another time, after those that wait."""
        self.ready.setdefault(call.listener, []).append(call)

    def later(self, call: Call, due: float) -> None:
        """The message is to be tried another time, not before `due`."""
        self.delayed.append((due, call))
        self.delayed.sort(key=lambda one: one[0])

    def wake(self) -> None:
        """What was delayed until now waits behind the others."""
        while self.delayed and self.delayed[0][0] <= self.now:
            self.again(self.delayed.pop(0)[1])

    @property
    def due(self) -> float:
        return self.delayed[0][0] if self.delayed else 0.0

    def hand_back(self, call: Call) -> None:
        """The message is the next one of its listener again."""
        self.ready.setdefault(call.listener, []).insert(0, call)

    def leave(self, pump: str) -> None:
        self.pumps.discard(pump)
        self.events.pop(pump, None)

    def deliver(self, id: str, outputs: int) -> None:
        talk = self.talks.get(id)
        if talk is not None:
            talk.delivered = max(talk.delivered, min(outputs, talk.outputs))

    def forget(self, id: str) -> bool:
        talk = self.talks.get(id)
        if talk is None or not talk.ended:
            return False
        del self.talks[id]
        self.ended.remove(talk)
        return True

    def forget_ended(self, before: float, most: int) -> int:
        old = [talk.id for talk in self.ended if talk.ended < before][:most]
        return sum(map(self.forget, old))

    def make_room(self) -> bool:
        settled = [talk.id for talk in self.ended if talk.delivered == talk.outputs]
        while self.threads >= self.max_threads and settled:
            self.forget(settled.pop(0))
        return self.threads < self.max_threads

    # -- counts

    @property
    def threads(self) -> int:
        return sum(talk.threads for talk in self.talks.values())

    @property
    def in_flight(self) -> int:
        return sum(talk.in_flight for talk in self.talks.values())

    @property
    def slots(self) -> int:
        return sum(talk.slots for talk in self.talks.values()) + sum(map(len, self.loose.values()))
