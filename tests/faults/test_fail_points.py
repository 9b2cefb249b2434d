"""A run that is killed at any point of its work loses nothing and doubles nothing: every fail point, once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults.points import BACKENDS, POINTS, Point
from faults.scenario import kill_at

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_run_killed_at_a_fail_point_is_finished_by_the_next_one(tmp_path: Path, point: Point) -> None:
    outcome = kill_at(tmp_path, point, 1, random.Random(0))

    assert outcome.wrong == []
    assert outcome.kills == 1
    assert outcome.answers > outcome.conversations > 0, "some have several answers"


def test_points_have_names_of_their_own() -> None:
    assert len({str(point) for point in POINTS}) == len(POINTS)
    assert {point.backend for point in POINTS} == set(BACKENDS)
