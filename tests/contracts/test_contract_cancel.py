"""Giving up: a conversation as a whole, or all that is under way below one thread."""

from __future__ import annotations

from contract_kit import FAULT_BYTES, Driver, answered, done, failed, kind, payload

from xpipe.core.messages import Claim, Step, decode_message


def call(drive: Driver, claim: Claim, *to: str) -> None:
    drive.commit(done(claim, sends=[drive.send(claim, name) for name in to]))


def cancel(drive: Driver, id: str) -> bool:
    return drive.backend.cancel(id, FAULT_BYTES, drive.now)


def test_C1_a_cancelled_conversation_ends_with_a_fault_and_no_pending_work(drive: Driver) -> None:
    id = drive.inject("a")
    call(drive, drive.claim(), "b", "c")
    call(drive, drive.claim("b"), "a")

    assert cancel(drive, id) is True

    assert drive.advance().claims == []
    assert drive.record(id).state == "cancelled"
    assert (drive.record(id).ended, drive.record(id).outputs) == (drive.now, 1)
    assert [event.kind for event in drive.events] == ["output", "ended"]
    assert [kind(drive.events[0].message), payload(drive.events[0].message)] == ["fault", FAULT_BYTES]
    assert drive.backend.totals().in_flight == drive.backend.load().in_flight == 0
    assert drive.backend.ready_listeners() == []
    assert set(drive.states().values()) <= {"done", "failed"}
    assert cancel(drive, id) is False


def test_C1_claims_of_other_pumps_are_revoked_and_their_steps_refused(drive: Driver) -> None:
    other = Driver(drive.backend, "pump-2")
    id = drive.inject("a")
    claim = other.claim()

    cancel(drive, id)

    other.advance()
    assert [(event.kind, event.state, event.conversation) for event in other.events] == [("revoked", claim.thread, id)]
    assert other.advance(answered(claim)).refused == {0: "stale"}
    assert drive.record(id).outputs == 1


def test_C1_delayed_parked_and_joined_messages_go_too(drive: Driver) -> None:
    id = drive.inject("a")
    claim = drive.claim()
    join = drive.join(claim, 2, expires=drive.now + 50)
    drive.commit(done(claim, join=join, sends=[drive.send(claim, "b", f"{at}.b", at) for at in range(2)]))
    one, two = drive.advance(room={"b": 9}).claims
    drive.commit(Step(one.thread, one.fence, again=2, due=drive.now + 5))
    drive.commit(done(two, own=[drive.own(two), drive.own(two)]))

    cancel(drive, id)

    drive.now += 100
    advanced = drive.advance()
    assert (advanced.claims, advanced.due) == ([], 0.0)
    assert list(drive.backend.joins()) == []
    assert drive.backend.load().in_flight == 0
    assert list(drive.backend.orphans()) == []


def test_C1_other_conversations_go_on(drive: Driver) -> None:
    gone, stays = drive.inject_many(2)

    cancel(drive, gone)

    [claim] = drive.advance().claims
    drive.commit(answered(claim))
    assert drive.record(stays).state == "done"


def test_C1_an_answered_call_gets_no_fault(drive: Driver) -> None:
    id = drive.inject("a", "b")
    drive.commit(answered(drive.claim("a")))
    claim = drive.claim("b")
    drive.commit(answered(claim, own=[drive.own(claim)]))

    assert cancel(drive, id) is True

    assert (drive.record(id).state, drive.record(id).outputs) == ("cancelled", 2)
    assert [event.kind for event in drive.advance().events] == ["ended"]


def test_C1_threads_that_were_done_stay_done(drive: Driver) -> None:
    id = drive.inject("a")
    call(drive, drive.claim(), "b", "c")
    drive.commit(answered(drive.claim("b")))

    cancel(drive, id)

    assert drive.states() == {"": "done", "a": "failed", "a.b": "done", "a.c": "failed"}


