"""Messages that are to be tried again later."""

from __future__ import annotations

from contract_kit import Driver, answered, done, payload

from xpipe.core.messages import Claim, Step


def later(claim: Claim, due: float) -> Step:
    return Step(claim.thread, claim.fence, again=claim.attempt + 1, due=due)


def test_a_delayed_message_is_claimed_when_it_is_due_and_not_before(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    advanced = drive.commit(later(claim, drive.now + 5))

    assert advanced.due == drive.now + 5
    drive.now += 4.9
    assert drive.advance().claims == []
    drive.now += 0.2
    again = drive.claim()
    assert (again.thread, again.message, again.attempt) == (claim.thread, claim.message, 2)
    assert drive.advance().due == 0.0


def test_what_is_due_already_is_ready_at_once(drive: Driver) -> None:
    drive.inject("a")

    advanced = drive.commit(later(drive.claim(), drive.now - 5))

    assert advanced.due == 0.0
    assert drive.claim().attempt == 2


def test_a_conversation_with_a_delayed_message_runs(drive: Driver) -> None:
    id = drive.inject("a")
    drive.commit(later(drive.claim(), drive.now + 5))

    assert drive.record(id).state == "running"
    assert drive.backend.load().in_flight == 1
    assert drive.backend.ready_listeners() == []
    drive.now += 6
    drive.commit(answered(drive.claim()))
    assert drive.record(id).state == "done"


def test_delayed_messages_come_in_the_order_of_their_times(drive: Driver) -> None:
    drive.inject_many(3)
    first, second, third = drive.advance().claims
    drive.commit(later(first, drive.now + 3), later(second, drive.now + 1), later(third, drive.now + 2))

    drive.now += 10

    assert [claim.thread for claim in drive.advance().claims] == [second.thread, third.thread, first.thread]


def test_messages_that_come_meanwhile_wait_behind_a_delayed_one(drive: Driver) -> None:
    drive.inject("a")
    top = drive.claim()
    drive.commit(done(top, own=[drive.own(top, b"first"), drive.own(top, b"second")]))
    drive.commit(later(drive.claim(), drive.now + 5))

    assert drive.advance().claims == []
    drive.now += 6
    first = drive.claim()
    drive.commit(answered(first))
    assert [payload(first.message), payload(drive.claim().message)] == [b"first", b"second"]


def test_a_delayed_message_stays_delayed_when_its_pump_goes(drive: Driver) -> None:
    drive.inject("a")
    drive.commit(later(drive.claim(), drive.now + 5))

    assert drive.backend.bury_pump(drive.pump) == 0

    other = Driver(drive.backend, "pump-2")
    assert other.advance().claims == []
    assert other.advance().due == drive.now + 5
    other.now += 6
    assert other.claim().attempt == 2
