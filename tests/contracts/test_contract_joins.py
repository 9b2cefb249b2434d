"""Joins: results by index, each once, complete once, by the last result or by time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract_kit import NOW, Driver, answered, done, failed, kind, payload
from msgspec.structs import replace

from xpipe.core.messages import Claim, Join
from xpipe.ports import SharedBackend


def start(drive: Driver, total: int, **options: Any) -> tuple[Claim, Join]:
    """A thread of `buffer`, called by `a`, that collects from `total` items at `b`."""
    drive.inject("a")
    caller = drive.claim()
    drive.commit(done(caller, sends=[drive.send(caller, "buffer")]))
    claim = drive.claim("buffer")
    join = drive.join(claim, total, **options)
    sends = [drive.send(claim, "b", f"{index}.b", index, b"%d" % index) for index in range(total)]
    drive.commit(done(claim, join=join, sends=sends, state=b"state"))
    return claim, join


def items(drive: Driver) -> list[Claim]:
    return drive.advance(room={"b": 1_000}).claims


def results(drive: Driver, claim: Claim) -> list[bytes | None]:
    return [payload(one) if one else None for one in drive.backend.join_results(claim.thread)]


def test_results_are_collected_by_index_whatever_the_order(drive: Driver) -> None:
    claim, join = start(drive, 3)
    zero, one, two = items(drive)
    assert results(drive, claim) == [None, None, None]

    drive.commit(answered(two, b"two"))
    drive.commit(answered(zero, b"zero"))
    assert results(drive, claim) == [b"zero", None, b"two"]
    assert list(drive.backend.joins()) == [(join.id, 2, 3)]
    assert drive.advance().claims == []

    drive.commit(answered(one, b"one"))
    assert list(drive.backend.joins()) == []
    joined = drive.claim("buffer")
    assert (joined.thread, joined.message, joined.state) == (claim.thread, join.joined, b"state")
    assert results(drive, claim) == [b"zero", b"one", b"two"]


def test_joined_comes_once_with_the_last_result(drive: Driver) -> None:
    start(drive, 2)

    drive.advance(*[answered(claim) for claim in items(drive)], most=0)

    assert [kind(claim.message) for claim in drive.advance().claims] == ["joined"]


def test_a_fault_is_a_result(drive: Driver) -> None:
    claim, _ = start(drive, 1)

    drive.commit(failed(items(drive)[0]))

    assert kind(drive.backend.join_results(claim.thread)[0]) == "fault"
    assert kind(drive.claim("buffer").message) == "joined"


def test_an_item_that_nobody_answers_is_a_fault_at_its_index(drive: Driver) -> None:
    claim, _ = start(drive, 2)
    zero, one = items(drive)

    advanced = drive.commit(done(zero), answered(one))

    assert advanced.unanswered == 1
    [missing, _] = drive.backend.join_results(claim.thread)
    assert (kind(missing), b"no_answer" in missing) == ("fault", True)


def test_a_second_result_for_an_index_is_late_and_changes_nothing(drive: Driver) -> None:
    claim, join = start(drive, 2)
    first = items(drive)[0]
    step = answered(first, b"first", own=[drive.own(first)])
    drive.commit(step)

    second = drive.claim("b")
    assert drive.commit(done(second, answer=step.answer)).late == 1

    assert results(drive, claim) == [b"first", None]
    assert list(drive.backend.joins()) == [(join.id, 1, 2)]


def test_what_is_missing_when_the_time_has_passed_stays_missing(drive: Driver) -> None:
    claim, _ = start(drive, 2, expires=drive.now + 5)
    zero, one = items(drive)
    drive.commit(answered(one, b"one"))

    drive.now += 4.999
    advanced = drive.advance()
    assert (advanced.claims, advanced.due) == ([], 1_005.0)

    drive.now = 1_005.0
    advanced = drive.advance()
    assert [kind(claim.message) for claim in advanced.claims] == ["joined"]
    assert advanced.due == 0.0
    assert results(drive, claim) == [None, b"one"]
    assert drive.commit(answered(zero)).late == 1
    assert results(drive, claim) == [None, b"one"]
    drive.now += 100
    assert drive.advance().claims == []


def test_the_time_of_a_join_that_is_over_is_not_that_of_a_later_one_of_its_name(drive: Driver) -> None:
    # given: a join that is over before its time, while another one waits for an earlier time
    start(drive, 1, expires=drive.now + 3)
    items(drive)
    _, join = start(drive, 1, expires=drive.now + 5)
    drive.commit(answered(items(drive)[0]))
    drive.commit(answered(drive.claim("buffer"), ends=True))

    # when: another thread waits under the same name, for longer
    caller = drive.claim()
    drive.commit(done(caller, sends=[drive.send(caller, "buffer", "buffer~2")]))
    claim = drive.claim("buffer")
    drive.commit(done(claim, join=replace(join, expires=drive.now + 60), sends=[drive.send(claim, "b", "0.b", 0)]))
    items(drive)

    # then
    drive.now = NOW + 3
    assert drive.advance().due == NOW + 60
    drive.now = NOW + 59
    assert drive.advance().claims == []
    drive.now = NOW + 60
    assert [claim.thread for claim in drive.advance().claims] == [claim.thread]


def test_due_is_when_the_next_open_join_expires(drive: Driver) -> None:
    assert drive.advance().due == 0.0
    start(drive, 1, expires=drive.now + 9)
    [nine] = items(drive)
    start(drive, 1, expires=drive.now + 3)
    [three] = items(drive)
    start(drive, 1)

    assert drive.advance(most=0).due == 1_003.0
    assert drive.advance(answered(three), most=0).due == 1_009.0
    assert drive.advance(answered(nine), most=0).due == 0.0


def test_a_join_that_does_not_collect_waits_for_nothing(drive: Driver) -> None:
    start(drive, 3, collect=False)
    assert list(drive.backend.joins()) == []
    zero, one, two = items(drive)

    advanced = drive.commit(answered(zero), done(one), failed(two))
    drive.advance()

    assert (advanced.late, drive.backend.totals().joins) == (0, 0)
    assert "dead" in drive.kinds_of_events()
    assert drive.kinds_of_events()[-1] == "ended"
    assert set(drive.states().values()) <= {"done", "failed"}


def test_E3_an_item_that_nobody_answers_or_collects_is_a_dead_letter(drive: Driver) -> None:
    start(drive, 1, collect=False)
    [item] = items(drive)

    drive.commit(done(item))

    [letter] = drive.backend.dead_letters()
    assert (letter.thread, letter.told, b"no_answer" in letter.fault) == (item.thread, False, True)


def test_B4_a_late_failed_item_is_a_reported_dead_letter(drive: Driver) -> None:
    start(drive, 2, expires=drive.now + 5)
    zero, *_ = items(drive)
    drive.now += 5
    drive.advance(most=0)

    assert drive.commit(failed(zero)).late == 1

    drive.advance(most=0)
    assert drive.events == []
    assert [letter.told for letter in drive.backend.dead_letters()] == [True]


def test_B6_a_join_keeps_its_deadline_when_others_end_first(drive: Driver) -> None:
    # given: a join that waits, and many that are over before their time
    waiting, _ = start(drive, 1, expires=drive.now + 50)
    items(drive)
    drive.inject_many(150, "buffer")
    claims = drive.advance().claims
    joins = [drive.join(claim, 1, expires=drive.now + 5) for claim in claims]
    sends = [[drive.send(claim, "b", "0.b", 0)] for claim in claims]
    drive.commit(*(done(one, join=join, sends=send) for one, join, send in zip(claims, joins, sends, strict=True)))
    drive.commit(*map(answered, items(drive)))
    drive.commit(*map(answered, drive.advance(room={"buffer": 1_000}).claims))

    assert drive.advance().due == NOW + 50
    drive.now += 50
    assert [(claim.thread, kind(claim.message)) for claim in drive.advance().claims] == [(waiting.thread, "joined")]


def test_a_thread_that_ends_gives_up_its_join(drive: Driver) -> None:
    claim, _ = start(drive, 1)
    [item] = items(drive)
    drive.commit(answered(item, own=[drive.own(item)]))
    joined = drive.claim("buffer")

    drive.commit(answered(joined, ends=True))

    assert (results(drive, claim), drive.backend.totals().joins) == ([], 0)


def test_thousands_of_items_are_collected(make_backend: Callable[..., SharedBackend]) -> None:
    drive = Driver(make_backend())
    claim, _ = start(drive, 3_000)

    while batch := items(drive):
        drive.commit(*[answered(one, payload(one.message)) for one in reversed(batch)])

    assert results(drive, claim) == [b"%d" % index for index in range(3_000)]
    assert kind(drive.claim("buffer").message) == "joined"


def test_a_delegated_call_of_an_item_answers_at_the_index_of_the_item(drive: Driver) -> None:
    claim, _ = start(drive, 2)
    zero, one = items(drive)
    drive.commit(answered(zero, b"zero"))

    step = done(one, call="", delegate=drive.delegate(one, "c", done(one).call), ends=True)
    drive.commit(step)
    drive.commit(answered(drive.claim("c"), b"delegated"))

    assert results(drive, claim) == [b"zero", b"delegated"]
