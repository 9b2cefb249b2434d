"""Memory and Redis side by side: the same steps give the same claims, events and records."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec
import pytest
import redis as client
import redis_server
from msgspec.structs import replace
from random_trees import LISTENERS, RandomTree
from router_kit import World

from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.redis import RedisBackend
from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.core.limits import Limits
from xpipe.core.messages import (
    Answer,
    Claim,
    Cursor,
    DeadLetter,
    Injection,
    PumpRecord,
    Step,
    readable,
)
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced, Damage

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


class Twins(InMemoryBackend):
    """A memory backend that has Redis do the same, and compares."""

    def __init__(self, max_threads: int = 100_000) -> None:
        super().__init__(max_threads)
        self.redis = RedisBackend(redis_server.shared().url, redis_server.new_prefix(), max_threads=max_threads)
        self.redis._upkeep._next = float("inf")  # It would take away what pumps claim that are not enrolled.
        self.raw = client.Redis.from_url(redis_server.shared().url)

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

    def inject(self, pump: str, messages: Sequence[Injection], now: float, cursor: Cursor | None = None) -> list[str]:
        ids = super().inject(pump, messages, now, cursor)
        assert self.redis.inject(pump, messages, now, cursor) == ids
        return ids

    def enroll(self, pump: PumpRecord) -> None:
        super().enroll(pump)
        self.redis.enroll(pump)

    def both(self, verb: str, *args: Any, **options: Any) -> Any:
        """What `verb` answers, which is the same for both."""
        ours, theirs = (answer_of(getattr(one, verb), args, options) for one in (super(), self.redis))
        assert ours == theirs, verb
        return ours

    def close(self) -> None:
        self.redis.close()
        self.raw.close()

    def corrupt(self, thread: str, index: int, data: bytes) -> None:
        self._store.threads[thread].slots[index] = data
        self.raw.lset(f"{self.redis._prefix}buffer:{thread}", index, data)

    def compare(self) -> None:
        """Everything that can be seen from outside."""
        for verb in ("root", "load", "totals", "ready_listeners", "dead_letters", "damages"):
            self.both(verb)
        # A pump that was never enrolled, or is buried, leaves traces.
        assert [one for one in self.redis.orphans() if one.kind != "pump"] == []
        for newest in (False, True):
            self.both("threads", newest=newest)
            self.both("conversations", running=newest)
        for owner in (*PUMPS, "", "nobody"):
            self.both("conversations", owner=owner)
            self.both("cursor", owner)
        for verb in ("joins", "registry_list_all", "registry_entries", "buffer_list_threads"):
            in_any_order(self, verb)
        for id in self.buffer_list_threads():
            self.both("buffer_get_thread", id)
            self.both("join_results", id)
        for conversation in self._store.conversations:
            self.both("threads", conversation)
            self.both("threads", conversation, newest=True)

    def compare_prefixes(self, prefix: str) -> None:
        ours, theirs = (sorted(one.find_threads(prefix, 1_000), key=repr) for one in (super(), self.redis))
        assert ours == theirs
        assert len(self.redis.find_threads(prefix, 2)) == min(2, len(ours))


def answer_of(method: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    try:
        answer = method(*args, **options)
    except LimitError as error:
        return str(error)
    return [alike(one) for one in answer] if isinstance(answer, Iterator) else answer


def alike(one: Any) -> Any:
    """Redis tells of a slot by its key; a letter of what was set aside bears the time of day."""
    if isinstance(one, Damage):
        return dataclasses.replace(one, key=slot_of(one.key))
    if isinstance(one, DeadLetter) and one.at > 1e8:
        fault = msgspec.msgpack.decode(one.fault, type=Fault)
        fault = dataclasses.replace(fault, text=slot_of(fault.text))
        return replace(one, fault=msgspec.msgpack.encode(fault), at=0.0)
    return one


def slot_of(key: str) -> str:
    return re.sub(r"\S+:buffer:(\S+) slot (\d+)", r"slot \2 of the thread \1", key)


def in_any_order(both: Twins, verb: str) -> None:
    ours, theirs = (sorted(getattr(one, verb)(), key=repr) for one in (super(Twins, both), both.redis))
    assert ours == theirs, verb


def comparable(advanced: Advanced) -> Any:
    """The order in which a claim tells the open calls of its thread means nothing."""
    claims = [
        (*(getattr(one, name) for name in Claim.__struct_fields__ if name != "open"), sorted(one.open))
        for one in advanced.claims
    ]
    return dataclasses.replace(advanced, claims=claims)


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


@pytest.mark.parametrize("slots", [2, 4, 10_000])
@pytest.mark.parametrize("seed", range(12))
def test_random_trees_go_the_same_way(seed: int, slots: int) -> None:
    tree = TwinTree(Random(seed), 25, Limits(slots_per_thread=slots))

    tree.run(3)

    tree.both.close()


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

    def turn(self) -> None:
        often, seldom = [self.advance] * 3, [self.inject, self.pump, self.content, self.keeping]
        self.random.choice([*often, *seldom])()

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def inject(self) -> None:
        to = self.random.sample(NAMES, self.random.randint(0, 2))
        cursor = Cursor(self.random.choice(PUMPS), "print", self.number()) if self.random.random() < 0.3 else None
        injections = [Injection("cli", to, "Ping", b"x" * 300)] * self.random.randint(0, 2)
        self.both.inject(self.random.choice([*PUMPS, ""]), injections, self.now, cursor)

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
        message = readable(claim.message)
        if message is None:
            return self.step_of_damaged(claim)
        name = self.random.choice(NAMES)
        kind = self.random.choice(["answered", "answered", "failed", "sends", "own", "again", "join", "untold"])
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
            return Step(claim.thread, claim.fence, again=claim.attempt + 1)
        if kind == "join" and claim.chain.count(".") < 7:
            self.roles[claim.thread] = "joined"
            total = self.random.randint(1, 3)
            join = drive.join(
                claim, total, expires=self.random.choice([0.0, self.now + 3]), collect=self.random.random() < 0.8
            )
            return done(claim, join=join, sends=[drive.send(claim, name, f"{n}.{name}", n) for n in range(total)])
        return done(claim, ends=self.random.random() < 0.3)

    def step_of_damaged(self, claim: Claim) -> Step:
        from contract_kit import FAULT_BYTES

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
        verb, *args = random.choice(
            [
                ("forget", random.choice(talks)),
                ("forget_ended", now - random.randint(0, 30), random.randint(0, 3)),
                ("make_room",),
                ("drop_dead_letters", now - random.randint(0, 30)),
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
        known = [chain for _, chain in self.both.registry_list_all()]
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
                    ("registry_delete", random.choice([*ids, *(one for one, _ in self.both.registry_list_all())])),
                    ("registry_clear",),
                    ("join_create", f"mine-{random.randint(1, 2)}", 2),
                    ("join_record", f"mine-{random.randint(1, 2)}", random.randint(-1, 2), b"result"),
                    ("join_get", f"mine-{random.randint(1, 2)}"),
                    ("join_remove", f"mine-{random.randint(1, 2)}"),
                ]
            )
        )


def message_of_fault(claim: Claim) -> bytes:
    from contract_kit import FAULT_BYTES

    from xpipe.core.messages import FAULT, Message, encode_message

    return encode_message(Message("lost", FAULT, "", claim.listener, claim.caller, "Fault", FAULT_BYTES, "", 1))


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
