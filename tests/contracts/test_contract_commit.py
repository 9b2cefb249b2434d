"""One hop, one commit: all of a step or nothing of it, and a claim can be finished once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract_kit import Driver, answer, answered, done, failed, kind, payload

from xpipe.core import chains
from xpipe.core.messages import Claim, Step
from xpipe.ports import SharedBackend


def snapshot(backend: SharedBackend) -> tuple[object, ...]:
    """All that can be seen of `backend`."""
    threads = list(backend.threads())
    slots = [backend.buffer_get_thread(one.thread) for one in threads]
    return (
        threads,
        slots,
        list(backend.registry_list_all()),
        backend.totals(),
        list(backend.joins()),
        backend.load().in_flight,
    )


def test_a_step_moves_everything_at_once(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    drive.commit(answered(claim, own=[drive.own(claim)], sends=[drive.send(claim, "b"), drive.send(claim, "c")]))

    assert drive.states() == {"": "done", "a": "active", "a.b": "active", "a.c": "active"}
    assert drive.backend.load().in_flight == 3
    assert drive.outputs() == [b"answer"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_step_is_committed_once(drive: Driver, times: int) -> None:
    drive.inject("a")
    claim = drive.claim()
    step = done(claim, sends=[drive.send(claim, "b")])
    drive.commit(step)
    before = snapshot(drive.backend)

    for _ in range(times):
        assert drive.advance(step, most=0).refused == {0: "stale"}

    assert snapshot(drive.backend) == before


def test_a_step_given_twice_in_one_batch_is_committed_once(drive: Driver) -> None:
    drive.inject("a")
    step = answered(drive.claim())

    assert drive.advance(step, step).refused == {1: "stale"}

    assert drive.outputs() == [b"answer"]
    assert drive.backend.load().in_flight == 0


def test_a_step_of_an_earlier_claim_of_the_thread_is_refused(drive: Driver) -> None:
    # given: a thread that was claimed, tried again, and claimed again
    drive.inject("a")
    first = drive.claim()
    drive.commit(Step(first.thread, first.fence, again=2))
    second = drive.claim()
    before = snapshot(drive.backend)

    assert drive.advance(answered(first), most=0).refused == {0: "stale"}

    assert snapshot(drive.backend) == before
    drive.commit(answered(second))


@pytest.mark.parametrize("fence", [-1, 0, 2, 2**40])
def test_a_step_with_a_fence_that_was_never_given_is_refused(drive: Driver, fence: int) -> None:
    drive.inject("a")
    claim = drive.claim()
    assert claim.fence == 1

    assert drive.advance(Step(claim.thread, fence), most=0).refused == {0: "stale"}

    drive.commit(answered(claim))


def test_a_step_of_an_unknown_thread_is_refused(drive: Driver) -> None:
    assert drive.advance(Step("nothing", 1), Step("", 0)).refused == {0: "stale", 1: "stale"}


def test_a_step_of_a_message_that_was_not_claimed_is_refused(drive: Driver) -> None:
    conversation = drive.inject("a")
    [_, thread] = drive.backend.threads(conversation)

    assert drive.advance(Step(thread.thread, 0), most=0).refused == {0: "stale"}

    assert drive.backend.load().in_flight == 1


def test_refused_steps_do_not_spoil_the_batch(drive: Driver) -> None:
    drive.inject_many(3)
    one, two, three = drive.advance().claims
    drive.commit(answered(two, b"2"))

    advanced = drive.advance(Step("x", 1), answered(one, b"1"), answered(two, b"again"), answered(three, b"3"))

    assert advanced.refused == {0: "stale", 2: "stale"}
    assert drive.outputs() == [b"2", b"1", b"3"]


def test_a_batch_commits_in_order_and_claims_what_it_made_ready(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    advanced = drive.advance(done(claim, sends=[drive.send(claim, "b", payload=b"x"), drive.send(claim, "c")]))

    assert [one.listener for one in advanced.claims] == ["b", "c"]
    assert payload(advanced.claims[0].message) == b"x"


def test_a_message_tried_again_is_the_same_message_in_the_same_place(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    before = drive.backend.totals()

    drive.commit(Step(claim.thread, claim.fence, again=2))

    assert drive.backend.totals() == before
    again = drive.claim()
    assert (again.message, again.fence, again.call) == (claim.message, claim.fence + 1, claim.call)


def test_what_a_primitive_keeps_comes_back_with_its_next_claim(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    assert claim.state == b""

    drive.commit(done(claim, own=[drive.own(claim), drive.own(claim)], state=b"\x00kept\xff"))

    second = drive.claim()
    assert second.state == b"\x00kept\xff"
    drive.commit(done(second))
    assert drive.claim().state == b"\x00kept\xff"


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_step_that_fills_its_own_thread_is_refused_for_want_of_slots(
    make_backend: Callable[..., SharedBackend], slots: int
) -> None:
    drive = Driver(make_backend(slots=slots))
    drive.inject("a")
    claim = drive.claim()
    before = snapshot(drive.backend)

    too_many = done(claim, own=[drive.own(claim) for _ in range(slots)], sends=[drive.send(claim, "b")])
    assert drive.advance(too_many, most=0).refused == {0: "slots"}

    assert snapshot(drive.backend) == before
    drive.commit(done(claim, own=[drive.own(claim) for _ in range(slots - 1)]))


def test_the_claim_of_a_step_refused_for_want_of_slots_still_stands(make_backend: Callable[..., SharedBackend]) -> None:
    drive = Driver(make_backend(slots=1))
    drive.inject("a")
    claim = drive.claim()
    assert drive.advance(done(claim, own=[drive.own(claim)])).refused == {0: "slots"}
    assert drive.advance().claims == []

    drive.commit(failed(claim))

    drive.advance()
    assert drive.kinds_of_events() == ["output", "ended"]


def test_a_request_or_an_answer_to_a_full_thread_is_refused_and_a_fault_is_not(
    make_backend: Callable[..., SharedBackend],
) -> None:
    drive = Driver(make_backend(slots=1))
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    callee = drive.claim("b")

    assert drive.advance(answered(callee), most=0).refused == {0: "slots"}
    drive.commit(failed(callee))

    # and: a thread that holds more than it may by a fault can still end
    reply = drive.claim()
    assert kind(reply.message) == "fault"
    assert drive.advance(done(reply, sends=[drive.send(reply, "b")]), most=0).refused == {0: "slots"}
    drive.commit(answered(reply))


def test_ending_gives_up_open_calls_whose_replies_are_late(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "c")]))
    reply, straggler = drive.claim("b"), drive.claim("c")
    drive.commit(answered(reply))

    drive.commit(failed(drive.claim()))
    advanced = drive.advance(answered(straggler, b"late"))

    assert (advanced.late, advanced.claims, advanced.refused) == (1, [], {})
    [thread] = [one for one in drive.backend.threads() if one.listener == "a"]
    last = drive.backend.buffer_get_thread(thread.thread)[-1]
    assert (kind(last), payload(last)) == ("late-response", b"late")
    assert drive.states()["a"] == "failed"


def test_A7_a_late_answer_is_not_taken_for_that_of_a_newer_call_to_the_same_thread(drive: Driver) -> None:
    # given: a thread that failed while b worked for it, and has called b again
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")], own=[drive.own(claim), drive.own(claim)]))
    first = drive.claim("b")
    drive.commit(failed(drive.claim()))
    again = drive.claim()
    drive.commit(done(again, sends=[drive.send(again, "b")]))

    # when: b answers the call that was given up, then the other one
    assert drive.commit(answered(first, b"first")).late == 1
    assert drive.advance(room={"a": 1}).claims == []
    drive.commit(answered(drive.claim("b"), b"second"))

    # then
    reply = drive.claim()
    assert (payload(reply.message), reply.open) == (b"second", [])


def test_A7_a_late_answer_is_no_slot_of_a_primitive(drive: Driver) -> None:
    # given: a thread that keeps what primitives keep, and gave up what b works on
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")], own=[drive.own(claim)], state=b"kept"))
    late = drive.claim("b")
    drive.commit(failed(drive.claim()))
    before = drive.backend.buffer_get_thread(claim.thread)

    assert drive.commit(answered(late)).late == 1

    assert drive.backend.buffer_get_thread(claim.thread) == before


def test_a_thread_that_failed_is_done_once_another_call_to_it_ends_without_an_answer(drive: Driver) -> None:
    # given: b has failed, and is called again
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    drive.commit(failed(drive.claim("b")))
    again = drive.claim()
    drive.commit(done(again, sends=[drive.send(again, "b")]))
    assert drive.states()["a.b"] == "active"

    drive.commit(done(drive.claim("b")))

    assert drive.states()["a.b"] == "done"


def failed_once(drive: Driver) -> Claim:
    """The second of two calls to a thread whose first one failed."""
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "b")]))
    drive.commit(failed(drive.claim("b")))
    return drive.claim("b")


def test_a_thread_that_failed_is_failed_until_it_gets_another_call(drive: Driver) -> None:
    claim = failed_once(drive)

    drive.commit(done(claim, call=""))

    assert drive.states()["a.b"] == "failed"


def test_a_thread_that_failed_and_answers_another_call_is_done(drive: Driver) -> None:
    claim = failed_once(drive)

    drive.commit(answered(claim))

    assert drive.states()["a.b"] == "done"


def test_a_thread_that_never_failed_and_answers_nobody_is_done(drive: Driver) -> None:
    drive.inject("a")

    drive.commit(done(drive.claim(), call=""))

    assert drive.states()["a"] == "done"


def test_A7_a_late_fault_is_no_slot_of_the_initiator(drive: Driver) -> None:
    # given: a thread that has answered its initiator, and has a message left that turns out to be damaged (F11)
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(answered(claim, own=[drive.own(claim)]))
    damaged = failed(drive.claim())
    assert damaged.answer is not None
    damaged.answer.call = ""

    assert drive.commit(damaged).late == 1

    assert [payload(one) for one in drive.backend.buffer_get_thread(id)] == [b"answer"]
    assert (drive.record(id).outputs, drive.record(id).state) == (1, "done")
    assert [letter.told for letter in drive.backend.dead_letters()] == [False]


def test_a_delegated_call_takes_over_the_call_of_the_caller(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    callee = drive.claim("b")
    call = done(callee).call

    drive.commit(Step(callee.thread, callee.fence, delegate=drive.delegate(callee, "c", call), ends=True))

    other = drive.claim("c")
    assert (other.chain, other.caller) == (f"{claim.chain}.c~d", "a")
    assert drive.states() == {"": "waiting", "a": "waiting", "a.b": "done", "a.c~d": "active"}
    drive.commit(answered(other, b"delegated answer"))
    reply = drive.claim()
    assert (payload(reply.message), reply.open) == (b"delegated answer", [])


def test_a_delegated_call_of_a_caller_that_gave_up_is_late_and_makes_no_thread(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b")], own=[drive.own(claim)]))
    callee = drive.claim("b")
    call = done(callee).call
    drive.commit(failed(drive.claim()))

    step = Step(callee.thread, callee.fence, delegate=drive.delegate(callee, "c", call), ends=True)
    assert drive.commit(step).late == 1

    assert "a.c~d" not in drive.states()
    assert drive.backend.load().in_flight == 0


def test_dead_letters_are_counted_and_those_nobody_was_told_of_are_events(drive: Driver) -> None:
    conversation = drive.inject("a")
    claim = drive.claim()
    drive.commit(answered(claim, own=[drive.own(claim), drive.own(claim)]))
    told = drive.claim()
    drive.commit(failed(told, told=False))

    drive.commit(done(drive.claim(), call=""))
    drive.advance()

    assert drive.backend.totals().dead_letters == 1
    [dead] = [event for event in drive.events if event.kind == "dead"]
    assert (dead.conversation, payload(dead.message)) == (conversation, b"self")
    assert b"broken" in dead.cause


def test_a_thread_is_bound_by_the_step_that_first_calls_it(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    chain = f"{claim.chain}.b"
    id = chains.thread_id(drive.backend.secret(), chain)
    assert id not in drive.backend.registry_list_all()

    drive.commit(done(claim, sends=[drive.send(claim, "b")]))

    assert drive.backend.registry_list_all()[id] == chain


def test_A2_a_thread_whose_id_was_bound_from_outside_is_called_again(drive: Driver) -> None:
    drive.backend.registry_set("system.org.cli-1.a.b", "mine")
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", payload=b"1")]))
    drive.commit(answered(drive.claim("b")))

    again = drive.claim()
    drive.commit(done(again, sends=[drive.send(again, "b", payload=b"2")]))

    assert drive.claim("b").thread == "mine"
    assert [payload(one) for one in drive.backend.buffer_get_thread("mine")] == [b"1", b"2"]


def test_A10_a_message_for_a_thread_whose_id_was_bound_from_outside_is_parked(drive: Driver) -> None:
    drive.backend.registry_set("system.org.cli-1.a.b", "mine")
    drive.inject("a")
    claim = drive.claim()
    sends = [drive.send(claim, "b", payload=number) for number in (b"1", b"2")]
    drive.commit(done(claim, sends=sends))

    first = drive.claim("b")
    assert (first.thread, payload(first.message)) == ("mine", b"1")
    assert drive.advance().claims == []
    drive.commit(done(first))
    assert payload(drive.claim("b").message) == b"2"


def test_slots_recorded_before_their_thread_was_made_are_its_first_ones(drive: Driver) -> None:
    thread = chains.thread_id(drive.backend.secret(), "system.org.cli-1.a")
    drive.backend.buffer_append(thread, drive.note(b"before"))

    drive.inject("a", payload=b"request")

    claim = drive.claim()
    assert (claim.thread, payload(claim.message)) == (thread, b"request")
    assert [payload(one) for one in drive.backend.buffer_get_thread(thread)] == [b"before", b"request"]
    assert drive.backend.totals().slots == 2


def test_an_answer_is_an_output_even_if_other_answers_wait_for_other_threads(drive: Driver) -> None:
    drive.inject("a", "b")
    one, two = drive.claim("a"), drive.claim("b")

    drive.commit(done(two, call="", answer=answer(two, b"two")))
    drive.commit(done(one, call="", answer=answer(one, b"one")))
    drive.advance()

    assert drive.outputs() == [b"two", b"one"]
    assert drive.kinds_of_events() == ["output", "output", "ended"]


def test_a_late_fault_is_kept_only_where_there_is_a_slot_for_it(make_backend: Callable[..., SharedBackend]) -> None:
    # given: a caller that gave up, with one slot left and two calls under way
    drive = Driver(make_backend(slots=3))
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "c")], own=[drive.own(claim)]))
    drive.commit(failed(drive.claim()))
    one, two = drive.claim("b"), drive.claim("c")
    [caller] = [thread for thread in drive.backend.threads() if thread.listener == "a"]

    assert drive.commit(failed(one)).late == drive.commit(failed(two)).late == 1

    kinds = [kind(slot) for slot in drive.backend.buffer_get_thread(caller.thread)]
    assert kinds == ["request", "self", "late-fault"]


def test_a_call_that_was_answered_already_is_late_to_be_delegated_while_others_are_open(drive: Driver) -> None:
    # given: a thread that has answered its call, one of two of its caller, and has a message to itself
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "c")]))
    callee = drive.claim("b")
    call = done(callee).call
    drive.commit(answered(callee, own=[drive.own(callee)]))
    again = drive.claim("b")

    step = Step(again.thread, again.fence, delegate=drive.delegate(again, "c", call))

    assert drive.commit(step).late == 1
    assert "a.c~d" not in drive.states()


def test_a_message_behind_one_whose_lease_was_lost_has_lost_none(drive: Driver) -> None:
    # given: a message that was claimed three times, with another one behind it
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim), drive.own(claim)]))
    for pump in ("pump-2", "pump-3"):
        Driver(drive.backend, pump).claim()
        drive.backend.bury_pump(pump)
    lost = drive.claim()
    assert lost.deliveries == 2

    drive.commit(done(lost))

    assert drive.claim().deliveries == 0
