"""Claiming: bounded, fair, one message of a thread at a time, in the order of the commits."""

from __future__ import annotations

from collections import Counter

import pytest
from contract_kit import LISTENERS, PUMP, Driver, answered, done, payload

from xpipe.core.messages import Claim, Step, decode_message
from xpipe.ports import SharedBackend


def test_no_more_than_most_are_claimed(drive: Driver) -> None:
    drive.inject_many(5)

    assert [len(drive.advance(most=most).claims) for most in (0, 2, 1, 7, 1)] == [0, 2, 1, 2, 0]


def test_no_more_of_a_listener_than_its_room_are_claimed(drive: Driver) -> None:
    drive.inject_many(5, "a")
    drive.inject_many(5, "b")

    claims = drive.advance(room={"a": 2, "b": 1}).claims

    assert Counter(one.listener for one in claims) == {"a": 2, "b": 1}


@pytest.mark.parametrize("room", [{}, {"a": 0}, {"a": -3}, {"b": 5}])
def test_without_room_nothing_is_claimed(drive: Driver, room: dict[str, int]) -> None:
    drive.inject("a")

    assert drive.advance(room=room).claims == []
    assert drive.claim().listener == "a"


def test_messages_of_a_listener_are_claimed_oldest_first(drive: Driver) -> None:
    ids = drive.inject_many(6)

    claims = drive.advance(most=2).claims + drive.advance(most=3).claims + drive.advance().claims

    threads = {one.thread: one.conversation for one in drive.backend.threads()}
    assert [threads[one.thread] for one in claims] == ids


def test_no_listener_is_starved_by_one_with_much_to_do(drive: Driver) -> None:
    for name in LISTENERS:
        drive.inject_many(20, name)

    claimed = Counter(one.listener for _ in range(8) for one in drive.advance(most=4).claims)

    assert set(claimed) == set(LISTENERS)


@pytest.mark.parametrize("first", ["a", "b"])
def test_no_listener_is_starved_by_one_that_always_fills_up_again(drive: Driver, first: str) -> None:
    second = {"a": "b", "b": "a"}[first]
    drive.inject(first)
    drive.inject(second)
    seen = []

    claims = drive.advance(most=1).claims
    for _ in range(4):
        seen.append(claims[0].listener)
        claims = drive.advance(done(claims[0], own=[drive.own(claims[0])]), most=1).claims

    assert Counter(seen) == {first: 2, second: 2}


def test_a_claimed_message_is_not_claimed_again(drive: Driver, backend: SharedBackend) -> None:
    drive.inject("a")
    drive.claim()

    assert drive.advance().claims == []
    assert Driver(backend, "pump-2").advance().claims == []


def test_any_pump_may_claim_any_ready_message(drive: Driver) -> None:
    other = Driver(drive.backend, "pump-2")
    drive.inject("a")

    other.commit(answered(other.claim()))

    assert other.events == []
    drive.advance()
    assert drive.outputs() == [b"answer"]


def test_a_pump_that_is_not_enrolled_claims_nothing(drive: Driver) -> None:
    drive.inject("a")

    for pump in ("never enrolled", "buried"):
        other = Driver(drive.backend, "buried")
        drive.backend.bury_pump(other.pump)
        assert drive.backend.advance(pump, [], {"a": 1}, 1, drive.now).claims == []

    assert len(drive.advance().claims) == 1


