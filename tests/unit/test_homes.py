"""Nodes that share a store: nothing is lost or answered twice, whichever of them come, pause, die and leave."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from random_homes import RandomHomes

from xpipe.backends.memory_store import MemoryStore

SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(40, 1_000))]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_conversation_ends_once_whatever_becomes_of_its_homes(seed: int) -> None:
    RandomHomes(Random(seed), MemoryStore()).run()


def test_enough_goes_wrong_to_prove_something() -> None:
    happened: Counter[str] = Counter()
    for seed in range(60):
        homes = RandomHomes(Random(seed), MemoryStore())
        homes.run()
        happened += homes.happened

    assert min(happened[name] for name in ("die", "pause", "leave", "lent", "cancel", "copy", "outside")) > 10, happened
