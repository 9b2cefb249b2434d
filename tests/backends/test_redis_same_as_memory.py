"""Memory and Redis side by side: the same steps give the same claims, events and records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import pytest
import redis_server
from random_trees import LISTENERS, RandomTree
from router_kit import World

from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.redis import RedisBackend
from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.core.limits import Limits
from xpipe.core.messages import Claim, Injection, PumpRecord, Step, decode_message
from xpipe.ports import Advanced

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


class Twins(InMemoryBackend):
    """A memory backend that has Redis do the same, and compares."""

    def __init__(self, max_threads: int = 100_000) -> None:
        super().__init__(max_threads)
        self.redis = RedisBackend(redis_server.shared().url, redis_server.new_prefix(), max_threads=max_threads)

    def open(self, organism: str | None, slots_per_thread: int) -> None:
        super().open(organism, slots_per_thread)
        self.redis.open(organism, slots_per_thread)
        self._ledger.secret = self.redis.secret()
        self._ledger.root_id = chains.thread_id(self.redis.secret(), self._ledger.root)

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        theirs = self.redis.advance(pump, finished, room, most, now)
        ours = super().advance(pump, finished, room, most, now)
        assert comparable(theirs) == comparable(ours)
        return ours

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        ids = super().inject(pump, messages, now)
        assert self.redis.inject(pump, messages, now) == ids
        return ids

    def compare(self) -> None:
        """Everything that can be seen from outside."""
        assert self.redis.totals() == self.totals()
        assert list(self.redis.threads()) == list(self.threads())
        assert list(self.redis.conversations()) == list(self.conversations())
        assert list(self.redis.conversations(running=True)) == list(self.conversations(running=True))
        assert sorted(self.redis.joins()) == sorted(self.joins())
        assert sorted(self.redis.registry_list_all()) == sorted(self.registry_list_all())
        assert [undecided(one) for one in self.redis.dead_letters()] == [undecided(one) for one in self.dead_letters()]
        assert sorted(self.redis.buffer_list_threads()) == sorted(self.buffer_list_threads())
        for id in self.buffer_list_threads():
            assert self.redis.buffer_get_thread(id) == self.buffer_get_thread(id)
            assert self.redis.join_results(id) == self.join_results(id)


def undecided(letter: Any) -> Any:
    return (letter.message, letter.fault, letter.told)


def comparable(advanced: Advanced) -> Any:
    """The order in which a claim tells the open calls of its thread means nothing."""
    claims = [
        (*(getattr(one, name) for name in Claim.__struct_fields__ if name != "open"), sorted(one.open))
        for one in advanced.claims
    ]
    return dataclasses.replace(advanced, claims=claims)


@pytest.fixture
def twins() -> Iterator[Twins]:
    both = Twins()
    both.open("org", 10)
    yield both
    both.redis.close()


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


@pytest.mark.parametrize("slots", [2, 4, 10_000])
@pytest.mark.parametrize("seed", range(12))
def test_random_trees_go_the_same_way(seed: int, slots: int) -> None:
    tree = TwinTree(Random(seed), 25, Limits(slots_per_thread=slots))

    tree.run(3)

    tree.both.redis.close()


PUMPS = ("p1", "p2", "p3")
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

    def both_do(self, verb: str, *args: Any) -> Any:
        ours, theirs = (
            self._try(one, verb, args)
            for one in (getattr(super(Twins, self.both), verb), getattr(self.both.redis, verb))
        )
        assert ours == theirs, verb
        return ours

    def _try(self, method: Any, verb: str, args: tuple[Any, ...]) -> Any:
        del verb
        try:
            return method(*args)
        except LimitError as error:
            return str(error)

    def turn(self) -> None:
        self.random.choice([self.advance, self.advance, self.advance, self.inject, self.pump, self.content])()

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def inject(self) -> None:
        to = self.random.sample(NAMES, self.random.randint(0, 2))
        self.both.inject(self.random.choice(PUMPS), [Injection("cli", to, "Ping", b"x" * 300)] * 2, self.now)

    def advance(self) -> None:
        pump = self.random.choice(PUMPS)
        mine = [claim for owner, claim in self.held if owner == pump]
        finished = self.random.sample(mine, self.random.randint(0, len(mine)))
        room = dict.fromkeys(NAMES, self.random.choice([0, 1, 2, 5]))
        self.now += 1.0
        steps = [self.step(claim) for claim in finished]
        advanced = self.both.advance(pump, steps, room, self.random.choice([0, 1, 3]), self.now)
        self.held = [(owner, claim) for owner, claim in self.held if claim not in finished]
        self.held += [(pump, claim) for claim in advanced.claims]

    def step(self, claim: Claim) -> Step:
        from contract_kit import Driver, answered, done, failed

        drive = Driver(self.both)
        drive._numbers = iter(range(self.number() * 1_000, self.numbers * 1_000 + 999))  # type: ignore[assignment]
        message = decode_message(claim.message)
        name = self.random.choice(NAMES)
        kind = self.random.choice(["answered", "answered", "failed", "sends", "own", "again", "join", "untold"])
        if kind in ("sends", "join") and self.roles.setdefault(claim.thread, kind) != kind:
            kind = "own"  # A thread collects, or calls; a Buffer collects once.
        if kind == "answered" and (claim.call or message.kind == "request"):
            return answered(claim)
        if kind == "failed" and (claim.call or message.kind == "request"):
            return failed(claim)
        if kind == "untold":
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
            return Step(claim.thread, claim.fence, again=claim.attempt + 1)
        if kind == "join" and claim.chain.count(".") < 7:
            self.roles[claim.thread] = "joined"
            total = self.random.randint(1, 3)
            join = drive.join(
                claim, total, expires=self.random.choice([0.0, self.now + 3]), collect=self.random.random() < 0.8
            )
            return done(claim, join=join, sends=[drive.send(claim, name, f"{n}.{name}", n) for n in range(total)])
        return done(claim, ends=self.random.random() < 0.3)

    def pump(self) -> None:
        pump = self.random.choice(PUMPS)
        verb = self.random.choice(["enroll", "retire", "bury_pump", "renew"])
        if verb in ("retire", "bury_pump"):
            self.both_do(verb, pump)
        elif verb == "renew":
            self.both_do("renew", pump, self.now + 10)
        else:
            self.both_do("enroll", PumpRecord(pump, "host", 1, 2, self.now))
        ours, theirs = (sorted(map(repr, one)) for one in (super(Twins, self.both).pumps(), self.both.redis.pumps()))
        assert ours == theirs

    def content(self) -> None:
        random = self.random
        ids = [*self.both.buffer_list_threads(), *(one.thread for one in self.both.threads()), "loose-1", "loose-2"]
        talks = [*(one.id for one in self.both.conversations()), "unknown"]
        known = [chain for _, chain in self.both.registry_list_all()]
        chain = random.choice([*known, "system.org.cli-1.a.b~0", "some.chain"])
        id = random.choice(ids)
        self.both_do(
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
                    ("registry_delete", random.choice([*ids, *(one for one, _ in self.both.registry_list_all())])),
                    ("registry_clear",),
                    ("join_create", f"mine-{random.randint(1, 2)}", 2),
                    ("join_record", f"mine-{random.randint(1, 2)}", random.randint(0, 1), b"result"),
                    ("join_get", f"mine-{random.randint(1, 2)}"),
                    ("join_remove", f"mine-{random.randint(1, 2)}"),
                    ("forget", random.choice(talks)),
                    ("adopt", random.choice(PUMPS), random.choice(talks)),
                    ("delivered", random.choice(talks), random.randint(0, 2)),
                ]
            )
        )


def decoded_slot(number: int) -> bytes:
    from xpipe.core.messages import Message, encode_message

    return encode_message(Message(f"s{number}", "request", "", "me", "you", "Ping", b"slot", "", 1))


@pytest.mark.parametrize("seed", range(25))
def test_whatever_else_happens_goes_the_same_way(seed: int, twins: Twins) -> None:
    life = Life(seed, twins)

    for turn in range(250):
        life.turn()
        if turn % 10 == 0:
            twins.compare()

    twins.compare()
