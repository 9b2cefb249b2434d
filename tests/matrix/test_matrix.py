"""Every trouble on every backend and in every orchestration, each pair of them at least once."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis_server

from matrix.cells import BACKENDS, SHAPES, TROUBLES, Cell, all_cells, pairwise
from matrix.running import Running

PAIRWISE = list(pairwise())


def test_the_cells_that_are_run_show_every_pair() -> None:
    assert set().union(*(cell.pairs for cell in PAIRWISE)) == set().union(*(cell.pairs for cell in all_cells()))
    assert {cell.trouble for cell in PAIRWISE} == set(TROUBLES)
    assert len(PAIRWISE) < len(all_cells()) < len(TROUBLES) * len(BACKENDS) * len(SHAPES)


@pytest.mark.slow
@pytest.mark.parametrize("cell", PAIRWISE, ids=lambda cell: cell.name.replace(", ", "-"))
def test_every_caller_is_answered_once_and_nothing_is_left(cell: Cell, tmp_path: Path) -> None:
    if cell.backend == "redis" and redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)

    assert Running(cell, tmp_path).wrong() == []