def test_one_message_of_a_thread_at_a_time_in_the_order_of_the_commits(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    sends = [drive.send(claim, "b", f"b~{index}", payload=b"%d" % index) for index in range(4)]
    drive.commit(done(claim, own=[drive.own(claim, b"own")], sends=sends))
    busy = drive.claim()
    callees = {payload(one.message): one for one in drive.advance().claims}

    for number in (b"2", b"0", b"3", b"1"):
        drive.commit(answered(callees[number], number))
        assert drive.advance().claims == []

    order = []
    claims = drive.advance(done(busy)).claims
    while claims:
        [claim] = claims
        order.append(payload(claim.message))
        claims = drive.advance(done(claim)).claims
    assert order == [b"2", b"0", b"3", b"1"]


def test_messages_to_itself_come_before_what_their_commit_brings_back(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    drive.commit(done(claim, own=[drive.own(claim, b"1"), drive.own(claim, b"2")]))

    first = drive.claim()
    assert payload(first.message) == b"1"
    drive.commit(done(first))
    assert payload(drive.claim().message) == b"2"


def test_a_claim_tells_what_is_known_of_its_thread(drive: Driver) -> None:
    conversation = drive.inject("a")
    first = drive.claim()
    assert (first.listener, first.caller, first.call, first.initial) == ("a", "cli-1", "", True)
    assert (first.chain, first.open, first.state) == ("system.org.cli-1.a", [], b"")

    sends = [drive.send(first, "b"), drive.send(first, "b", "b~2")]
    drive.commit(done(first, own=[drive.own(first)], sends=sends))

    second = drive.claim()
    assert (second.thread, second.fence, second.call) == (first.thread, first.fence + 1, conversation)
    assert sorted(second.open) == ["b", "b~2"]
    below = drive.advance().claims
    assert [(one.caller, one.initial, one.call) for one in below] == [("a", False, "")] * 2


def test_what_is_ready_parked_or_claimed_is_in_flight(drive: Driver) -> None:
    assert drive.backend.load().in_flight == 0
    drive.inject_many(2)
    assert drive.backend.load().in_flight == 2
    first, second = drive.advance().claims
    assert drive.backend.load().in_flight == 2

    drive.commit(done(first, own=[drive.own(first), drive.own(first)]))
    assert drive.backend.load().in_flight == 3
    drive.commit(done(second))
    assert drive.backend.load().in_flight == 2


def test_each_call_tells_how_much_is_in_flight_afterwards(drive: Driver) -> None:
    assert drive.advance().in_flight == 0
    drive.inject_many(3)

    advanced = drive.advance(most=2)
    assert advanced.in_flight == 3
    one, two = advanced.claims
    assert drive.advance(done(one, sends=[drive.send(one, "b"), drive.send(one, "c")]), most=0).in_flight == 4
    assert drive.advance(Step(two.thread, two.fence, again=2), answered(one), most=0).in_flight == 4, "one is stale"
    assert drive.advance(most=0).in_flight == drive.backend.load().in_flight == 4
    drive.finish()
    assert drive.advance().in_flight == 0


def test_the_events_of_a_conversation_go_once_to_the_pump_that_injected_it(drive: Driver) -> None:
    other = Driver(drive.backend, "pump-2")
    mine, others = drive.inject("a"), other.inject("b")

    for driver, name in ((drive, "b"), (other, "a")):
        driver.commit(answered(driver.claim(name)))
    for driver in (drive, other, drive, other):
        driver.advance()

    assert (drive.pump, other.pump) == (PUMP, "pump-2")
    for driver, id in ((drive, mine), (other, others)):
        assert [(event.conversation, event.kind) for event in driver.events] == [(id, "output"), (id, "ended")]


def lost(drive: Driver, times: int, before: str = "") -> str:
    """A conversation whose message to `a` was lost with its pump `times` times; one with `before` was sent earlier."""
    id = drive.inject("a")
    for _ in range(times):
        other = Driver(drive.backend, "pump-2")
        other.claim()
        if before:
            drive.inject(before)
        drive.backend.bury_pump(other.pump)
    return id


def conversations(claims: list[Claim]) -> list[str]:
    return [decode_message(claim.message).conversation for claim in claims]


def test_L3_a_message_lost_twice_is_claimed_alone_and_the_others_keep_their_places(drive: Driver) -> None:
    dangerous = lost(drive, 2)
    one, two, three = drive.inject_many(3)

    batches = [conversations(drive.advance(most=2).claims) for _ in range(3)]

    assert batches == [[dangerous], [one, two], [three]]


def test_L3_a_message_lost_twice_is_not_claimed_with_those_before_it(drive: Driver) -> None:
    dangerous = lost(drive, 2, before="b")
    [last] = drive.inject_many(1)

    claims = drive.advance().claims
    assert [claim.listener for claim in claims] == ["b", "b"]
    assert conversations(drive.advance().claims) == [dangerous]
    assert conversations(drive.advance().claims) == [last]


def test_L3_a_message_lost_once_is_claimed_with_others(drive: Driver) -> None:
    once = lost(drive, 1)
    [other] = drive.inject_many(1)

    assert conversations(drive.advance().claims) == [once, other]
