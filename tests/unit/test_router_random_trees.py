"""Whatever handlers do, in whatever order: nothing is lost, nothing hangs, everything ends once (see random_trees)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_scopes import RandomScopes
from random_trees import RandomTree

from xpipe.core.limits import Limits

RANDOM = st.randoms(use_true_random=False)
few_and_many = pytest.mark.parametrize("examples", [60, pytest.param(150, marks=pytest.mark.slow)])


def try_out(examples: int, test: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> None:
    """Run `test` with as many examples of `strategies`."""
    suppressed = list(HealthCheck)
    bounded = settings(max_examples=examples, deadline=None, suppress_health_check=suppressed, derandomize=True)
    bounded(given(*strategies)(test))()


@few_and_many
def test_random_trees_end_with_every_call_accounted_for(examples: int) -> None:
    def grow(random: Random, conversations: int, budget: int) -> None:
        RandomTree(random, budget).run(conversations)

    try_out(examples, grow, RANDOM, st.integers(1, 3), st.sampled_from([2, 6, 15]))


@few_and_many
def test_random_trees_end_with_every_call_accounted_for_under_tight_limits(examples: int) -> None:
    def grow(random: Random, limits: Limits) -> None:
        RandomTree(random, 10, limits).run()

    tight = st.builds(
        Limits,
        hops=st.sampled_from([3, 8, 10_000]),
        depth=st.sampled_from([5, 8, 100]),
        payload_bytes=st.sampled_from([60, 200, 10_000]),
        slots_per_thread=st.sampled_from([1, 2, 4, 10_000]),
        fan_out=st.sampled_from([1, 100]),
    )
    try_out(examples, grow, RANDOM, tight)


@pytest.mark.parametrize("first", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in range(50, 400, 50))])
def test_large_random_trees_end_with_every_call_accounted_for(first: int) -> None:
    for seed in range(first, first + 50):
        RandomTree(Random(seed), budget=40).run(conversations=4)


@few_and_many
def test_the_count_of_a_conversation_is_zero_exactly_from_the_commit_of_its_last_hop_on(examples: int) -> None:
    def grow(random: Random, budget: int) -> None:
        RandomScopes(random, budget).run()

    try_out(examples, grow, RANDOM, st.sampled_from([3, 15, 40]))


def test_the_random_hops_are_tried_again_and_come_too_late_often_enough_to_prove_something() -> None:
    trees = [RandomScopes(Random(seed), 40) for seed in range(60)]
    for tree in trees:
        tree.run()

    happened = sum((tree.happened for tree in trees), start=Counter[str]())
    assert min(happened["again"], happened["refused"]) > 20, happened
