"""What may be committed and claimed while calls are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from xpipe.runtime.calls import EARLY, Calls
from xpipe.runtime.room import BATCH


def in_a_task(check: Callable[[], None]) -> None:
    async def scenario() -> None:
        check()

    asyncio.run(scenario())


def test_what_one_call_may_claim_the_next_one_leaves() -> None:
    def check() -> None:
        calls = Calls(remote=True)
        room, most = calls.claimable({"one": 1, "many": 1_000}, waiting=0)
        assert (room, most) == ({"one": 1, "many": 1_000}, BATCH // 2)
        first = calls.begin([], room, most)

        assert calls.claimable({"one": 1, "many": 1_000, "new": 3}, waiting=100) == (
            {"one": 0, "many": 1_000 - most, "new": 3},
            BATCH - 100 - most,
        )
        calls.end(first)
        assert calls.claimable({"one": 1}, waiting=0) == ({"one": 1}, BATCH // 2)

    in_a_task(check)


def test_what_becomes_free_while_another_call_may_claim_it_is_not_claimed_twice() -> None:
    def check() -> None:
        calls = Calls(remote=True)
        first = calls.begin([], {"slow": 1}, 1)
        room, most = calls.claimable({"slow": 0}, waiting=0)
        assert room == {"slow": 0}
        second = calls.begin([], room, most)
        calls.end(first)
        assert calls.claimable({"slow": 0}, waiting=1)[0] == {"slow": 0}
        calls.end(second)

    in_a_task(check)


def test_a_second_call_is_made_for_many_steps_or_where_there_is_plenty() -> None:
    def check() -> None:
        calls = Calls(remote=True)
        first = calls.begin([], {}, 1)
        assert [calls.admit(steps) for steps in (0, EARLY - 1, EARLY)] == [False, False, True]
        assert not calls.admit_claims()
        calls.is_plenty = True
        assert calls.admit_claims()

        second = calls.begin([], {}, 1)
        assert not calls.admit(BATCH)
        assert not calls.admit_claims()
        for one in (first, second):
            calls.end(one)
        assert not calls

    in_a_task(check)


def test_a_backend_in_this_process_gets_one_call_after_the_other() -> None:
    def check() -> None:
        calls = Calls(remote=False)
        assert not calls.admit(BATCH)
        assert calls.claimable({"one": 5}, waiting=10) == ({"one": 5}, BATCH - 10)
        calls.is_plenty = True
        calls.begin([], {}, 1)
        assert not calls.admit(BATCH)
        assert not calls.admit_claims()

    in_a_task(check)
