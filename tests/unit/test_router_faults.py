"""Rows F1 to F10 of docs/semantics.md: who is told of what cannot be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import foreign
import pytest
from fault_kit import UNKNOWN, failing, fault_rig, fault_world, with_id
from router_kit import FAULT, PUMP, Other, Ping, Pong, Rig, World, call, listener, respond

from xpipe.core.errors import PayloadError
from xpipe.core.limits import Limits
from xpipe.core.messages import Injection, Step, decode_message
from xpipe.core.payloads import BufferError, Fault, SequenceError
from xpipe.core.retry import RetryPolicy
from xpipe.runtime.router import Router


@pytest.fixture
def rig() -> Rig:
    return fault_rig()


@pytest.fixture
def world() -> World:
    return fault_world()


def test_F1_a_refused_call_is_told_to_a_handler_that_accepts_faults(rig: Rig) -> None:
    claim = rig.claim("careful")

    step = rig.route(claim, rig.request("careful"), call("bb"), call("b"))

    text = UNKNOWN.replace("a sends", "careful sends")
    own = rig.encoded("m1", FAULT, "bb", "careful", Fault("unknown_target", text, "bb", 3), "m1")
    assert step == Step(claim.thread, 7, "c1", sends=[rig.send(claim, "m2", "b", "b", Ping())], own=[own])


def test_F1_every_refused_call_is_told(world: World) -> None:
    world.inject("careful")
    seen: list[str] = []

    def handle(payload: Any, _: Any) -> Any:
        if isinstance(payload, Ping):
            return [call("x"), call("y"), call("b", Other())]
        seen.append(payload.code)
        return respond(Pong()) if len(seen) == 3 else None

    world.play(careful=handle)

    assert seen == ["unknown_target", "unknown_target", "bad_payload"]
    assert (world.outputs(), world.endings()) == ([Pong()], ["done"])


def test_F2_a_refused_call_is_all_that_happens_to_a_handler_that_accepts_no_faults(rig: Rig) -> None:
    claim, message = rig.claim(), rig.request()

    step = with_id(rig.route(claim, message, respond(Pong()), call("b"), call("bb"), call("bbb")), "m1")

    assert step == failing(rig, claim, message, Fault("unknown_target", UNKNOWN, "a", 3))


def test_F3_a_failed_handler_tells_its_caller_and_waits_for_nothing(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a"))
    world.hop("a", [call("b"), call("a")])

    world.hop("a", ValueError("broken"))

    assert world.thread("careful.a").state == "failed"
    assert world.history("careful")[-1] == ("fault", Fault("exception", "broken", "a", 3))
    world.hop("b", respond(Pong()))
    assert world.late == 1
    assert world.backend.totals().dead_letters == 1
    assert world.buried() == []


def test_F3_a_failed_thread_stays_failed_until_it_is_called_again(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a"))
    world.hop("a", [call("a"), call("a")])
    world.hop("a", ValueError("broken"))

    world.hop("a", None)
    assert world.thread("careful.a").state == "failed"

    world.hop("careful", call("a"))
    world.hop("a", respond(Pong()))
    assert world.thread("careful.a").state == "done"


def test_F4_a_failed_handler_without_a_caller_is_a_dead_letter_nobody_was_told_of(world: World) -> None:
    world.inject("a")
    world.hop("a", [respond(Pong()), call("a", Ping(2))])

    step = world.hop("a", ValueError("broken"))

    assert (step.answer, step.dead.told) == (None, False)
    assert world.buried() == ["exception"]
    [dead] = [event for event in world.events if event.kind == "dead"]
    assert world.payload_of(dead.message) == Ping(2)
    assert (world.outputs(), world.endings()) == ([Pong()], ["done"])
    assert world.backend.totals().dead_letters == 1


@pytest.mark.parametrize("fault", [Fault("x", "y"), BufferError("x", "y"), SequenceError("x", "y")])
def test_F5_a_handler_that_accepts_fault_is_handed_every_kind_of_fault(rig: Rig, fault: Fault) -> None:
    assert rig.router.admit(rig.claim("careful"), rig.reply(to="careful", payload=fault)) is None


def test_F5_a_handler_of_one_kind_of_fault_is_handed_only_that(rig: Rig) -> None:
    rig.topology.add(listener("choosy", Ping, BufferError))
    claim = rig.claim("choosy", call="c1")

    assert rig.router.admit(claim, rig.reply(to="choosy", payload=BufferError("x", "y"))) is None
    assert rig.router.admit(claim, rig.reply(to="choosy", payload=SequenceError("x", "y"))).failed
    assert rig.router.admit(claim, rig.reply(to="choosy", payload=Fault("x", "y"))).failed


def test_F6_a_fault_that_is_not_accepted_goes_on_to_the_caller_unchanged(rig: Rig) -> None:
    claim = rig.claim(call="c1")
    fault = SequenceError("x", "y", "far away", 2, 3, True, "trace", step="s", index=1)
    message = rig.reply(payload=fault, hop=6)

    step = rig.router.admit(claim, message)

    assert step == failing(rig, claim, message, fault, buried=False)


def test_F6_a_fault_travels_up_to_the_initiator_with_its_origin(world: World) -> None:
    world.inject("a")
    world.play(a=lambda *_: call("b"), b=lambda *_: ValueError("deep down"))

    assert world.outputs() == [Fault("exception", "deep down", "b", 2)]
    assert world.endings() == ["failed"]
    assert world.backend.totals().dead_letters == 1


def test_F6_a_fault_that_nobody_is_left_to_be_told_of_is_a_dead_letter(world: World) -> None:
    world.inject("a")
    world.play(
        a=lambda payload, _: [respond(Pong()), call("b")] if isinstance(payload, Ping) else None,
        b=lambda *_: ValueError("too late to tell"),
    )

    assert (world.outputs(), world.endings(), world.buried()) == ([Pong()], ["done"], ["exception"])


def test_F7_a_reply_that_is_not_accepted_fails_the_caller(rig: Rig) -> None:
    claim = rig.claim(call="c1")
    message = rig.reply(payload=Other(), hop=6)

    step = rig.router.admit(claim, message)

    text = "a does not accept the reply Other of b; add it to the annotation of its handler"
    assert step == failing(rig, claim, message, Fault("unaccepted_reply", text, "a", 6))


def test_F8_a_request_that_cannot_be_decoded_is_a_fault_to_its_sender(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a", Ping("not a number")))

    world.hop("a", lambda *_: pytest.fail("the handler must not run"))

    [_, (kind, fault)] = world.history("careful")
    assert kind == "fault"
    assert fault == Fault("bad_payload", f"Ping: {foreign.misfit(Ping, {'n': 'not a number'})}", "a", 2)
    assert world.thread("careful.a").state == "failed"


def test_F8_a_request_of_a_type_that_is_not_accepted_does_not_run(rig: Rig) -> None:
    claim, message = rig.claim("b"), rig.request("b", Other())

    step = rig.router.admit(claim, message)

    text = "b does not accept Other; it accepts Ping"
    assert step == failing(rig, claim, message, Fault("bad_payload", text, "b", 3))


def test_F8_a_request_to_a_listener_that_was_unregistered_does_not_run(rig: Rig) -> None:
    rig.topology.remove("b")
    claim, message = rig.claim("b"), rig.request("b")

    step = rig.router.admit(claim, message)

    text = "b has been unregistered; register it again or send to another listener"
    assert step == failing(rig, claim, message, Fault("unknown_target", text, "b", 3))


def test_F9_a_fault_at_the_initiator_is_an_output_and_fails_the_conversation(world: World) -> None:
    world.inject("a")

    world.hop("a", ValueError("broken"))

    [output, ended] = world.events
    message = decode_message(output.message)
    assert (output.kind, message.kind, message.to) == ("output", FAULT, "cli-1")
    assert world.outputs() == [Fault("exception", "broken", "a", 1)]
    assert (ended.kind, ended.state) == ("ended", "failed")


def test_F9_an_output_of_the_wrong_type_is_a_fault_of_its_sender(world: World) -> None:
    world.inject("a")

    world.hop("a", respond(Pong(5)))

    assert world.outputs() == [Fault("bad_payload", f"Pong: {foreign.misfit(Pong, {'text': 5})}", "a", 1)]


def test_F10_a_message_that_cannot_be_read_is_a_conversation_with_that_fault(world: World) -> None:
    fault = Fault("unknown_target", "no such listener", "nobody")
    injection = Injection("in", [], fault=world.types.encode(fault)[1])

    [conversation] = world.backend.inject(PUMP, [injection], world.now)
    claims = world.claim_all()

    assert claims == []
    assert [(event.conversation, event.kind, event.state) for event in world.events] == [
        (conversation, "output", ""),
        (conversation, "ended", "failed"),
    ]
    assert world.outputs() == [fault]
    assert world.thread("in-1").state == "done"


@dataclass
class Closed(Fault):
    """A fault that takes nothing but what it was made of."""

    def __post_init__(self) -> None:
        if self.origin:
            raise PayloadError("closed", code="closed_fault")


def test_a_fault_that_refuses_to_be_completed_is_told_with_the_code_that_it_gives() -> None:
    rig = Rig(listener("a", Ping, Closed))
    claim = rig.claim("a")

    step = rig.route(claim, rig.request("a"), respond(Closed("code", "text", "")))

    assert step.answer is not None
    told = rig.types.decode("Fault", decode_message(step.answer.message).payload)
    assert (told.code, told.text) == ("closed_fault", "closed")


def test_an_answer_tells_when_it_was_sent() -> None:
    rig = Rig(listener("a"))
    router = Router(rig.topology, rig.types, rig.limits, rig.secret, lambda: "m1", lambda: 1_234.5)

    step = router.route(rig.claim("a"), rig.request("a"), rig.outgoing(respond(Pong())))

    assert step.answer is not None
    assert decode_message(step.answer.message).at == 1_234.5


def test_R11_a_handler_that_fails_when_its_listener_has_gone_is_a_fault(rig: Rig) -> None:
    rig.topology.remove("a")
    claim, message = rig.claim(), rig.request()

    step = rig.router.route_failure(claim, message, rig.router.fault(claim, message, "exception", "broken"))

    assert step.ends
    assert step.failed


def test_R11_what_a_handler_rejects_is_not_tried_again_whatever_its_policy_says() -> None:
    rig = Rig(listener("a", retry=RetryPolicy(on=("rejected",))))
    claim, message = rig.claim(), rig.request()

    step = rig.router.route_failure(claim, message, rig.router.fault(claim, message, "rejected", "spam"))

    assert (step.again, step.ends, step.failed) == (0, True, True)


def test_a_payload_may_be_just_as_large_as_the_limit() -> None:
    rig = Rig(listener("a"), limits=Limits(payload_bytes=100))
    claim, message = rig.claim(), rig.request()

    assert rig.router.too_large(claim, message, "Ping", b"x" * 100) is None
    assert rig.router.too_large(claim, message, "Ping", b"x" * 101) is not None


@dataclass
class Numbered(Fault):
    """A fault of a user whose traceback is no text: nobody could read it as a Fault."""

    traceback: int = 0  # type: ignore[assignment]


def test_R13_a_fault_that_cannot_be_read_as_one_is_an_error_of_its_handler() -> None:
    rig = Rig(listener("a", Ping, Numbered))

    step = rig.route(rig.claim(), rig.request(), respond(Numbered("mine", "broken", traceback=7)))

    assert step.dead is not None
    assert rig.types.decode("Fault", step.dead.fault).code == "bad_payload"
