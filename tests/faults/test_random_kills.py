"""A run that is killed at any time, again and again, loses nothing and doubles nothing.

The seed of a run is in its test's name.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults.points import BACKENDS
from faults.scenario import kill_at_random

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("seed", "kills"), [(0, 7), (1, 7), (2, 6)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_runs_killed_at_random_times_answer_every_document_once(
    tmp_path: Path, backend: str, seed: int, kills: int
) -> None:
    outcome = kill_at_random(tmp_path, backend, kills, random.Random(seed))

    assert outcome.wrong == []
    assert outcome.kills == kills
    assert outcome.answers > outcome.conversations, "some have several answers"