def test_C1_each_call_of_the_initiator_that_waits_gets_a_fault(drive: Driver) -> None:
    id = drive.inject("a", "b", "c")
    drive.commit(answered(drive.claim("a")))

    cancel(drive, id)

    assert [kind(slot) for slot in drive.backend.buffer_get_thread(id)] == ["response", "fault", "fault"]
    assert len({decode_message(slot).call for slot in drive.backend.buffer_get_thread(id)}) == 3
    assert [decode_message(slot).hop for slot in drive.backend.buffer_get_thread(id)][1:] == [0, 0]


def test_C2_an_ended_or_unknown_conversation_cannot_be_cancelled(drive: Driver) -> None:
    id = drive.talk()

    assert cancel(drive, id) is False
    assert cancel(drive, "nobody") is False
    assert drive.record(id).state == "done"


def test_a_cancelled_conversation_can_be_forgotten(drive: Driver) -> None:
    id = drive.inject("a")
    call(drive, drive.claim(), "b")
    cancel(drive, id)

    assert drive.backend.forget(id) is True

    totals = drive.backend.totals()
    assert (totals.threads, totals.slots, totals.in_flight, totals.conversations) == (0, 0, 0, 0)


def test_C3_a_step_can_cancel_the_threads_below_its_own_and_continue(drive: Driver) -> None:
    id = drive.inject("a")
    top = drive.claim()
    drive.commit(done(top, sends=[drive.send(top, "b"), drive.send(top, "c")], own=[drive.own(top)]))
    call(drive, drive.claim("b"), "c")
    working = drive.advance(room={"c": 9}).claims
    assert len(working) == 2

    drive.commit(answered(drive.claim(), cancels=True))

    assert drive.record(id).state == "done"
    assert [event.kind for event in drive.advance().events] == []
    assert sorted(event.kind for event in drive.events) == ["ended", "output", "revoked", "revoked"]
    assert drive.advance(*map(answered, working)).refused == {0: "stale", 1: "stale"}
    assert drive.backend.load().in_flight == 0


def test_C3_a_thread_that_has_cancelled_can_call_the_same_listener_again(drive: Driver) -> None:
    id = drive.inject("a")
    top = drive.claim()
    drive.commit(done(top, sends=[drive.send(top, "b")], own=[drive.own(top)]))
    again = drive.claim()
    drive.commit(done(again, cancels=True, sends=[drive.send(again, "b")]))

    [claim] = drive.advance(room={"b": 9}).claims
    drive.commit(answered(claim, b"second"))

    reply = drive.claim()
    assert payload(reply.message) == b"second"
    drive.commit(answered(reply))
    assert drive.record(id).state == "done"


def test_C3_siblings_of_the_cancelling_thread_continue(drive: Driver) -> None:
    drive.inject("a")
    call(drive, drive.claim(), "b", "c")
    chosen, sibling = drive.advance(room={"b": 9, "c": 9}).claims
    assert (chosen.listener, sibling.listener) == ("b", "c")
    drive.commit(done(chosen, sends=[drive.send(chosen, "a")], own=[drive.own(chosen)]))

    drive.commit(answered(drive.claim("b"), cancels=True))

    assert drive.advance(answered(sibling)).refused == {}


def test_C3_a_failed_step_that_cancels_faults_its_caller(drive: Driver) -> None:
    id = drive.inject("a")
    top = drive.claim()
    drive.commit(done(top, sends=[drive.send(top, "b")], own=[drive.own(top)]))
    claim = drive.claim()
    step = failed(claim)
    step.cancels = True

    drive.commit(step)

    assert drive.advance().claims == []
    assert drive.record(id).state == "failed"


def test_what_is_called_again_does_not_count_the_losses_of_the_message_given_up(drive: Driver) -> None:
    drive.inject("a")
    top = drive.claim()
    drive.commit(done(top, sends=[drive.send(top, "b")], own=[drive.own(top)]))
    other = Driver(drive.backend, "pump-2")
    other.claim("b")
    drive.backend.bury_pump("pump-2")
    again = drive.claim()

    drive.commit(done(again, cancels=True, sends=[drive.send(again, "b")]))

    assert drive.claim("b").deliveries == 0
