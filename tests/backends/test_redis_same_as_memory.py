"""Memory and Redis side by side: the same steps give the same claims, events and records."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis_server
from contract_kit import FAULT_BYTES, Driver, answered, done, failed
from msgspec.structs import replace
from random_trees import LISTENERS, RandomTree
from redis_twin import PUMPS, Twins
from router_kit import World

from xpipe.core.limits import Limits
from xpipe.core.messages import (
    Answer,
    Claim,
    Cursor,
    DeadLetter,
    HopRecord,
    Injection,
    Join,
    PumpRecord,
    Send,
    Step,
    encode_hop,
    readable,
)

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


@pytest.fixture
def twins() -> Iterator[Twins]:
    both = Twins(max_threads=40)
    both.open("org", 10)
    yield both
    both.close()


class TwinTree(RandomTree):
    def __init__(self, random: Random, budget: int, limits: Limits) -> None:
        super().__init__(random, budget, limits)
        self.both = Twins()
        self.world = World(*LISTENERS, limits=limits, backend=self.both)

    def check(self) -> None:
        super().check()
        if self.random.random() < 0.2:
            self.both.compare()

    def check_the_end(self) -> None:
        super().check_the_end()
        self.both.compare()


def few_and_slow(few: int, count: int) -> list[Any]:
    """The numbers up to `count`, those from `few` on among the slow tests."""
    return [*range(few), *(pytest.param(one, marks=pytest.mark.slow) for one in range(few, count))]


@pytest.mark.parametrize("slots", [2, 4, 10_000])
@pytest.mark.parametrize("seed", few_and_slow(2, 12))
def test_random_trees_go_the_same_way(seed: int, slots: int) -> None:
    tree = TwinTree(Random(seed), 25, Limits(slots_per_thread=slots))

    tree.run(3)

    tree.both.close()


NAMES = ("a", "b", "c")


class Life:
    """What else may happen to a backend, at random: pumps come and go, and people look in and clear up."""

    def __init__(self, seed: int, both: Twins) -> None:
        self.random = Random(seed)
        self.both = both
        self.held: list[tuple[str, Claim]] = []
        self.now = 1_000.0
        self.numbers = 0
        self.roles: dict[str, str] = {}

    def turn(self) -> None:
        often = [*[self.advance] * 9, *[self.inject] * 2]
        seldom = [self.pump, self.content, self.keeping]
        self.random.choice([*often, *seldom])()

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def inject(self) -> None:
        to = self.random.sample(NAMES, self.random.randint(0, 2))
        cursor = Cursor(self.random.choice(PUMPS), "print", self.number()) if self.random.random() < 0.3 else None
        injections = [Injection("cli", to, "Ping", b"x" * 300)] * self.random.randint(0, 2)
        seen = self.both.cursor(cursor.name) if cursor and self.random.random() < 0.8 else None
        self.both.inject(self.random.choice([*PUMPS, ""]), injections, self.now, cursor, seen)

    def advance(self) -> None:
        pump = self.random.choice(PUMPS)
        mine = [claim for owner, claim in self.held if owner == pump]
        finished = self.random.sample(mine, self.random.randint(0, len(mine)))
        room = dict.fromkeys(NAMES, self.random.choice([0, 1, 2, 5, 5]))
        self.now += 1.0
        steps = [self.step(claim) for claim in finished]
        advanced = self.both.advance(pump, steps, room, self.random.choice([0, 1, 3, 9]), self.now)
        self.held = [(owner, claim) for owner, claim in self.held if claim not in finished]
        self.held += [(pump, claim) for claim in advanced.claims]

    def step(self, claim: Claim) -> Step:
        step = self.plain_step(claim)
        step.hop = self.random.choice([b"", encode_hop(HopRecord("m", "a", self.number(), 0.0, 0.0, ""))])
        step.cancels = not (step.again or step.join) and self.random.random() < 0.1
        return step

    def plain_step(self, claim: Claim) -> Step:
        drive = Driver(self.both)
        drive._numbers = iter(range(self.number() * 1_000, self.numbers * 1_000 + 999))  # type: ignore[assignment]
        message = readable(claim.message)
        if message is None:
            return self.step_of_damaged(claim)
        thread = self.both._store.thread(claim.thread)
        if message.kind == "more" and thread and thread.join:
            return self.feeding(drive, claim, thread.join.terms)
        name = self.random.choice(NAMES)
        kinds = ["answered"] * 4 + ["failed", "sends", "sends", "own", "again", "join", "join", "untold"]
        kind = self.random.choice(kinds)
        if kind in ("sends", "join") and self.roles.setdefault(claim.thread, kind) != kind:
            kind = "own"  # A thread collects, or calls; a Buffer collects once.
        asked = bool(claim.call) or message.kind == "request"
        if kind == "answered" and asked:
            return answered(claim)
        if kind == "failed" and asked:
            return failed(claim)
        if kind == "untold" and not asked:
            return failed(claim, told=False)
        if kind == "sends" and claim.chain.count(".") < 7:
            return done(
                claim,
                sends=[drive.send(claim, name, f"{name}~{n}") for n in range(self.random.randint(1, 3))],
                no_answer=self.random.random() < 0.3,
            )
        if kind == "own" and claim.fence < 5:
            return done(claim, own=[drive.own(claim)], state=self.random.choice([None, b"", b"kept"]))
        if kind == "again":
            due = self.random.choice([0.0, self.now + 2, self.now + 6])
            # Of those due at the same time it is not said which comes first.
            return Step(claim.thread, claim.fence, again=claim.attempt + 1, due=due and due + self.number() / 1_000)
        if kind == "join" and claim.chain.count(".") < 7:
            self.roles[claim.thread] = "joined"
            terms = self.terms(drive, claim)
            return done(claim, join=terms, sends=items(drive, claim, 0, terms.total))
        return done(claim, ends=self.random.random() < 0.3)

    def terms(self, drive: Driver, claim: Claim) -> Join:
        random, options = self.random, {}
        if random.random() < 0.5:
            options = {"more": drive.own(claim, b"feed").replace(b"\xa4self", b"\xa4more"), "low": random.randint(0, 2)}
        options |= {"enough": random.choice([0, 0, 1, 2]), "spare": random.choice([-1, -1, 0, 1])}
        expires, collect = random.choice([0.0, self.now + 3]), random.random() < 0.8
        return drive.join(claim, random.randint(1, 3), expires=expires, collect=collect, **options)

    def feeding(self, drive: Driver, claim: Claim, before: Join) -> Step:
        """Goes on with the join of the thread, and mostly is not asked again."""
        more = before.more if self.random.random() < 0.4 else b""
        join = replace(before, total=before.total + self.random.randint(0, 3), more=more)
        return done(claim, join=join, sends=items(drive, claim, before.total, join.total))

    def step_of_damaged(self, claim: Claim) -> Step:
        parent = self.both._store.threads[claim.thread].parent
        ends = [one for one in (parent.open or {}).values() if claim.chain.endswith(f".{one}")] if parent else []
        dead = DeadLetter(claim.message, FAULT_BYTES, self.random.random() < 0.5)
        fault = message_of_fault(claim)
        # Which of several open calls is meant, is not said.
        answer = Answer("", fault, fault=True) if len(ends) < 2 else None
        return Step(claim.thread, claim.fence, answer=answer, ends=True, failed=True, dead=dead)

    def keeping(self) -> None:
        random, now = self.random, self.now
        talks = [*(one.id for one in self.both.conversations()), "unknown"]
        owners = [*(one.owner for one in self.both.conversations()), "", "p1"]
        letters = [*(one.number for one in self.both.dead_letters()), 999]
        retry = Injection("retry", list(NAMES[:2]), "Ping", b"again", retried_from=talks[0])
        verb, *args = random.choice(
            [
                ("forget", random.choice(talks)),
                ("forget_ended", now - random.randint(0, 30), random.randint(0, 3)),
                ("make_room",),
                ("cancel", random.choice(talks), FAULT_BYTES, now),
                ("drop_dead_letters", now - random.randint(0, 30)),
                ("drop_dead", random.choices(letters, k=random.randint(0, 2))),
                ("retry_dead", random.choice(letters), random.choice([*PUMPS, ""]), retry, now),
                ("adopt", random.choice(PUMPS), random.choice(talks), random.choice(owners)),
                ("delivered", {one: random.randint(-1, 3) for one in random.sample(talks, random.randint(0, 1))}),
                ("delivered", dict.fromkeys(talks, 9)),
                ("damages", True),
            ]
        )
        self.both.both(verb, *args)
        ids = [one.thread for one in self.both.threads()]
        if ids:
            id = random.choice(ids)
            self.both.compare_prefixes(id[: random.choice([1, 2, 8, 36])])
            self.damage(id)

    def damage(self, thread: str) -> None:
        slots = self.both.buffer_get_thread(thread)
        if slots and self.random.random() < 0.5:
            index = self.random.randrange(len(slots))
            data, size = slots[index], len(slots[index])
            damaged = [
                b"\xc1" * size,
                data[:-1] + b"\x02",
                data[:-1] + b"\xc1",
                b"\x9a" + data[1:],
                data[: size - 1] + b"x",
            ]
            self.both.corrupt(thread, index, self.random.choice(damaged))

    def pump(self) -> None:
        pump = self.random.choice(PUMPS)
        verb = self.random.choice(["enroll", "retire", "bury_pump", "renew"])
        if verb in ("retire", "bury_pump"):
            self.both.both(verb, pump)
        elif verb == "renew":
            self.both.both("renew", pump, self.now + 10)
        else:
            self.both.enroll(PumpRecord(pump, "host", 1, 2, self.now, self.random.random() < 0.5))
        ours, theirs = (
            sorted(one.pumps(), key=lambda pump: pump.id) for one in (super(Twins, self.both), self.both.redis)
        )
        # Redis keeps the ends of leases by a clock of its own.
        assert [one.expires for one in theirs] == pytest.approx([one.expires for one in ours], abs=1)
        assert [replace(one, expires=0.0) for one in theirs] == [replace(one, expires=0.0) for one in ours]

    def content(self) -> None:
        random = self.random
        ids = [*self.both.buffer_list_threads(), *(one.thread for one in self.both.threads()), "loose-1", "loose-2"]
        known = [*self.both.registry_list_all().values()]
        chain = random.choice([*known, "system.org.cli-1.a.b~0", "some.chain"])
        id = random.choice(ids)
        self.both.both(
            *random.choice(
                [
                    ("buffer_append", id, decoded_slot(self.number())),
                    ("buffer_delete_thread", id),
                    ("buffer_clear",),
                    ("buffer_get_thread", id, random.randint(-3, 3), random.choice([None, -1, 0, 1, 5])),
                    ("buffer_get_slot", id, random.randint(-1, 4)),
                    ("registry_set", chain, random.choice([id, f"bound-{self.number()}"])),
                    ("registry_get_uuid", chain),
                    ("registry_get_chain", id),
                    ("registry_delete", random.choice([*ids, *self.both.registry_list_all()])),
                    ("registry_clear",),
                    ("collection_create", "buffer", f"mine-{random.randint(1, 2)}", b"head", 2),
                    ("collection_add", "buffer", f"mine-{random.randint(1, 2)}", random.randint(-1, 2), b"result"),
                    ("collection_get", "buffer", f"mine-{random.randint(1, 2)}"),
                    ("collection_remove", "buffer", f"mine-{random.randint(1, 2)}"),
                ]
            )
        )


def items(drive: Driver, claim: Claim, first: int, total: int) -> list[Send]:
    """What a Buffer sends of the items from `first` on."""
    return [drive.send(claim, NAMES[n % 2], f"{n}.{NAMES[n % 2]}", n) for n in range(first, total)]


def message_of_fault(claim: Claim) -> bytes:
    from xpipe.core.messages import FAULT, Message, encode_message

    return encode_message(Message("lost", FAULT, "", claim.listener, claim.caller, "Fault", FAULT_BYTES, "", 1))


def decoded_slot(number: int) -> bytes:
    from xpipe.core.messages import Message, encode_message

    return encode_message(Message(f"s{number}", "request", "", "me", "you", "Ping", b"slot", "", 1))


@pytest.mark.parametrize("seed", few_and_slow(5, 25))
def test_whatever_else_happens_goes_the_same_way(seed: int, twins: Twins) -> None:
    life = Life(seed, twins)

    for turn in range(250):
        life.turn()
        if turn % 10 == 0:
            twins.compare()

    twins.compare()
