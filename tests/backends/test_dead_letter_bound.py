"""How many dead letters are kept where the bound can be lowered: in the process of the test.

The bound itself is a slow contract of every backend (test_contract_dead_letters.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from contract_backends import BACKENDS
from contract_kit import Driver, failed


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_as_many_dead_letters_as_may_be_are_kept_then_the_oldest_go(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ledger.memory", "backends.sqlite_store"):
        monkeypatch.setattr(f"xpipe.{module}.MAX_DEAD_LETTERS", 3)
    backend = BACKENDS[name][1](tmp_path, 100_000)
    backend.open("org", 100)
    drive = Driver(backend)
    threads: list[str] = []
    kept: list[list[str]] = []

    for _ in range(5):
        drive.inject("a")
        claim = drive.claim()
        drive.commit(failed(claim))
        threads.append(claim.thread)
        kept.append([letter.thread for letter in backend.dead_letters()])

    assert kept == [threads[:1], threads[:2], threads[:3], threads[1:4], threads[2:5]]
    backend.close()
