"""Nodes that share a Redis: as tests/unit/test_homes.py, with the script that applies their batches."""

from __future__ import annotations

from random import Random

import pytest
from contract_backends import redis_store
from random_homes import RandomHomes

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 100))]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_conversation_ends_once_whatever_becomes_of_its_homes(seed: int) -> None:
    RandomHomes(Random(seed), redis_store()).run()
