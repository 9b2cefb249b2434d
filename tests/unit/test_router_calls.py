"""Rows A1 to A10 and R1 to R4 of docs/semantics.md: calls, replies, and what waits for what."""

from __future__ import annotations

from typing import Any

import pytest
from router_kit import REQUEST, RESPONSE, Other, Ping, Pong, Rig, World, call, kinds, listener, respond

from xpipe.core import chains
from xpipe.core.messages import Answer, Step, decode_message
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, Fault, SequenceStart
from xpipe.runtime.responses import encode_responses


@pytest.fixture
def rig() -> Rig:
    return Rig(
        listener("a"),
        listener("b"),
        listener("c.d"),
        listener("find.one", Ping, broadcast=True),
        listener("find.two", Ping, broadcast=True),
    )


@pytest.fixture
def world() -> World:
    return World(
        listener("a", Ping, Pong, Fault),
        listener("b"),
        listener("c"),
        listener("find.one", Ping, broadcast=True),
        listener("find.two", Ping, broadcast=True),
    )


def test_A1_a_request_makes_a_thread_with_its_message_and_opens_the_call(world: World) -> None:
    conversation = world.inject("a")

    world.hop("a", call("b", Ping(5)))

    caller, callee = world.thread("a"), world.thread("a.b")
    assert callee.chain == "system.org.cli-1.a.b"
    assert callee.thread == chains.thread_id(world.secret, callee.chain)
    assert world.backend.registry_list_all()[callee.thread] == callee.chain
    assert (callee.conversation, callee.state, caller.state) == (conversation, "active", "waiting")
    assert world.history("a.b") == [("request", Ping(5))]


def test_A2_a_later_request_goes_to_the_thread_of_the_earlier_call(world: World) -> None:
    world.inject("a")
    world.hop("a", call("b", Ping(1)))
    world.hop("b", respond(Pong()))

    world.hop("a", call("b", Ping(2)))

    assert world.history("a.b") == [("request", Ping(1)), ("request", Ping(2))]
    assert world.thread("a.b").state == "active"
    assert world.claim_one("b").open == []


def test_A2_a_request_for_a_thread_that_is_busy_is_parked(world: World) -> None:
    # given: b's thread is busy with a call that its caller has given up
    world.inject("a")
    world.hop("a", [call("b", Ping(1)), call("a"), call("a")])
    busy = world.claim_one("b")
    world.hop("a", ValueError("gives up"))

    # when: the caller calls b again
    world.hop("a", call("b", Ping(2)))

    # then: the same thread gets it, once it is free
    assert world.history("a.b") == [("request", Ping(1)), ("request", Ping(2))]
    assert world.claim_all() == []
    world.commit(world.step(busy, respond(Pong())))
    assert world.payload_of(world.claim_one("b").message) == Ping(2)


def test_A3_a_request_while_a_call_is_open_gets_a_thread_of_its_own(rig: Rig) -> None:
    claim = rig.claim(open=["b", "b~2"])

    step = rig.route(claim, rig.request(), call("b"), call("b"), call("c.d"))

    assert [send.segment for send in step.sends] == ["b~3", "b~4", "c%2Ed"]


def test_A4_a_request_to_the_own_name_continues_the_thread(rig: Rig) -> None:
    claim = rig.claim("a")

    step = rig.route(claim, rig.request("a"), call("a", Ping(2)))

    assert step == Step(claim.thread, 7, "c1", own=[rig.encoded("m1", "self", "a", "a", Ping(2), "c1")])


def test_A4_a_self_message_answers_the_caller_of_the_thread(world: World) -> None:
    world.inject("a")
    world.hop("a", call("a", Ping(2)))

    world.hop("a", respond(Pong("after all")))

    assert world.history("a") == [("request", Ping(0)), ("self", Ping(2))]
    assert world.outputs() == [Pong("after all")]


def test_A5_a_request_to_a_group_is_a_call_of_each_member(rig: Rig) -> None:
    claim = rig.claim()

    step = rig.route(claim, rig.request(), call("find", Ping(3)))

    assert step.sends == [
        rig.send(claim, "m1", "find.one", "find%2Eone", Ping(3)),
        rig.send(claim, "m2", "find.two", "find%2Etwo", Ping(3)),
    ]


