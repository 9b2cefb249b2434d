"""Rows R5 to R13 of docs/semantics.md: what cannot be done."""

from __future__ import annotations

from typing import Any

import foreign
import pytest
from fault_kit import UNKNOWN, failing, fault_rig, fault_world, with_id
from router_kit import Ping, Pong, Rig, Stranger, World, call, listener, respond

from xpipe.core.limits import Limits
from xpipe.core.messages import Claim, Step, claimed_message, decode_message
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, Fault, HandlerResponse
from xpipe.core.retry import ASKED_AGAIN
from xpipe.runtime.responses import encode_responses

FORBIDDEN = "fenced sends to a, and its peers are b, find; add a to its peers"


@pytest.fixture
def rig() -> Rig:
    return fault_rig()


@pytest.fixture
def world() -> World:
    return fault_world()


@pytest.mark.parametrize("to", ["a", "search", "search.one", "careful"])
def test_R6_a_call_beyond_the_peers_is_a_fault_to_the_sender(rig: Rig, to: str) -> None:
    claim, message = rig.claim("fenced"), rig.request("fenced")

    step = with_id(rig.route(claim, message, call("b"), call(to)), "m1")

    text = FORBIDDEN.replace("to a,", f"to {to},").replace("add a", f"add {to}")
    assert step == failing(rig, claim, message, Fault("forbidden_peer", text, "fenced", 3))


@pytest.mark.parametrize("to", ["b", "find", "find.one", "fenced"])
def test_R6_peers_with_the_members_of_their_groups_and_the_sender_itself_may_be_called(rig: Rig, to: str) -> None:
    assert rig.topology.refusal("fenced", to, "Ping") is None


def test_R6_a_listener_with_an_empty_peers_list_reaches_nobody() -> None:
    world = World(listener("a", Ping, peers=frozenset()), listener("b"))
    world.inject("a")

    world.hop("a", call("b"))

    text = "a sends to b, and its peers are nobody; add b to its peers"
    assert world.outputs() == [Fault("forbidden_peer", text, "a", 1)]


@pytest.mark.parametrize(("to", "type"), [(BUFFER, "BufferStart"), (SEQUENCE, "SequenceStart")])
def test_R6_the_system_listeners_need_no_entry_in_peers(rig: Rig, to: str, type: str) -> None:
    assert rig.topology.refusal("fenced", to, type) is None


def test_R5_an_unknown_target_is_a_fault_to_the_sender(rig: Rig) -> None:
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, call("bb")), "m1")

    assert step == failing(rig, claim, message, Fault("unknown_target", UNKNOWN, "a", 3))


def test_R5_a_name_like_no_other_is_told_to_declare_it(rig: Rig) -> None:
    text = "a sends to zzzzz, and there is no listener of that name; declare it under listeners"
    assert rig.topology.refusal("a", "zzzzz", "Ping") == ("unknown_target", text)


def test_R7_a_type_that_the_target_does_not_accept_is_a_fault_to_the_sender(rig: Rig) -> None:
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, call("b", Pong())), "m1")

    text = "a sends a Pong to b, which accepts Ping"
    assert step == failing(rig, claim, message, Fault("bad_payload", text, "a", 3))


def test_R7_a_message_to_itself_is_held_to_its_own_types(rig: Rig) -> None:
    claim, message = rig.claim("b"), rig.request("b")

    step = with_id(rig.route(claim, message, call("b", Pong())), "m1")

    text = "b sends a Pong to b, which accepts Ping"
    assert step == failing(rig, claim, message, Fault("bad_payload", text, "b", 3))


def test_R8_a_response_of_an_unknown_type_is_a_fault_at_the_responder(world: World) -> None:
    world.inject("a")

    world.hop("a", [respond(Pong()), respond(Stranger())])

    [fault] = world.outputs()
    text = (
        "Stranger is no payload type of this organism (Other, Ping, Pong); "
        "define it as a dataclass or Struct in the module of a handler"
    )
    assert fault == Fault("unknown_type", text, "a", 1)


