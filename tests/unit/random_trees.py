"""Random organisms at work: trees of calls and whatever else handlers may do, in a random order, checked all along."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from router_kit import PUMP, Other, Ping, Pong, World, call, listener, respond

from xpipe.backends.memory import InMemoryBackend
from xpipe.core.limits import Limits
from xpipe.core.messages import (
    FAULT,
    JOINED,
    RESPONSE,
    Claim,
    Injection,
    Message,
    Step,
    claimed_message,
    decode_message,
)
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferStart,
    Fault,
    HandlerResponse,
    SequenceComplete,
    SequenceStart,
)
from xpipe.ledger.ledger import Ledger

RESULTS = (BufferComplete, BufferDispatched, SequenceComplete)
LISTENERS = (
    listener("plain", Ping, Pong),
    listener("dotted.name", Ping, Pong, Other, *RESULTS),
    listener("careful", Ping, Pong, Fault, *RESULTS),
    listener("strict", Ping),
    listener("fenced", Ping, Pong, Fault, peers=frozenset({"plain", "crowd"})),
    listener("anything", object),
    listener("crowd.one", Ping, broadcast=True),
    listener("crowd.two", Ping, broadcast=True),
)
NAMES = [one.name for one in LISTENERS]
TARGETS = [*NAMES, "crowd", "nobody"]
TAKES_ALL = "dotted.name"


class WorkerLost(Exception):
    code = "worker_lost"


class Calls:
    """What the steps committed so far say about each call: the reference that the backend is compared with."""

    def __init__(self) -> None:
        self.open: dict[str, str] = {}
        self.answered: set[str] = set()
        self.told: set[str] = set()
        self.joins: dict[str, tuple[float, list[str]]] = {}
        self.ignored: set[str] = set()

    def commit(self, step: Step) -> None:
        if step.ends:
            self.open = {call: thread for call, thread in self.open.items() if thread != step.thread}
        for send in step.sends:
            self.open[send.call] = step.thread
        if step.join is not None:
            calls = [send.call for send in step.sends]
            self.joins[step.thread] = (step.join.expires, calls)
            (self.told if step.join.collect else self.ignored).update(calls)
        if step.no_answer:
            self.told.update(send.call for send in step.sends)
        if step.answer is not None and self.open.pop(step.answer.call, None) is not None:
            self.answered.add(step.answer.call)

    def expire(self, now: float) -> None:
        for expires, calls in self.joins.values():
            if expires and expires <= now:
                for call in calls:
                    self.open.pop(call, None)

    def replies(self) -> set[str]:
        """The calls whose reply must have arrived: answered while somebody waited for it."""
        return self.answered - self.ignored

    def see(self, reply: Message) -> None:
        """A reply that arrived; it may be one that the backend made for a call nobody answered (E2, E3)."""
        if reply.id == f"{reply.call}!":
            assert reply.call not in self.answered
            assert reply.call in self.told
            self.answered.add(reply.call)


class RandomTree:
    """Runs conversations whose handlers do what `random` says, at most `budget` hops with calls in them."""

    def __init__(
        self, random: Random, budget: int = 30, limits: Limits | None = None, backend: InMemoryBackend | None = None
    ) -> None:
        self.random = random
        self.budget = budget
        self.world = World(*LISTENERS, limits=limits, backend=backend)
        self.held: list[Claim] = []
        self.done: list[Step] = []
        self.injected: list[str] = []
        self.claimed: dict[str, list[str]] = {}
        self.calls = Calls()
        self.collected: set[str] = set()

    @property
    def ledger(self) -> Ledger:
        return self.world.backend._ledger

    def run(self, conversations: int = 2) -> None:
        for _ in range(conversations):
            self.inject()
        self.check()
        while self.turn():
            self.check()
        self.check_the_end()

    def inject(self) -> None:
        payload, to = self.random.choice([(Ping(), self.random.choice([*NAMES, "crowd"])), *self.primitive_starts()])
        type, data = self.world.types.encode(payload)
        injection = Injection("cli", list(self.world.topology.members(to)), type, data)
        [id] = self.world.backend.inject(PUMP, [injection], self.world.now)
        self.injected.append(id)
        self.calls.open |= dict.fromkeys(self.ledger.records.threads[id].open, id)

    def turn(self) -> bool:
        """Finish some of the hops under way and claim some of what is ready; False when nothing is left."""
        random = self.random
        if random.random() < 0.05:
            self.world.now += random.choice([1.0, 10.0])
        finished = random.sample(self.held, random.randint(min(1, len(self.held)), len(self.held)))
        steps = [self.world.step(claim, lambda *_: self.outcome()) for claim in finished]
        stale = random.sample(self.done, min(len(self.done), random.randint(0, 2)))
        batch = [*steps, *stale]
        most = random.choice([0, 1, 2, 1000]) if finished else 1000
        advanced = self.world.advance(*batch, most=most)
        assert {at for at in advanced.refused if advanced.refused[at] == "stale"} >= set(range(len(steps), len(batch)))
        self.done += [step for at, step in enumerate(steps) if at not in advanced.refused]
        for at, step in enumerate(steps):
            if at not in advanced.refused and not step.again:
                self.calls.commit(step)
        self.calls.expire(self.world.now)
        self.held = [claim for claim in self.held if claim not in finished]
        self.fail_refused(finished, steps, advanced.refused)
        for claim in advanced.claims:
            self.take(claim)
        return bool(finished or advanced.claims)

    def fail_refused(self, finished: list[Claim], steps: list[Step], reasons: dict[int, str]) -> None:
        """What the pump does with hops refused for want of slots: they fail, and that is never refused."""
        refused = [at for at in range(len(steps)) if at in reasons]
        for at in refused:
            assert reasons[at] == "slots"
            claim, message = finished[at], decode_message(finished[at].message)
            fault = self.world.router.fault(claim, message, "too_many_slots", "full")
            failed = self.world.router.fail(claim, message, fault)
            assert self.world.advance(failed, most=0).refused == {}
            self.calls.commit(failed)

    def take(self, claim: Claim) -> None:
        assert claim.thread not in {one.thread for one in self.held}, "two messages of a thread at a time"
        self.held.append(claim)
        message = claimed_message(claim)
        if message.attempt == 1:
            self.claimed.setdefault(claim.thread, []).append(message.id)
        if message.kind == JOINED:
            self.take_results(claim.thread, self.world.backend.join_results(claim.thread))
        self.calls.see(message)

    def take_results(self, thread: str, results: list[bytes | None]) -> None:
        expires, own = self.calls.joins[thread]
        for reply, item in zip([decode_message(one) if one else None for one in results], own, strict=True):
            if reply is None:
                assert expires
                assert expires <= self.world.now
            else:
                assert reply.call == item, "a Buffer collects the results of its own items"
                self.calls.see(reply)
                self.collected.add(item)

    def rarely(self) -> bool:
        return self.random.random() < 0.06

    def outcome(self) -> Any:
        random, self.budget = self.random, self.budget - 1
        if self.rarely():
            return random.choice([ValueError("broken"), WorkerLost("gone")])
        most = 3 if self.budget > 0 else 1
        return [self.response() for _ in range(random.randint(0, most) if self.rarely() else random.randint(1, most))]

    def response(self) -> HandlerResponse:
        random = self.random
        if self.rarely():
            return respond(random.choice([Other(), Fault("mine", "x"), Pong(5), Fault(5, "")]))
        if self.budget <= 0 or random.random() < 0.4:
            return respond(Pong())
        if random.random() < 0.35:
            payload, to = random.choice(self.primitive_starts())
            return call(to, payload)
        return call(self.target("crowd"), self.item("", 0) if self.rarely() else Ping())

    def target(self, *more: str) -> str:
        return "nobody" if self.rarely() else self.random.choice([*NAMES, *more])

    def primitive_starts(self, depth: int = 2) -> list[tuple[Any, str]]:
        return [(self.buffer(depth), BUFFER), (self.sequence(depth), SEQUENCE)]

    def buffer(self, depth: int) -> BufferStart:
        random = self.random
        target = random.choice([BUFFER, SEQUENCE]) if depth and random.random() < 0.3 else self.target()
        items = [self.item(target, depth) for _ in range(random.choice([1, 2, 2, 4]))]
        collect, timeout = random.random() < 0.8, random.choice([0.0, 0.0, 5.0])
        return BufferStart(target, [] if self.rarely() else items, collect, self.return_to(), timeout)

    def sequence(self, depth: int) -> SequenceStart:
        random = self.random
        first = random.choice([BUFFER, SEQUENCE]) if depth and random.random() < 0.3 else self.target()
        further = random.choice([["plain"], ["anything"], [TAKES_ALL], [TAKES_ALL, "plain"], [self.target()], []])
        steps = [] if self.rarely() else [first, *further]
        return SequenceStart(steps, self.item(first, depth), self.return_to())

    def return_to(self) -> str:
        if self.rarely():
            return self.random.choice(TARGETS)
        return self.random.choice(["", "", "", "anything", "careful", TAKES_ALL])

    def item(self, target: str, depth: int) -> Any:
        if depth and target == BUFFER:
            return self.buffer(depth - 1)
        if depth and target == SEQUENCE:
            return self.sequence(depth - 1)
        return self.random.choice([Ping("x"), Pong(), Other(), '{"n": 1}', '{"n": "']) if self.rarely() else Ping()

    def check(self) -> None:
        """What must hold after every commit."""
        self.check_counts()
        active = {one.conversation for one in self.world.backend.threads() if one.state == "active"}
        ended = Counter(event.conversation for event in self.world.events if event.kind == "ended")
        assert set(ended.values()) <= {1}, "a conversation ends once"
        if not (self.held or self.done):
            return  # Events are handed over by `advance`, which has not been called.
        assert set(self.injected) - set(ended) == active, "a conversation ends in the commit of its last hop"

    def check_counts(self) -> None:
        ledger = self.ledger.records
        boxes = {id: len(thread.mailbox or ()) for id, thread in ledger.threads.items()}
        below = Counter(one.parent.id for one in ledger.threads.values() if one.parent is not None and one.pending)
        for id, thread in ledger.threads.items():
            assert thread.pending == boxes[id] + below[id], thread.chain
            assert thread.mailbox != [], thread.chain
        assert ledger.in_flight == sum(boxes.values()) == self.world.backend.totals().in_flight
        assert ledger.slot_count == sum(len(thread.slots) for thread in ledger.threads.values())
        ready = [thread.id for lane in ledger.lanes.values() for thread in lane]
        claimed = [id for id, thread in ledger.threads.items() if thread.owner]
        assert sorted(ready + claimed) == sorted(id for id in boxes if boxes[id]), "ready or claimed, once"
        assert sorted(claimed) == sorted(one.thread for one in self.held)
        assert all(join.thread is not None and join.missing for join in ledger.joins.values())

    def check_the_end(self) -> None:
        world, ledger = self.world, self.ledger.records
        assert self.held == []
        assert ledger.in_flight == 0, "nothing is claimable, so nothing may be in flight"
        assert {one.pending for one in ledger.threads.values()} == {0}
        assert list(world.backend.joins()) == []
        assert {one.state for one in world.backend.threads()} <= {"done", "failed"}
        assert world.backend.totals().conversations_active == 0
        self.check_endings()
        self.check_answers()
        self.check_order()

    def check_endings(self) -> None:
        faulted = {
            event.conversation
            for event in self.world.events
            if event.kind == "output" and decode_message(event.message).kind == FAULT
        }
        ended = {event.conversation: event.state for event in self.world.events if event.kind == "ended"}
        assert ended == {id: "failed" if id in faulted else "done" for id in self.injected}

    def check_answers(self) -> None:
        """No call is answered twice, nothing is handed out that nobody could read, every Buffer is whole."""
        types, answered = self.world.types, Counter()
        for thread in self.ledger.records.threads.values():
            for message in map(decode_message, thread.slots):
                if message.kind in (RESPONSE, FAULT):
                    answered[message.call] += 1
                if message.kind == FAULT or thread.parent is None:
                    types.decode(message.type, message.payload)
                if message.type == "BufferComplete" and message.kind == RESPONSE:
                    complete = types.decode(message.type, message.payload)
                    assert [one.index for one in complete.results] == list(range(complete.total))
        assert all(count == 1 for count in answered.values())
        own = [decode_message(one) for step in self.done for one in step.own]
        refusals = {message.call for message in own if message.kind == FAULT}
        assert self.collected | ({*answered} - refusals) == self.calls.replies()

    def check_order(self) -> None:
        """Every message of a thread was handled, once and in the order of their commits."""
        for thread in self.ledger.records.threads.values():
            if thread.parent is None:
                continue
            messages = [decode_message(one) for one in thread.slots]
            arrived = [one.id for one in messages if not one.kind.startswith("late-")]
            assert self.claimed.get(thread.id, []) == arrived, thread.chain
            assert sum(one.kind == JOINED for one in messages) <= 1