def test_A5_each_member_of_a_group_replies_for_itself(world: World) -> None:
    world.inject("a")
    world.hop("a", call("find"))

    world.hop("find.two", respond(Pong("two")))
    world.hop("find.one", respond(Pong("one")))

    assert world.history("a")[1:] == [("response", Pong("two")), ("response", Pong("one"))]


def test_A6_a_reply_closes_the_call_and_is_delivered(world: World) -> None:
    conversation = world.inject("a")
    world.hop("a", call("b"))

    world.hop("b", respond(Pong("hi")))

    assert world.history("a")[1:] == [("response", Pong("hi"))]
    claim = world.claim_one("a")
    assert (claim.open, claim.call) == ([], conversation)


def test_A7_a_reply_to_a_closed_call_is_recorded_as_late_and_never_run(world: World) -> None:
    # given: a waits for b, and fails
    world.inject("a")
    world.hop("a", [call("b"), call("a")])
    world.hop("a", ValueError("gives up"))

    world.hop("b", respond(Pong("too late")))

    assert world.history("a")[-1] == ("late-response", Pong("too late"))
    assert world.late == 1
    assert world.claim_all() == []
    assert world.endings() == ["failed"]


def test_A8_a_reply_to_the_initiator_is_an_output(world: World) -> None:
    conversation = world.inject("a")

    world.hop("a", respond(Pong("out")))

    [output, ended] = world.events
    assert (output.conversation, output.kind) == (conversation, "output")
    message = decode_message(output.message)
    assert (message.kind, message.sender, message.to, message.type) == (RESPONSE, "a", "cli-1", "Pong")
    assert world.payload_of(output.message) == Pong("out")
    assert (ended.conversation, ended.kind, ended.state) == (conversation, "ended", "done")
    assert world.history("cli-1") == [("response", Pong("out"))]


def test_A9_a_reply_to_a_collecting_thread_is_recorded_at_its_index(world: World) -> None:
    world.inject("a")
    world.hop("a", call(BUFFER, BufferStart("b", [Ping(0), Ping(1)])))
    world.hop(BUFFER)
    first, second = world.claim_all()
    buffer = world.thread("a").chain

    world.commit(world.step(second, respond(Pong("second"))))
    [(id, present, total)] = world.backend.joins()
    assert (present, total) == (1, 2)
    results = world.backend.join_get(id).results
    assert (results[0], world.payload_of(results[1])) == (None, Pong("second"))
    assert world.claim_all() == []

    world.commit(world.step(first, respond(Pong("first"))))
    assert list(world.backend.joins()) == []
    joined = world.claim_one(BUFFER)
    assert kinds([joined.message]) == ["joined"]
    assert joined.chain.startswith(f"{buffer}.system%2Ebuffer~")


def test_A10_messages_of_a_thread_wait_for_the_one_under_way(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("a", Ping(1)), call("b"), call("c")])
    busy = world.claim_one("a")

    world.hop("c", respond(Pong("c")))
    world.hop("b", respond(Pong("b")))
    assert world.claim_all() == []
    assert world.backend.load().in_flight == 3

    world.commit(world.step(busy))
    following = []
    while claims := world.claim_all():
        following += [world.payload_of(claim.message) for claim in claims]
        world.commit(*map(world.step, claims))
    assert following == [Pong("c"), Pong("b")]


def test_A10_a_message_to_itself_comes_before_the_replies_to_its_calls(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("b"), call("a", Ping(1))])
    world.hop("b", respond(Pong("b")))

    assert [world.payload_of(claim.message) for claim in world.claim_all()] == [Ping(1)]


def test_R1_a_response_to_a_name_is_a_request_one_hop_further(rig: Rig) -> None:
    claim = rig.claim()

    step = rig.route(claim, rig.request(hop=3), call("b", Ping(9)))

    assert step == Step(claim.thread, 7, "c1", sends=[rig.send(claim, "m1", "b", "b", Ping(9), hop=4)])
    message = decode_message(step.sends[0].message)
    assert (message.kind, message.call, message.attempt) == (REQUEST, message.id, 1)


def test_R1_a_listener_may_be_called_by_any_printable_name() -> None:
    world = World(listener("a"), listener("größe"))
    world.inject("a")

    world.hop("a", call("größe", Ping(9)))

    assert world.payload_of(world.claim_one("größe").message) == Ping(9)


