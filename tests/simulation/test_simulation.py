"""Hundreds of runs in virtual time, in which everything goes wrong that can."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulation.command import tally

REPOSITORY = Path(__file__).parents[2]
HAPPENING = (
    *("crash", "lease lost", "cancelled", "commit twice", "sum", "fault", "silence", "scattered", "step tried again"),
    *("buffer complete", "item exception", "item timeout", "item cancelled", "item no_answer", "item rejected"),
    *("item too_few_successes", "item retries_exhausted"),
)


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1_200, check=False)


def test_a_seed_always_does_the_same() -> None:
    first, second = simulate("--seed", "7"), simulate("--seed", "7")

    assert first.returncode == 0, first.stderr
    assert first.stderr == second.stderr
    assert "seed 7: " in first.stderr


def test_a_seed_that_goes_wrong_tells_how_to_see_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    _, wrong, count = tally([(6, Counter(), ""), (7, Counter(), "AssertionError: in flight")])

    assert (wrong, count) == ({7: "AssertionError: in flight"}, 2)
    told = capsys.readouterr().err
    assert "seed 7: AssertionError: in flight" in told
    assert "again: PYTHONHASHSEED=0 python -m tests.simulation --seed 7\n" in told


def test_whatever_goes_wrong_every_conversation_ends_as_its_plan_asks() -> None:
    run = simulate("--seeds", "12")

    assert run.returncode == 0, run.stderr
    assert "12 seeds, 0 wrong; " in run.stderr


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_much_goes_wrong_in_all_ways_and_every_conversation_ends_as_its_plan_asks() -> None:
    run = simulate("--first", "12", "--seeds", "518")

    assert run.returncode == 0, run.stderr
    assert "518 seeds, 0 wrong; " in run.stderr
    for name in HAPPENING:
        assert f" x {name}" in run.stderr, "it would prove nothing otherwise"
