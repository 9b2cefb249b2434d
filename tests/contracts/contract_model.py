"""What a backend is to do, in lists and dictionaries: the other side of test_contract_machine.py.

Of conversations it knows simple ones only: an initiator calls listeners, each of which may call `c` once and ends with
an answer, a fault or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

ANSWER, FAULT, NOTHING = "answer", "fault", "nothing"


@dataclass
class Call:
    """A thread called by an initiator, or by such a thread. It has a message in flight, or waits, or is over."""

    talk: Talk
    listener: str
    caller: Call | None = None
    slots: int = 1
    asked: bool = False


@dataclass
class Talk:
    """A conversation."""

    id: str
    owner: str
    calls: list[Call] = field(default_factory=list)
    in_flight: int = 0
    outputs: int = 0
    delivered: int = 0
    faulted: bool = False
    ended: float = 0.0

    @property
    def state(self) -> str:
        if not self.ended:
            return "running"
        return "failed" if self.faulted else "done"

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
        self.events: dict[str, list[tuple[str, str]]] = {}
        self.cursors: dict[str, object] = {}
        self.dead: list[float] = []
        self.loose: dict[str, list[bytes]] = {}
        self.uuids: dict[str, str] = {}
        self.joins: dict[str, list[bytes | None]] = {}

    # -- conversations

    def begin(self, id: str, owner: str, to: Iterable[str]) -> None:
        talk = self.talks[id] = Talk(id, owner)
        for name in to:
            call = Call(talk, name)
            talk.calls.append(call)
            self._put(call)
        if not talk.calls:
            self._end(talk)

    def _put(self, call: Call) -> None:
        call.talk.in_flight += 1
        self.ready.setdefault(call.listener, []).append(call)

    def claimable(self, room: dict[str, int]) -> list[Call]:
        """What is claimed with `room`, listener by listener."""
        taken: list[Call] = []
        for name, most in room.items():
            queue = self.ready.get(name, [])
            taken += queue[: max(0, most)]
            del queue[: max(0, most)]
        return taken

    def call_further(self, call: Call) -> None:
        """The handler has called `c`."""
        call.asked = True
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
        call.talk.in_flight -= 1
        if not call.talk.in_flight:
            self._end(call.talk)

    def _reply(self, call: Call, how: str) -> None:
        if call.caller is not None:
            call.caller.slots += 1
            self._put(call.caller)
        else:
            call.talk.outputs += 1
            call.talk.faulted |= how == FAULT
            self._tell(call.talk, "output")

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