def test_R1_several_responses_are_one_step_in_their_order(rig: Rig) -> None:
    claim = rig.claim()

    step = rig.route(claim, rig.request(), call("b"), respond(Pong("x")), call("c.d"), call("a"))

    assert step == Step(
        claim.thread,
        7,
        "",
        sends=[rig.send(claim, "m1", "b", "b", Ping()), rig.send(claim, "m3", "c.d", "c%2Ed", Ping())],
        answer=Answer("c1", rig.encoded("m2", RESPONSE, "a", "boss", Pong("x"), "c1")),
        own=[rig.encoded("m4", "self", "a", "a", Ping(), "c1")],
    )


def test_R2_an_answer_of_a_request_ends_the_call_it_opened(rig: Rig) -> None:
    claim = rig.claim(call="an older one")

    step = rig.route(claim, rig.request(call="c1"), respond(Pong("x")))

    answer = Answer("c1", rig.encoded("m1", RESPONSE, "a", "boss", Pong("x"), "c1"))
    assert step == Step(claim.thread, 7, "", answer=answer)


@pytest.mark.parametrize("result", [Pong("x"), [Pong("x")], (Pong("x"),)])
def test_R2_a_plain_payload_is_an_answer(rig: Rig, result: Any) -> None:
    assert encode_responses(rig.types, result) == encode_responses(rig.types, respond(Pong("x")))


def test_R2_a_payload_in_a_list_is_an_answer_among_calls(rig: Rig) -> None:
    mixed = encode_responses(rig.types, [call("b"), Pong("x"), call("c.d")])

    assert mixed == encode_responses(rig.types, [call("b"), respond(Pong("x")), call("c.d")])


@pytest.mark.parametrize(
    ("start", "to"), [(BufferStart("b", [Ping()]), BUFFER), (SequenceStart(["b"], Ping()), SEQUENCE)]
)
def test_R14_a_buffer_start_or_sequence_start_alone_is_a_call(rig: Rig, start: Any, to: str) -> None:
    assert encode_responses(rig.types, start) == encode_responses(rig.types, call(to, start))
    assert encode_responses(rig.types, [start, Pong()]) == encode_responses(
        rig.types, [call(to, start), respond(Pong())]
    )


@pytest.mark.parametrize("kind", ["response", "fault", "self"])
def test_R2_an_answer_from_any_other_message_ends_the_open_call_of_the_thread(kind: str) -> None:
    rig = Rig(listener("a", Ping, Pong, Fault), listener("b"))
    claim = rig.claim(call="mine")
    message = rig.message(kind, "b", "a", Fault("x", "y") if kind == "fault" else Pong(), call="c9", hop=6)

    step = rig.route(claim, message, respond(Pong("x")))

    answer = Answer("mine", rig.encoded("m1", RESPONSE, "a", "boss", Pong("x"), "mine", hop=7))
    assert step == Step(claim.thread, 7, "", answer=answer)


def test_R3_a_second_answer_is_dropped_and_counted(rig: Rig) -> None:
    claim = rig.claim()

    step = rig.route(claim, rig.request(), respond(Pong("1")), respond(Pong("2")), respond(Other()))

    answer = Answer("c1", rig.encoded("m1", RESPONSE, "a", "boss", Pong("1"), "c1"))
    assert step == Step(claim.thread, 7, "", answer=answer, dropped=2)


def test_R3_an_answer_without_an_open_call_is_dropped_and_counted(rig: Rig) -> None:
    claim = rig.claim(call="")

    assert rig.route(claim, rig.reply(), respond(Pong())) == Step(claim.thread, 7, "", dropped=1)


def test_R3_an_answer_after_the_answer_changes_nothing(world: World) -> None:
    world.inject("a")
    world.hop("a", [respond(Pong("first")), call("b")])
    world.hop("b", respond(Pong()))

    world.hop("a", respond(Pong("second")))

    assert (world.outputs(), world.dropped, world.late) == ([Pong("first")], 1, 0)
    assert world.endings() == ["done"]


def test_R4_nothing_returned_commits_only_the_acknowledgement(rig: Rig) -> None:
    claim = rig.claim(call="mine", open=["b"])

    assert rig.route(claim, rig.reply()) == Step(claim.thread, 7, "mine")
    assert rig.route(claim, rig.request()) == Step(claim.thread, 7, "c1")
