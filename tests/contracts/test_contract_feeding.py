"""Joins that are fed piece by piece, and joins whose outcome is decided before the last result."""

from __future__ import annotations

from typing import Any

from contract_kit import Driver, answered, done, failed, kind, message_of

from xpipe.core.messages import Claim, Join, Step


def more_of(claim: Claim) -> bytes:
    return message_of(claim, "more", "more", "buffer", "buffer", b"", "")


def start(drive: Driver, total: int, **options: Any) -> tuple[Claim, Join]:
    """A thread of `buffer`, called by `a`, that collects from `total` items at `b` to begin with."""
    drive.inject("a")
    caller = drive.claim()
    drive.commit(done(caller, sends=[drive.send(caller, "buffer")]))
    claim = drive.claim("buffer")
    if options.pop("fed", True):
        options["more"] = more_of(claim)
    join = drive.join(claim, total, **options)
    drive.commit(feeding(drive, claim, join, 0))
    return claim, join


def feeding(drive: Driver, claim: Claim, join: Join, first: int) -> Step:
    """The step that sends the items from `first` up to the total of `join`."""
    sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(first, join.total)]
    return done(claim, call="kept", join=join, sends=sends)


def extended(join: Join, total: int, more: bool) -> Join:
    terms = join.collect, join.expires, join.more if more else b"", join.low, join.enough, join.spare
    return Join(join.id, total, join.joined, *terms)


def items(drive: Driver) -> list[Claim]:
    return drive.advance(room={"b": 1_000}).claims


def feed(drive: Driver, join: Join, total: int, more: bool) -> Join:
    """Answer the message `more` with the items up to `total`."""
    claim = drive.claim("buffer")
    assert kind(claim.message) == "more"
    terms = extended(join, total, more)
    drive.commit(feeding(drive, claim, terms, join.total))
    return terms


def test_more_is_asked_for_once_when_few_items_are_under_way(drive: Driver) -> None:
    start(drive, 4, low=2)
    zero, one, two, three = items(drive)

    drive.commit(answered(zero))
    assert drive.advance(room={"buffer": 9}).claims == []
    drive.commit(answered(one))
    drive.commit(answered(two))

    [asked] = drive.advance(room={"buffer": 9}).claims
    assert kind(asked.message) == "more"
    drive.commit(answered(three))
    assert drive.advance().claims == [], "it is not over before it has been fed to the end"


def test_a_join_that_is_fed_ends_with_the_last_piece(drive: Driver) -> None:
    claim, join = start(drive, 2, low=0)
    drive.commit(*map(answered, items(drive)))
    join = feed(drive, join, 3, more=True)
    drive.commit(*map(answered, items(drive)))
    feed(drive, join, 5, more=False)
    zero, one = items(drive)
    drive.commit(answered(zero))
    assert list(drive.backend.joins()) == [(join.id, 4, 5)]

    drive.commit(failed(one))

    assert list(drive.backend.joins()) == []
    joined = drive.claim("buffer")
    assert (kind(joined.message), joined.thread) == ("joined", claim.thread)
    assert [kind(one) for one in drive.backend.join_results(claim.thread)] == [*["response"] * 4, "fault"]


def test_a_last_piece_without_items_ends_a_join_whose_results_are_all_there(drive: Driver) -> None:
    _, join = start(drive, 1)
    drive.commit(*map(answered, items(drive)))

    feed(drive, join, 1, more=False)

    assert kind(drive.claim("buffer").message) == "joined"


def test_asking_for_more_takes_one_slot_however_often(drive: Driver) -> None:
    claim, join = start(drive, 1)
    for total in range(2, 6):
        drive.commit(*map(answered, items(drive)))
        join = feed(drive, join, total, more=True)

    assert drive.backend.buffer_thread_len(claim.thread) == 2, "the request and one more"


def test_what_is_fed_to_a_join_that_is_over_by_then_is_not_sent(drive: Driver) -> None:
    claim, join = start(drive, 1, low=0, expires=drive.now + 5)
    drive.commit(*map(answered, items(drive)))
    asked = drive.claim("buffer")
    drive.now += 6
    drive.advance(most=0)

    drive.commit(feeding(drive, asked, extended(join, 9, more=False), 1))

    assert items(drive) == []
    assert kind(drive.claim("buffer").message) == "joined"
    assert len(drive.backend.join_results(claim.thread)) == 1


def test_enough_successes_decide_a_join(drive: Driver) -> None:
    claim, _ = start(drive, 4, fed=False, enough=2)
    zero, one, two, three = items(drive)
    drive.commit(failed(zero))
    drive.commit(answered(one))
    assert drive.advance(room={"buffer": 9}).claims == []

    drive.commit(answered(three))

    assert kind(drive.claim("buffer").message) == "joined"
    assert drive.commit(answered(two)).late == 1
    found = [one and kind(one) for one in drive.backend.join_results(claim.thread)]
    assert found == ["fault", "response", None, "response"]


def test_too_many_faults_decide_a_join(drive: Driver) -> None:
    start(drive, 4, fed=False, enough=3, spare=1)
    zero, one, *_ = items(drive)
    drive.commit(failed(zero))
    assert drive.advance(room={"buffer": 9}).claims == []

    drive.commit(failed(one))

    assert kind(drive.claim("buffer").message) == "joined"


def test_E3_an_item_that_nobody_answers_is_a_fault_among_those_that_decide(drive: Driver) -> None:
    start(drive, 3, fed=False, enough=3, spare=0)
    zero, *_ = items(drive)

    drive.commit(done(zero))

    assert kind(drive.claim("buffer").message) == "joined"


def test_a_join_that_collects_nothing_is_fed_as_well(drive: Driver) -> None:
    _, join = start(drive, 1, collect=False)
    drive.commit(*map(answered, items(drive)))

    feed(drive, join, 2, more=False)

    drive.commit(*map(answered, items(drive)))
    assert drive.advance().claims == [], "nobody is told of its end"
