"""docs/semantics.md and the tests of the router and of what backends keep name the same rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = (HERE.parents[1] / "docs" / "semantics.md").read_text()
ROWS = re.findall(r"^\| ([A-Z]\d+) \|", TABLE, re.MULTILINE)
FILES = [*HERE.glob("test_router_*.py"), *HERE.parent.glob("contracts/test_contract_*.py")]
TESTS = re.findall(r"^def (test_(?:[A-Z]\d+_)+)", "".join(one.read_text() for one in FILES), re.MULTILINE)
TESTED = {row for name in TESTS for row in name.split("_")[1:-1]}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_has_a_test_of_its_name(row: str) -> None:
    assert row in TESTED


def test_no_test_is_named_after_a_row_that_is_not_in_the_table() -> None:
    assert set(ROWS) >= TESTED
    assert len(ROWS) == len(set(ROWS)) > 40
