"""Step by step, a state file does what the memory backend does: same claims, events and records."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from contract_kit import FAULT_BYTES, PUMP, Driver, answered, done, failed
from msgspec.structs import replace
from random_trees import LISTENERS, RandomTree
from router_kit import World
from sqlite_twin import CURSORS, Pair, Twin

from xpipe.backends import sqlite_cache, sqlite_joins
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

PUMPS = [PUMP, "pump-2", "pump-3"]
NAMES = ("a", "b", "c", "buffer")
READABLE = b"\x9b\xa1x\xa7request\xa0\xa0\xa0\xa0\xc4\x00\xa0\x01\x01\x01"
JUNK = b"\xc1junk"


@pytest.fixture(autouse=True)
def same_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((secrets, "token_bytes"), (os, "urandom")):
        monkeypatch.setattr(module, name, lambda count: b"s" * count)


@pytest.fixture(autouse=True)
def same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.0)


def grow(seed: int, folder: Path, limits: Limits | None = None) -> None:
    tree = RandomTree(Random(seed), budget=15, limits=limits)
    twin = Twin(folder / f"{seed}.db", Random(seed))
    tree.world = World(*LISTENERS, limits=limits, backend=twin)
    tree.run(conversations=2)
    assert twin.pair is not None
    twin.pair.close()


@pytest.mark.parametrize("first", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (10, 20, 30))])
def test_random_trees_grow_alike(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 10):
        grow(seed, tmp_path)


@pytest.mark.parametrize("slots", [1, 3])
def test_random_trees_grow_alike_under_tight_limits(slots: int, tmp_path: Path) -> None:
    for seed in range(10):
        grow(seed, tmp_path, Limits(slots_per_thread=slots, hops=12, fan_out=3))


class Errands:
    """Whatever a pump, a tool or a program may ask of a backend, in a random order."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.random = pair.random
        self.held: dict[str, list[Claim]] = {pump: [] for pump in PUMPS}
        self.driver = Driver(pair.memory)
        for record in pair.memory.pumps():
            pair.call("enroll", record)
        self.now = 1_000.0
        self.delays = 0
        self.threads = ["nowhere", "elsewhere"]
        self.talks = ["nothing"]
        self.chains = [f"system.org.x{number}" for number in range(4)]

    def run(self, turns: int) -> None:
        errands = (self.inject, self.keep, self.bind, self.tend, self.collect, self.tidy)
        for _ in range(turns):
            self.random.choice([*errands, self.advance, self.advance, self.advance])()
        self.pair.close()

    def inject(self) -> None:
        source, to = self.random.choice(["cli", "in"]), self.random.sample(NAMES, self.random.randint(0, 2))
        fault = b"fault" if self.random.random() < 0.1 else None
        injections = [Injection(source, [] if fault else to, "Ping", b"in", fault)] * self.random.randint(1, 3)
        cursor = Cursor(self.random.choice(CURSORS), "print", self.random.randint(0, 9))
        pump = self.random.choice([*PUMPS, ""])
        self.talks += self.pair.call("inject", pump, injections, self.now, self.random.choice([cursor, None]))

    def advance(self) -> None:
        random, pump = self.random, self.random.choice(PUMPS)
        held = self.held[pump]
        finished = random.sample(held, random.randint(0, len(held)))
        room = {name: random.choice([0, 1, 2, 50]) for name in random.sample(NAMES, random.randint(0, 4))}
        self.now += random.choice([0.0, 0.5, 3.0])
        steps = [self.step(claim) for claim in finished]
        advanced = self.pair.call("advance", pump, steps, room, random.choice([0, 1, 3, 100]), self.now)
        self.held[pump] = [one for one in held if one not in finished] + advanced.claims
        self.threads += [claim.thread for claim in advanced.claims]

    def step(self, claim: Claim) -> Step:
        step = self.plain_step(claim)
        step.hop = self.random.choice([b"", encode_hop(HopRecord("m", "a", self.random.randrange(99), 0.0, 0.0, ""))])
        step.cancels = not (step.again or step.join) and self.random.random() < 0.1
        return step

    def plain_step(self, claim: Claim) -> Step:
        random = self.random
        message = readable(claim.message)
        if message is None:
            return self.giving_up(claim)
        thread = self.pair.memory._store.thread(claim.thread)
        if message.kind == "more" and thread and thread.join:
            return self.feeding(claim, thread.join.terms)
        sends = [self.driver.send(claim, random.choice(NAMES), f"s{number}") for number in range(random.randint(0, 3))]
        kind = random.randint(0, 7)
        if kind == 0:
            self.delays += 1  # Of those due at the same time it is not said which comes first.
            due = random.choice([0.0, self.now + random.choice([2.0, 5.0]) + self.delays / 1_000])
            return Step(claim.thread, claim.fence, again=claim.attempt + 1, due=due)
        if kind == 1:
            return failed(claim, told=random.random() < 0.5)
        if kind == 2 and sends and not (thread and thread.join):
            return self.joining(claim)
        own = [random.choice([self.driver.own(claim), JUNK]) for _ in range(random.choice([0, 0, 0, 1, 2]))]
        changes: dict[str, Any] = {"sends": sends, "own": own, "no_answer": random.random() < 0.1}
        if random.random() < 0.2:
            changes["state"] = random.randbytes(3)
        if kind > 4 and done(claim).call:
            return answered(claim, **changes)
        return done(claim, **changes)

    def giving_up(self, claim: Claim) -> Step:
        """What a pump commits for a message it cannot read."""
        answer = Answer(claim.call, READABLE, fault=True)
        dead = DeadLetter(claim.message, FAULT_BYTES, told=True)
        return Step(claim.thread, claim.fence, answer=answer, ends=True, failed=True, dead=dead)

    def joining(self, claim: Claim) -> Step:
        random, terms = self.random, {}
        if random.random() < 0.5:
            more = self.driver.own(claim, b"feed").replace(b"\xa4self", b"\xa4more")
            terms = {"more": more, "low": random.randint(0, 2)}
        terms |= {"enough": random.choice([0, 0, 1, 2]), "spare": random.choice([-1, -1, 0, 1])}
        expires, collect = random.choice([0.0, self.now + 4.0]), random.random() < 0.8
        join = self.driver.join(claim, random.randint(1, 4), expires=expires, collect=collect, **terms)
        return done(claim, join=join, sends=self.items(claim, 0, join.total), state=b"joining")

    def feeding(self, claim: Claim, before: Join) -> Step:
        """Goes on with the join of the thread, and mostly is not asked again."""
        more = before.more if self.random.random() < 0.4 else b""
        join = replace(before, total=before.total + self.random.randint(0, 3), more=more)
        return done(claim, join=join, sends=self.items(claim, before.total, join.total))

    def items(self, claim: Claim, first: int, total: int) -> list[Send]:
        return [self.driver.send(claim, "b", f"{index}.b", index) for index in range(first, total)]

    def keep(self) -> None:
        thread = self.random.choice(self.threads)
        verb = self.random.choice(["append", "append", "append", "read", "delete", "clear", "forget"])
        if verb == "append":
            self.append(thread)
        elif verb == "read":
            start, stop = self.random.choice([(0, None), (1, 2), (-1, None), (3, 1)])
            self.pair.call("buffer_get_thread", thread, start, stop)
            self.pair.call("buffer_get_slot", thread, self.random.randint(-1, 3))
        elif verb == "delete":
            self.pair.call("buffer_delete_thread", thread)
        elif verb == "clear" and self.random.random() < 0.2:
            self.pair.call("buffer_clear")
        elif verb == "forget":
            self.pair.call("forget", self.random.choice(self.talks))

    def tidy(self) -> None:
        random = self.random
        verbs = [
            "delivered",
            "delivered",
            "make_room",
            "forget_ended",
            "drop_dead_letters",
            "damages",
            "cancel",
            "dead",
        ]
        verb = random.choice([*verbs, "cancel", "dead"])
        if verb == "delivered":
            talks = random.choices(self.talks, k=random.randint(0, 3))
            self.pair.call("delivered", {talk: random.randint(0, 2) for talk in talks})
        elif verb == "make_room":
            self.pair.call("make_room")
        elif verb == "damages":
            self.pair.call("damages", random.random() < 0.3)
        elif verb == "cancel":
            self.pair.call("cancel", random.choice(self.talks), FAULT_BYTES, self.now)
        elif verb == "dead":
            self.attend_to_the_dead()
        elif verb == "forget_ended":
            self.pair.call("forget_ended", self.now - random.choice([0.0, 3.0, 6.0]), random.randint(0, 3))
        else:
            self.pair.call("drop_dead_letters", self.now - random.choice([0.0, 5.0]))

    def attend_to_the_dead(self) -> None:
        random = self.random
        numbers = [*(letter.number for letter in self.pair.memory.dead_letters()), 999]
        if random.random() < 0.5:
            self.pair.call("drop_dead", random.choices(numbers, k=random.randint(0, 2)))
            return
        injection = Injection("retry", ["a", "b"], "Ping", b"again", retried_from=random.choice(self.talks))
        id = self.pair.call("retry_dead", random.choice(numbers), random.choice([*PUMPS, ""]), injection, self.now)
        self.talks += [id] if id else []

    def append(self, thread: str) -> None:
        slots = self.pair.memory.buffer_get_thread(thread)
        claimable = [slot for held in self.held.values() for slot in (one.message for one in held)]
        data = self.random.choice([*slots, *claimable, READABLE, JUNK])
        self.pair.call("buffer_append", thread, data)

    def bind(self) -> None:
        chain, uuid = self.random.choice(self.chains), self.random.choice([*self.threads, "u1", "u2", "u3"])
        verb = self.random.choice(["set", "set", "get", "delete", "clear"])
        if verb == "set":
            self.pair.call("registry_set", chain, uuid)
        elif verb == "get":
            self.pair.call("registry_get_uuid", chain)
            self.pair.call("registry_get_chain", uuid)
        elif verb == "delete":
            self.pair.call("registry_delete", uuid)
        elif self.random.random() < 0.2:
            self.pair.call("registry_clear")

    def tend(self) -> None:
        pump = self.random.choice(PUMPS)
        verb = self.random.choice(["enroll", "renew", "retire", "bury_pump", "adopt"])
        if verb == "enroll":
            serves = self.random.random() < 0.5
            self.pair.call("enroll", PumpRecord(pump, "host", self.random.randint(1, 9), 5, self.now, serves))
        elif verb == "renew":
            self.pair.call("renew", pump, self.now + 10)
        elif verb == "adopt":
            self.pair.call("adopt", pump, self.random.choice(self.talks), self.random.choice([*PUMPS, ""]))
        else:
            self.pair.call(verb, pump)  # What it holds is stale from now on, and is tried all the same.

    def collect(self) -> None:
        id, index = self.random.choice(["j1", "j2"]), self.random.randint(0, 2)
        verb = self.random.choice(["create", "add", "add", "get", "remove"])
        if verb == "create":
            self.pair.call("collection_create", "buffer", id, b"head", 3)
        elif verb == "add":
            self.pair.call("collection_add", "buffer", id, index, b"result")
        else:
            self.pair.call(f"collection_{verb}", "buffer", id)


@pytest.fixture
def small_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_cache, "MAX_CACHED", 3)
    monkeypatch.setattr(sqlite_cache, "MAX_FRESH_BYTES", 100)
    monkeypatch.setattr(sqlite_joins, "MAX_CACHED", 1)


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[[int, int], Pair]:
    return lambda seed, most: Pair(tmp_path / f"{seed}.db", Random(seed), most, slots=6)


@pytest.mark.parametrize("first", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in range(10, 60, 10))])
@pytest.mark.parametrize("most", [6, 100_000])
def test_errands_in_a_random_order_have_the_same_outcomes(
    first: int, most: int, pairs: Callable[[int, int], Pair]
) -> None:
    for seed in range(first, first + 10):
        Errands(pairs(seed, most)).run(turns=80)


@pytest.mark.usefixtures("small_cache")
def test_a_cache_that_is_always_full_changes_no_outcome(pairs: Callable[[int, int], Pair], tmp_path: Path) -> None:
    for seed in range(20):
        Errands(pairs(seed, 100_000)).run(turns=80)
    for seed in range(100, 105):
        grow(seed, tmp_path)
