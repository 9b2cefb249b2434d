"""What a store keeps of the records is what the ledger has in memory, whatever commits do."""

from __future__ import annotations

import copy
from random import Random

import pytest
from kept_backend import KeptBackend
from random_scopes import RandomScopes
from random_trees import RandomTree

from xpipe.core.messages import Claim, claimed_message

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
