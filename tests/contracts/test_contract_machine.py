"""Whatever is asked of a backend, in whatever order, it does what the plain model in contract_model.py does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contract_kit import FAULT_BYTES, Driver, answered, done, failed
from contract_model import ANSWER, FAULT, NOTHING, Call, Model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from xpipe.core.errors import LimitError
from xpipe.core.messages import Claim, Cursor, HopRecord, Injection, PumpRecord, Step, decode_message, encode_hop
from xpipe.ports import Collection, Load, SharedBackend

MAX_THREADS = 6
MAX_SLOTS = 3
PUMPS = ("pump-1", "pump-2")
ALL = dict.fromkeys(("a", "b", "c", "d.e"), 1_000)
CHAINS = ("system.org.x", "system.org.y.z", "system.org.x*")
NAMES = ("one", "two", "x*[?]%_")
EXAMPLES = {"memory": 100, "home": 50, "home-redis": 15, "sqlite": 20, "redis": 15, "manager": 15}
"""As many as take a few seconds; those of the manager end in a memory backend."""

few = st.integers(0, 3)
numbers = st.integers(0, 20)
names = st.sampled_from(NAMES)
chains = st.sampled_from(CHAINS)
pumps = st.sampled_from(PUMPS)
owners = st.sampled_from([*PUMPS, ""])
slots = st.binary(max_size=4)
targets = st.sampled_from([("a",), ("a", "b"), ("d.e",), ()])
rooms = st.just(ALL) | st.dictionaries(st.sampled_from([*ALL, "nobody"]), st.integers(-1, 4))


class Machine(RuleBasedStateMachine):
    """Asks the same of a backend, made by `make`, and of a model. queues: conversations wait where there is no pump."""

    make: Callable[[], SharedBackend]
    queues = False

    def __init__(self) -> None:
        super().__init__()
        self.backend = type(self).make()
        self.model = Model(MAX_THREADS, MAX_SLOTS)

    def teardown(self) -> None:
        self.backend.close()


class Conversations(Machine):
    """Conversations that begin, end and are forgotten; pumps that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.kit = Driver(self.backend)
        self.held: list[tuple[str, Claim, Call]] = []
        self.finished: list[tuple[str, Step]] = []
        self.ids = ["nothing"]
        self.delays = 0
        for pump in PUMPS:
            self.enroll(pump)

    def teardown(self) -> None:
        """Whatever has been done, all that was begun can be ended, and leaves nothing."""
        for pump in PUMPS:
            self.enroll(pump)
        self.model.now += 100.0
        for _ in range(4):  # What is held may have called `c`, whose answer its caller is still to handle.
            for _ in range(len(self.held)):
                self.finish(0, ANSWER)
            self.claim(PUMPS[0], ALL)
        self.forget_ended(-1, 1_000)
        self.looks_like_the_model()
        assert self.model.talks == {}
        super().teardown()

    def pick(self, at: int) -> str:
        """One of the conversations that there are, or one that there is not."""
        gone = next(id for id in reversed(self.ids) if id not in self.model.talks)
        ids = [gone, *self.model.talks]
        return ids[at % len(ids)]

    # -- the work of pumps

    def advance(self, pump: str, *steps: Step, room: dict[str, int] | None = None) -> Any:
        advanced = self.backend.advance(pump, steps, room or {}, 1_000, self.model.now)
        told = [(event.conversation, event.kind) for event in advanced.events]
        assert told == self.model.events.pop(pump, [])
        self.model.wake()
        assert advanced.due == self.model.due
        return advanced

    def enroll(self, pump: str) -> None:
        self.backend.enroll(PumpRecord(pump, "here", 1, 1, self.model.now))
        self.model.pumps.add(pump)

    @rule(pump=pumps)
    def come_or_go(self, pump: str) -> None:
        own = [(owner, claim, call) for owner, claim, call in self.held if owner == pump]
        if pump not in self.model.pumps:
            self.enroll(pump)
        elif self.queues and len(self.model.pumps) == 1:
            return  # Without a pump conversations wait in the store, and come behind those that begin meanwhile.
        elif len(own) < 2:  # Of several it is not said where among those first in their queues each comes.
            self.backend.retire(pump)
            self.model.leave(pump)
            self.held = [one for one in self.held if one not in own]
            for _, claim, call in own:
                self.finished.append((pump, answered(claim)))
                self.model.hand_back(call)
                call.holder = ""

    @rule(owner=owners, to=targets, many=few, cursor=names, late=st.booleans())
    def inject(self, owner: str, to: tuple[str, ...], many: int, cursor: str, late: bool = False) -> None:
        kept = Cursor(cursor, "print", len(self.ids)) if cursor != NAMES[0] else None
        seen = Cursor(cursor, "another", 0) if late else self.model.cursors.get(cursor)
        messages = [Injection("cli", list(to), "Ping", b"in")] * many
        ids = self.backend.inject(owner, messages, self.model.now, kept, seen)
        if late and kept is not None:
            assert ids == []
            return
        assert len(set(ids) - set(self.ids)) == many
        for id in ids:
            self.model.begin(id, owner, to)
        self.ids += ids
        if kept is not None:
            self.model.cursors[cursor] = kept

    @rule(owner=owners, to=targets)
    def see_through(self, owner: str, to: tuple[str, ...]) -> None:
        """A conversation that is over, and whatever else was under way."""
        self.inject(owner, to, 1, NAMES[0])
        self.enroll(PUMPS[0])
        self.claim(PUMPS[0], ALL)
        self.finish_all()

    @rule(pump=pumps, room=rooms)
    def claim(self, pump: str, room: dict[str, int]) -> None:
        claims = self.advance(pump, room=room).claims
        expected = self.model.claimable(room) if pump in self.model.pumps else []
        assert len(claims) == len(expected)
        for name in room:
            pairs = zip(
                [one for one in claims if one.listener == name],
                [one for one in expected if one.listener == name],
                strict=True,
            )
            for claim, call in pairs:
                assert decode_message(claim.message).conversation == call.talk.id
                self.held.append((pump, claim, call))
                call.holder = pump

    @precondition(lambda self: self.held)
    @rule(at=numbers, how=st.sampled_from([ANSWER, ANSWER, FAULT, NOTHING, "call", "call", "again", "later"]))
    def finish(self, at: int, how: str) -> None:
        pump, claim, call = self.held.pop(at % len(self.held))
        call.holder = ""
        step = self.step(claim, call, how)
        step.hop = encode_hop(HopRecord("m", "a", len(call.talk.hops), 0.0, 0.0, ""))
        call.talk.hops.append(step.hop)
        assert self.advance(pump, step).refused == {}
        self.finished.append((pump, step))

    def step(self, claim: Claim, call: Call, how: str) -> Step:
        """The step for `claim`, as the model sees it too."""
        if how == "again":
            self.model.again(call)
            return Step(claim.thread, claim.fence, again=2)
        if how == "later":
            self.delays += 1  # Of those due at the same time it is not said which comes first.
            due = self.model.now + 0.5 + self.delays / 1_000
            self.model.later(call, due)
            return Step(claim.thread, claim.fence, again=2, due=due)
        if how == "call" and not (call.asked or call.listener == "c"):
            self.model.call_further(call)
            return done(claim, sends=[self.kit.send(claim, "c")])
        self.model.end_call(call, how if how in (FAULT, NOTHING) else ANSWER)
        return {FAULT: failed, NOTHING: done}.get(how, answered)(claim)

    @rule()
    def finish_all(self) -> None:
        for _ in range(len(self.held)):
            self.finish(0, ANSWER)

    @precondition(lambda self: self.finished)
    @rule(at=numbers)
    def finish_again(self, at: int) -> None:
        held = {claim.thread for _, claim, _ in self.held}
        steps = [one for one in self.finished if one[1].thread in held] or self.finished
        pump, step = steps[at % len(steps)]
        assert self.advance(pump, step).refused == {0: "stale"}

    @rule(at=numbers)
    def cancel(self, at: int) -> None:
        id = self.pick(at)
        revoked = [one for one in self.held if one[2].talk.id == id]
        self.held = [one for one in self.held if one not in revoked]
        self.finished += [(pump, answered(claim)) for pump, claim, _ in revoked]
        assert self.backend.cancel(id, FAULT_BYTES, self.model.now) == self.model.cancel(id)

    @rule(seconds=st.sampled_from([0.25, 1.0, 60.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.model.now += seconds

    # -- keeping and forgetting

    @rule(first=numbers, many=few, outputs=st.integers(-1, 3))
    def deliver(self, first: int, many: int, outputs: int) -> None:
        ids = {self.pick(at) for at in range(first, first + many)}
        self.backend.delivered(dict.fromkeys(ids, outputs))
        for id in ids:
            self.model.deliver(id, outputs)

    @rule()
    def make_room(self) -> None:
        assert self.backend.make_room() == self.model.make_room()

    @rule(at=numbers)
    def forget(self, at: int) -> None:
        id = self.pick(at)
        assert self.backend.forget(id) == self.model.forget(id)

    @rule(age=st.sampled_from([-1, 0, 1, 60]), most=few)
    def forget_ended(self, age: float, most: int) -> None:
        before = self.model.now - age
        assert self.backend.forget_ended(before, most) == self.model.forget_ended(before, most)

    @rule(age=st.sampled_from([-1, 0, 1, 60]))
    def drop_dead_letters(self, age: float) -> None:
        before = self.model.now - age
        old = [at for at in self.model.dead if at < before]
        self.model.dead = self.model.dead[len(old) :]
        assert self.backend.drop_dead_letters(before) == len(old)

    def letter(self, at: int) -> int:
        """The place of a dead letter, or that behind the last."""
        return at % (len(self.model.dead) + 1)

    @rule(first=numbers, second=numbers)
    def drop_dead(self, first: int, second: int) -> None:
        numbers = [*(letter.number for letter in self.backend.dead_letters()), 999_999]
        chosen = {self.letter(first), self.letter(second)}
        there = chosen - {len(self.model.dead)}
        assert self.backend.drop_dead([numbers[at] for at in chosen]) == len(there)
        self.model.dead = [at for place, at in enumerate(self.model.dead) if place not in there]

    @rule(at=numbers, owner=owners, to=targets, origin=numbers)
    def retry_dead(self, at: int, owner: str, to: tuple[str, ...], origin: int) -> None:
        numbers = [*(letter.number for letter in self.backend.dead_letters()), 999_999]
        place, injection = self.letter(at), Injection("retry", list(to), "Ping", b"in", retried_from=self.pick(origin))
        id = self.backend.retry_dead(numbers[place], owner, injection, self.model.now)
        assert (id is None) == (place == len(self.model.dead))
        if id is not None:
            del self.model.dead[place]
            self.model.begin(id, owner, to, injection.retried_from)
            self.ids.append(id)

    @rule(at=numbers, pump=owners, other=st.none() | owners)
    def adopt(self, at: int, pump: str, other: str | None) -> None:
        id = self.pick(at)
        talk = self.model.talks.get(id)
        owner = other if other is not None else talk.owner if talk else ""
        record = self.backend.adopt(pump, id, owner)
        assert (record is not None) == (talk is not None and talk.owner == owner)
        if record is not None and talk is not None:
            talk.owner = pump
            assert (record.owner, record.outputs, record.delivered) == (pump, talk.outputs, talk.delivered)

    @invariant()
    def looks_like_the_model(self) -> None:
        backend, model = self.backend, self.model
        assert backend.load() == Load(model.in_flight, MAX_THREADS - model.threads)
        assert sorted(backend.ready_listeners()) == sorted(name for name, queue in model.ready.items() if queue)
        assert [letter.at for letter in backend.dead_letters()] == model.dead
        assert {name: backend.cursor(name) for name in NAMES[1:]} == {
            name: model.cursors.get(name) for name in NAMES[1:]
        }
        self.check_totals()
        assert [
            (one.id, one.owner, one.state, one.ended, one.outputs, one.delivered, one.threads, one.retried_from)
            for one in backend.conversations()
        ] == [
            (one.id, one.owner, one.state, one.ended, one.outputs, one.delivered, one.threads, one.retried_from)
            for one in model.talks.values()
        ]
        assert {id: list(backend.hops(id)) for id in model.talks} == {id: one.hops for id, one in model.talks.items()}

    def check_totals(self) -> None:
        totals, model = self.backend.totals(), self.model
        assert (totals.threads, totals.slots, totals.in_flight) == (model.threads, model.slots, model.in_flight)
        assert totals.conversations == len(model.talks)
        assert totals.conversations_active == len(model.talks) - len(model.ended)
        assert totals.dead_letters == len(model.dead)
        assert sum(1 for _ in self.backend.threads()) == model.threads
        assert len(self.backend.registry_list_all()) == 1 + model.threads


class Contents(Machine):
    """Slots, bindings and collections: what no pump has made."""

    @rule(thread=names, slot=slots)
    def append(self, thread: str, slot: bytes) -> None:
        recorded = self.model.loose.setdefault(thread, [])
        if len(recorded) == MAX_SLOTS:
            with pytest.raises(LimitError):
                self.backend.buffer_append(thread, slot)
            return
        assert self.backend.buffer_append(thread, slot) == len(recorded)
        recorded.append(slot)

    @rule(thread=names, start=few, stop=st.none() | few)
    def read(self, thread: str, start: int, stop: int | None) -> None:
        recorded = self.model.loose.get(thread, [])
        assert self.backend.buffer_get_thread(thread, start, stop) == recorded[start:stop]
        assert self.backend.buffer_get_slot(thread, start) == next(iter(recorded[start : start + 1]), None)
        assert self.backend.buffer_thread_len(thread) == len(recorded)
        assert self.backend.buffer_thread_exists(thread) == bool(recorded)

    @rule(thread=names)
    def delete(self, thread: str) -> None:
        assert self.backend.buffer_delete_thread(thread) == bool(self.model.loose.pop(thread, None))

    @rule()
    def clear_slots(self) -> None:
        self.backend.buffer_clear()
        self.model.loose.clear()

    @rule(chain=chains, uuid=names)
    def bind(self, chain: str, uuid: str) -> None:
        uuids = self.model.uuids
        if chain not in uuids and uuid in uuids.values():
            with pytest.raises(LimitError):
                self.backend.registry_set(chain, uuid)
            return
        assert self.backend.registry_set(chain, uuid) == uuids.setdefault(chain, uuid)

    @rule(uuid=names)
    def unbind(self, uuid: str) -> None:
        bound = [chain for chain, other in self.model.uuids.items() if other == uuid]
        assert self.backend.registry_delete(uuid) == bool(bound)
        for chain in bound:
            del self.model.uuids[chain]

    @rule()
    def unbind_all(self) -> None:
        self.backend.registry_clear()
        self.model.uuids.clear()

    @rule(id=names, head=slots, size=st.integers(1, 3))
    def create_collection(self, id: str, head: bytes, size: int) -> None:
        assert self.backend.collection_create("buffer", id, head, size) == (id not in self.model.collections)
        self.model.collections.setdefault(id, (size, Collection(head, {})))

    @rule(id=names, index=st.integers(-1, 3), part=slots)
    def add_to_collection(self, id: str, index: int, part: bytes) -> None:
        size, known = self.model.collections.get(id, (0, Collection(b"", {})))
        is_first = 0 <= index < size and index not in known.parts
        assert self.backend.collection_add("buffer", id, index, part) == is_first
        if is_first:
            known.parts[index] = part

    @rule(id=names)
    def remove_collection(self, id: str) -> None:
        assert self.backend.collection_remove("buffer", id) == (self.model.collections.pop(id, None) is not None)

    @invariant()
    def looks_like_the_model(self) -> None:
        backend, model = self.backend, self.model
        recorded = {name: slots for name, slots in model.loose.items() if slots}
        assert {name: backend.buffer_get_thread(name) for name in backend.buffer_list_threads()} == recorded
        assert (backend.totals().slots, backend.totals().joins) == (model.slots, 0)
        root = {"system.org": backend.registry_get_uuid("system.org")}
        assert {chain: uuid for uuid, chain in backend.registry_list_all().items()} == root | model.uuids
        for chain in CHAINS:
            assert backend.registry_get_uuid(chain) == model.uuids.get(chain)
        for id in NAMES:
            assert backend.collection_get("buffer", id) == model.collections.get(id, (0, None))[1]
        assert sorted(backend.collection_ids("buffer")) == sorted(model.collections)
        assert list(backend.collection_ids("sequence")) == list(backend.joins()) == []


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("machine", [Conversations, Contents])
def test_any_backend_does_what_the_model_does(
    request: pytest.FixtureRequest, make_backend: Callable[..., SharedBackend], machine: type[Machine], times: int
) -> None:
    class OnBackend(machine):  # type: ignore[valid-type,misc]
        make = staticmethod(lambda: make_backend(MAX_THREADS, MAX_SLOTS))
        queues = "home" in request.node.callspec.id

    examples = EXAMPLES[request.node.callspec.params["make_backend"]]
    run_state_machine_as_test(
        OnBackend,
        settings=settings(
            max_examples=times * (examples if machine is Conversations else examples // 2),
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
