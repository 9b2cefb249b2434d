"""Every case of `python -m benchmarks` runs, with next to nothing to do; what it measures then is not looked at."""

from __future__ import annotations

import pytest
import redis_server

from benchmarks.case import Side
from benchmarks.cases import COMPARISONS
from benchmarks.options import Options, Size

NEXT_TO_NOTHING = Options(repeats=1, size=Size.NORMAL, portion=0.001)


def peers_missing(name: str) -> set[str]:
    return {side.missing for side in sides(name) if side.missing}


def sides(name: str) -> list[Side]:
    return list(COMPARISONS[name].sides(NEXT_TO_NOTHING.share))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)
@pytest.mark.parametrize("name", COMPARISONS)
def test_a_case_runs_all_sides_that_are_installed_and_judges_its_bars(name: str) -> None:
    [table] = COMPARISONS[name].main(NEXT_TO_NOTHING)

    assert [row[0] for row in table.rows] == [side.name for side in sides(name) if not side.missing]
    if not peers_missing(name):
        assert len(table.bars) == len(COMPARISONS[name].demands)
