"""Row S8 of docs/semantics.md: listeners with a sequence."""

from __future__ import annotations

import pytest
from router_kit import Other, Ping, Pong, World, call, respond
from sequence_kit import chain_of, last, sequences, wait

from xpipe.core.payloads import BufferStart, Fault, SequenceError


@pytest.fixture
def world() -> World:
    return sequences()


def test_S8_a_listener_with_a_sequence_answers_what_its_last_step_answers(world: World) -> None:
    world.inject("a")
    world.hop("a", call("invoice", Ping(5)))
    world.hop("invoice")
    claim = world.claim_one("b")
    assert (claim.caller, world.payload_of(claim.message), chain_of(claim)) == ("invoice", Ping(5), "0.b")
    world.commit(world.step(claim, respond(Pong("from b"))))
    world.play(c=lambda payload, _: respond(Pong(f"{payload.text}, c")), a=lambda payload, _: respond(payload))

    assert last(world) == Pong("from b, c")
    assert world.outputs() == [Pong("from b, c")]


def test_S8_it_is_a_target_for_messages_from_outside(world: World) -> None:
    world.inject("invoice", Ping(5))
    world.play(b=lambda *_: respond(Pong("b")), c=lambda *_: respond(Pong("c")))

    assert world.outputs() == [Pong("c")]
    assert {one.state for one in world.backend.threads()} == {"done"}


def test_S8_a_failed_step_is_a_sequence_error_of_it(world: World) -> None:
    world.inject("invoice", Ping(5))
    world.play(b=lambda *_: ValueError("broken"))

    [error] = world.outputs()
    assert (type(error), error.code, error.step, error.index) == (SequenceError, "exception", "b", 0)


def test_S8_its_steps_keep_the_options_of_its_declaration(world: World) -> None:
    world.inject("invoice", Ping(5))
    world.hop("invoice")
    world.hop("b", respond(Pong()))
    world.hop("invoice")
    for pause in (10.0, 20.0):
        wait(world, 5.0)
        world.hop("invoice")
        world.hop("invoice")
        wait(world, pause)
        world.hop("invoice")
    wait(world, 5.0)
    world.play()

    [error] = world.outputs()
    assert (error.code, error.text, error.step) == ("timeout", "no answer within 5 s", "c")


def test_S8_it_may_call_its_steps_whoever_calls_it(world: World) -> None:
    world.inject("fenced")
    world.hop("fenced", call("invoice", Ping(1)))
    world.play(
        b=lambda *_: respond(Pong()), c=lambda *_: respond(Pong("c")), fenced=lambda payload, _: respond(payload)
    )

    assert world.outputs() == [Pong("c")]


def test_S8_two_calls_of_one_thread_do_not_meet(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("invoice", Ping(1)), call("invoice", Ping(2))])
    world.play(
        b=lambda payload, _: respond(Pong(str(payload.n))),
        c=lambda payload, _: respond(payload),
        a=lambda payload, _: call("invoice", Ping(3)) if payload.text == "2" else None,
    )

    assert [payload.text for _, payload in world.history("a")[1:]] == ["1", "2", "3"]
    assert len({one.chain for one in world.backend.threads() if one.listener == "invoice"}) == 3


def test_S8_a_sequence_may_be_a_step_of_another_one(world: World) -> None:
    world.inject("nested", Ping(1))
    world.play(b=lambda payload, _: respond(Pong(getattr(payload, "text", "") + "b")), c=lambda *_: respond(Pong("c")))

    assert world.outputs() == [Pong("cb")]


def test_S8_it_may_be_the_target_of_a_buffer(world: World) -> None:
    world.inject("a")
    world.hop("a", call("system.buffer", BufferStart("invoice", [Ping(n) for n in range(3)])))
    world.play(
        b=lambda payload, _: respond(Pong(str(payload.n))), c=lambda payload, _: respond(payload), a=lambda *_: None
    )

    assert [result.result.text for result in last(world).results] == ["0", "1", "2"]


def test_S8_a_payload_that_its_first_step_cannot_take_is_refused_to_the_sender(world: World) -> None:
    world.inject("a")
    step = world.hop("a", call("invoice", Other()))

    assert step.failed
    fault: Fault = world.outputs()[0]
    assert fault.code == "bad_payload"
