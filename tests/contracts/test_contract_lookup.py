"""What a user types stands for a conversation, however many threads that has."""

from __future__ import annotations

import pytest
from contract_kit import Driver, done

from xpipe.core.errors import UsageError
from xpipe.inspection.lookup import find_conversation


def test_a_prefix_of_two_conversations_is_ambiguous_however_many_threads_one_of_them_has(drive: Driver) -> None:
    large = drive.inject("a", source="api")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", f"b~{n}") for n in range(400)]))
    small = drive.inject("a", source="cli")

    assert large[:6] == small[:6]
    with pytest.raises(UsageError, match="more than one conversation"):
        find_conversation(drive.backend, large[:6])
    assert [find_conversation(drive.backend, id[:13]) for id in (large, small)] == [large, small]
