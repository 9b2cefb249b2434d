"""Hundreds of runs in virtual time, in which everything goes wrong that can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)


def test_a_seed_always_does_the_same() -> None:
    first, second = simulate("--seed", "7"), simulate("--seed", "7")

    assert first.returncode == 0, first.stderr
    assert first.stderr == second.stderr
    assert "seed 7: " in first.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_goes_wrong_every_conversation_ends_as_its_plan_asks() -> None:
    run = simulate("--seeds", "500")

    assert run.returncode == 0, run.stderr
    assert "500 seeds, 0 wrong; " in run.stderr
    for name in ("crash", "lease lost", "cancel", "sum", "fault", "silence"):
        assert f" x {name}" in run.stderr, "it would prove nothing otherwise"