def test_R8_a_response_that_cannot_be_encoded_is_a_fault_that_names_the_field(world: World) -> None:
    world.inject("a")

    world.hop("a", respond(Pong(object())))

    text = "Pong.text cannot be encoded: Encoding objects of type object is unsupported"
    assert world.outputs() == [Fault("bad_payload", text, "a", 1)]


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (lambda *_: Pong, "the handler returned the class Pong instead of an instance of it; return a payload, "),
        (7, "the handler returned an int"),
        ("text", "the handler returned a str"),
        ([respond(Pong()), None], "the handler returned a list with a NoneType"),
        ([Pong(), {}], "the handler returned a list with a dict"),
        (HandlerResponse(Pong(), to=3), "`to` is a int; name a listener"),
        (False, "the handler returned a bool"),
    ],
)
def test_R9_anything_else_returned_is_a_fault_at_the_responder(world: World, result: Any, what: str) -> None:
    world.inject("a")
    world.commit(world.step(world.claim_one("a"), result))

    [fault] = world.outputs()
    assert (fault.code, fault.origin) == ("bad_response", "a")
    assert fault.text.startswith(what)


def test_R8_a_bare_payload_of_an_unknown_class_is_that_fault_too(world: World) -> None:
    world.inject("a")
    world.commit(world.step(world.claim_one("a"), Stranger()))

    [fault] = world.outputs()
    assert (fault.code, fault.text.split(" (")[0]) == (
        "unknown_type",
        "Stranger is no payload type of this organism",
    )


@pytest.mark.parametrize("result", [[Pong(), Pong()], [respond(Pong()), Pong()], (Pong(), call("b"), Ping())])
def test_R15_a_list_with_a_bare_payload_and_another_answer_is_a_fault(world: World, result: Any) -> None:
    world.inject("a")
    world.commit(world.step(world.claim_one("a"), result))

    [fault] = world.outputs()
    assert fault.code == "bad_response"
    assert fault.text.startswith("the handler returned a list with several answers, but a call gets one; ")


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_R9_nothing_is_not_a_bad_response(rig: Rig, nothing: Any) -> None:
    assert encode_responses(rig.types, nothing) == []


def test_R9_a_subclass_of_a_response_is_a_response(rig: Rig) -> None:
    class Own(HandlerResponse):
        pass

    assert encode_responses(rig.types, Own(Ping(3), to="b")) == encode_responses(rig.types, call("b", Ping(3)))


@pytest.mark.parametrize("attempt", [1, 2])
def test_R10_a_message_whose_worker_died_is_tried_again(rig: Rig, attempt: int) -> None:
    claim, message = rig.claim(call="older"), rig.request(attempt=attempt)

    step = rig.router.route_failure(claim, message, rig.router.fault(claim, message, "worker_lost", "gone"))

    assert step == Step(claim.thread, 7, again=attempt + 1)


def test_R10_the_next_attempt_is_the_same_message_of_the_same_thread(world: World) -> None:
    world.inject("a")
    first = world.claim_one("a")
    before = claimed_message(first)
    fault = world.router.fault(first, before, "worker_lost", "gone")

    world.commit(world.router.route_failure(first, before, fault))

    assert world.backend.load().in_flight == 1
    second = world.claim_one("a")
    assert (second.thread, second.fence) == (first.thread, first.fence + 1)
    after = claimed_message(second)
    assert (after.id, after.call, after.attempt) == (before.id, before.call, 2)
    world.commit(world.step(second, respond(Pong())))
    assert (world.outputs(), world.endings()) == ([Pong()], ["done"])
    assert world.history("a") == [("request", Ping(0))]


@pytest.mark.parametrize(("code", "attempt"), [("exception", 1), ("timeout", 1), ("worker_lost", 3)])
def test_R11_a_message_without_attempts_left_becomes_a_fault(rig: Rig, code: str, attempt: int) -> None:
    claim, message = rig.claim(), rig.request(attempt=attempt)
    fault = rig.router.fault(claim, message, code, "what happened", "the traceback", ["Broken", "handlers.Broken"])

    step = rig.router.route_failure(claim, message, fault)

    retryable = code != "exception"
    expected = Fault(code, "what happened", "a", 3, attempt, retryable, "the traceback", ("Broken", "handlers.Broken"))
    assert step == failing(rig, claim, message, expected)


def test_R10_R11_a_handler_without_a_policy_may_ask_for_ten_attempts(rig: Rig) -> None:
    claim, attempts = rig.claim(), 1
    while (step := asked_again(rig, claim, attempts)).again:
        attempts = step.again

    assert attempts == 10
    assert step.failed
    assert rig.types.decode("Fault", step.dead.fault).code == "retries_exhausted"


def asked_again(rig: Rig, claim: Claim, attempt: int) -> Step:
    """The step after a handler has asked for another attempt."""
    message = rig.request(attempt=attempt)
    return rig.router.route_failure(claim, message, rig.router.fault(claim, message, ASKED_AGAIN, "busy"))


