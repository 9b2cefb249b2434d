"""What a store keeps of the records is what the ledger has in memory, whatever commits do."""

from __future__ import annotations

import copy
from random import Random

import pytest
from contract_kit import Driver, answered, done
from kept_backend import KeptBackend
from random_scopes import RandomScopes
from random_trees import RandomTree

from xpipe.core.messages import Claim, claimed_message
from xpipe.ledger.kept import KeptRecords, KeptThread

SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(40, 400))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_of_a_random_tree_is_what_the_ledger_has(seed: int) -> None:
    RandomTree(Random(seed), budget=15, backend=KeptBackend()).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_of_random_hops_is_what_the_ledger_has(seed: int) -> None:
    RandomScopes(Random(seed), 30, KeptBackend()).run()


OWN = ("held", "done", "claimed", "calls", "collected", "lost")
"""What a tree knows of the work that has been done."""


class CrashingTree(RandomTree):
    """Its process ends now and then, before or after what it has done last is kept."""

    def __init__(self, random: Random) -> None:
        self.backend = KeptBackend()
        super().__init__(random, 15, backend=self.backend)
        self.lost: set[tuple[str, str]] = set()
        self.crashes = 0

    def turn(self) -> bool:
        if self.random.random() < 0.7:
            return super().turn()
        self.crashes += 1
        kept = self.backend.remembered()
        own = copy.deepcopy([getattr(self, name) for name in OWN])
        events = list(self.world.events)
        went_on = super().turn()
        if self.random.random() < 0.5:
            kept = self.backend.remembered()
        else:  # What has been done last is not kept.
            for name, value in zip(OWN, own, strict=True):
                setattr(self, name, value)
            self.world.events = events
        self.lost |= {(claim.thread, claimed_message(claim).id) for claim in self.held}
        self.held = []
        self.backend.crash(kept)
        return went_on

    def take(self, claim: Claim) -> None:
        """What was claimed when the process ended is claimed again."""
        again = (claim.thread, claimed_message(claim).id)
        if again in self.lost:
            self.lost.remove(again)
            self.held.append(claim)
        else:
            super().take(claim)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_doubled_by_a_crash_before_or_after_anything_is_kept(seed: int) -> None:
    tree = CrashingTree(Random(seed))
    tree.run(conversations=3)


def test_the_crashes_happen_often_enough_to_prove_something() -> None:
    trees = [CrashingTree(Random(seed)) for seed in range(20)]
    for tree in trees:
        tree.run(conversations=3)

    assert sum(tree.crashes for tree in trees) > 60


def one_thread() -> tuple[KeptRecords, KeptThread]:
    """Records of one conversation with one called thread, whose message waits."""
    records = KeptRecords()
    conversation = records.add_conversation("c", "pump", 1.0)
    initiator = records.add_thread("c", "system.org.cli-1", "cli-1", "system", None, conversation)
    thread = records.add_thread("t", "system.org.cli-1.a", "a", "cli-1", initiator, conversation)
    assert isinstance(thread, KeptThread)
    records.record(thread, b"message")
    thread.mailbox = [0]
    records.in_flight = 1
    records.make_ready(thread)
    return records, thread


def loaded(records: KeptRecords, kept: dict[bytes, bytes]) -> KeptRecords:
    """The conversation of `kept` in records of its own."""
    made = KeptRecords()
    slots = [list(records.threads[id].slots) for id in records.conversations["c"].threads]
    made.load("c", "pump", 0, kept, slots)
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("attempt", 2), ("deliveries", 1), ("due", 5.0), ("failed", True), ("no_answer", True)),
        *(("state", b"s"), ("owner", "pump"), ("fence", 3), ("call", "call"), ("open", {"call": "b"})),
    ],
)
def test_everything_of_a_thread_is_kept_also_where_it_is_the_only_thing(name: str, value: object) -> None:
    records, thread = one_thread()
    setattr(thread, name, value)

    fields = records.take_changes().conversations["c"].fields

    assert getattr(loaded(records, fields).threads["t"], name) == value


def test_a_thread_that_was_looked_at_and_is_as_before_is_not_kept_again() -> None:
    records, _ = one_thread()
    records.take_changes()

    records.thread("t")

    assert records.take_changes().conversations == {}


def test_a_conversation_can_be_mentioned_though_nothing_of_it_changed() -> None:
    records, _ = one_thread()
    records.take_changes()

    records.note("c")

    assert records.take_changes().conversations["c"].fields == {}


def test_what_is_loaded_and_what_is_dropped_is_no_change_of_the_counts() -> None:
    records, _ = one_thread()
    fields = records.take_changes().conversations["c"].fields
    there = loaded(records, fields)

    assert (there.in_flight, there.threads["c"].pending, there.take_changes().in_flight) == (1, 1, 0)
    assert there.threads["t"].pending == 1
    there.drop("c")

    assert (there.in_flight, there.slot_count, there.threads, there.lanes) == (0, 0, {}, {})
    assert there.take_changes().in_flight == 0


def test_the_end_of_a_conversation_is_kept_though_nothing_else_of_it_changed() -> None:
    records, _ = one_thread()
    fields = records.take_changes().conversations["c"].fields
    conversation = records.conversations["c"]

    conversation.ended = 7.0
    records.note_end(conversation)

    fields |= records.take_changes().conversations["c"].fields
    assert loaded(records, fields).conversations["c"].ended == 7.0


@pytest.fixture
def drive() -> Driver:
    """On records that are compared with what is kept of them after each call."""
    backend = KeptBackend()
    backend.open("org")
    return Driver(backend)


def test_a_result_is_kept_while_its_join_waits_for_others(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(2)]
    drive.commit(done(claim, sends=sends, join=drive.join(claim, 2)))

    drive.commit(answered(drive.claim("b")))

    assert drive.states()["a"] == "waiting"


def test_that_a_call_ended_without_an_answer_is_kept_of_its_caller(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "c")]))

    drive.commit(done(drive.claim("b")))

    assert drive.states()["a"] == "waiting"