def limited(**limits: int) -> Rig:
    return Rig(listener("a", Ping, Pong, Fault), listener("b"), limits=Limits(**limits))


def test_R12_a_call_deeper_than_the_limit_is_a_fault() -> None:
    rig = limited(depth=5)  # system.org.cli-1.boss.a
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, respond(Pong()), call("b")), "m1")

    text = "the call chain would be longer than limits.depth (5); call less deep or raise it"
    assert step == failing(rig, claim, message, Fault("too_deep", text, "a", 3))


def test_R12_answers_and_messages_to_itself_are_not_deeper() -> None:
    rig = limited(depth=5)

    step = rig.route(rig.claim(), rig.request(), call("a"), respond(Pong()))

    assert (len(step.own), step.answer is not None, step.failed) == (1, True, False)


@pytest.mark.parametrize(
    "response", [call("b"), call("a"), respond(Pong()), call("nobody")], ids=["call", "self", "answer", "refused"]
)
def test_R12_a_path_of_more_hops_than_the_limit_ends_in_a_fault(response: HandlerResponse) -> None:
    rig = limited(hops=8)
    claim, last = rig.claim(), rig.request(hop=8)

    step = with_id(rig.route(claim, last, response), "m1")

    text = "the message would be hop 9 of its path, over limits.hops (8); end the loop or raise it"
    assert step == failing(rig, claim, last, Fault("too_many_hops", text, "a", 8))
    assert not rig.route(claim, rig.request(hop=7), response).failed


def test_R12_a_handler_that_answers_each_refusal_with_another_bad_call_comes_to_an_end() -> None:
    world = World(listener("a", Ping, Fault), limits=Limits(hops=20))
    world.inject("a")

    world.play(a=lambda *_: call("nobody"))

    [fault] = world.outputs()
    assert (fault.code, fault.hop, len(world.handled)) == ("too_many_hops", 20, 20)


def test_R12_a_payload_over_the_limit_is_a_fault() -> None:
    rig = limited(payload_bytes=20)
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, call("b"), respond(Pong("x" * 20))), "m1")

    text = "Pong takes 27 bytes, over limits.payload_bytes (20); send less or raise it"
    assert step == failing(rig, claim, message, Fault("payload_too_large", text, "a", 3))


def test_R12_more_calls_at_once_than_the_limit_are_a_fault() -> None:
    rig = limited(fan_out=3)
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, *[call("b")] * 4), "m1")

    text = "one answer of the handler makes more calls than limits.fan_out (3) allows; split or raise it"
    assert step == failing(rig, claim, message, Fault("fan_out_too_wide", text, "a", 3))
    assert len(rig.route(claim, message, *[call("b")] * 3).sends) == 3


def test_R12_a_fan_out_over_the_limit_is_a_fault() -> None:
    world = World(listener("a"), limits=Limits(fan_out=2))
    world.inject(BUFFER, BufferStart("a", [Ping(), Ping(), Ping()]))

    step = world.hop(BUFFER)

    [error] = world.outputs()
    assert error.code == "fan_out_too_wide"
    assert error.text == "the Buffer has 3 items, over limits.fan_out (2); split or raise it"
    assert (step.sends, step.join, step.failed) == ([], None, True)


def test_R13_an_answer_that_is_a_fault_fails_the_thread_without_a_dead_letter(rig: Rig) -> None:
    claim, message = rig.claim(open=["b"]), rig.request()
    fault = Fault("mine", "as I said", "elsewhere", 2)

    step = rig.route(claim, message, respond(fault))

    assert step == failing(rig, claim, message, fault, buried=False)


def test_R13_a_fault_as_output_fails_the_conversation(world: World) -> None:
    world.inject("a")
    world.hop("a", respond(Fault("mine", "x")))

    assert (world.outputs(), world.endings()) == ([Fault("mine", "x", "a", 1)], ["failed"])
    assert world.backend.totals().dead_letters == 0
    assert world.thread("a").state == "failed"


@pytest.mark.parametrize("initial", [True, False])
def test_R13_a_fault_that_nobody_could_read_is_a_bad_payload(rig: Rig, initial: bool) -> None:
    claim = rig.claim(initial=initial)

    step = rig.route(claim, rig.request(), respond(Fault(5, "a number as code")))

    reply = decode_message(step.answer.message)
    fault = rig.types.decode(reply.type, reply.payload)
    assert (fault.code, fault.text) == ("bad_payload", f"Fault: {foreign.misfit(Fault, {'code': 5, 'text': ''})}")
