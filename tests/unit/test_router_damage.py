"""Row F11 of docs/semantics.md: a stored message that cannot be read."""

from __future__ import annotations

import pytest
from router_kit import DAMAGE, Ping, Pong, World, call, listener, never_run, respond

from xpipe.core.messages import encode_message, readable
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferStart,
    Fault,
    SequenceComplete,
    SequenceError,
    SequenceStart,
)

PRIMITIVES = (BufferComplete, SequenceComplete)


@pytest.fixture
def world() -> World:
    return World(
        listener("a", Ping, Pong, *PRIMITIVES),
        listener("dotted.b", Ping),
        listener("careful", Ping, Pong, Fault, *PRIMITIVES),
        listener("slow"),
    )


def text(name: str) -> str:
    return (
        f"a message for {name} cannot be read: it is damaged, or another version of xpipe wrote it; "
        "its bytes are kept as a dead letter"
    )


def kept(world: World) -> list[tuple[bytes, bool]]:
    return [(letter.message, letter.told) for letter in world.backend.dead_letters()]


@pytest.mark.parametrize("name", ["a", "dotted.b"])
def test_F11_a_damaged_message_is_a_fault_and_its_handler_is_not_run(world: World, name: str) -> None:
    conversation = world.inject(name)
    world.damage(name.replace(".", "%2E"))

    world.hop(name, never_run)

    assert world.outputs() == [Fault("damaged_message", text(name), name)]
    assert world.endings() == ["failed"]
    assert {event.conversation for event in world.events} == {conversation}
    assert kept(world) == [(DAMAGE, True)]
    assert (world.buried(), world.late) == ([], 0)


def test_F11_a_message_of_another_version_is_a_damaged_one(world: World) -> None:
    world.inject("a")
    [thread] = [one for one in world.backend._store.threads.values() if one.listener == "a"]
    message = readable(thread.slots[0])
    assert message is not None
    message.version += 1
    thread.slots[0] = encode_message(message)

    world.hop("a", never_run)

    assert [one.code for one in world.outputs()] == ["damaged_message"]
    assert kept(world) == [(encode_message(message), True)]


def test_F11_the_caller_of_a_damaged_request_gets_the_fault(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a"), call("a"))
    world.damage("a~2")

    world.advance(*(world.step(claim, respond(Pong())) for claim in world.claim_all()), most=0)

    replies = [payload for _, payload in world.history("careful")[1:]]
    assert replies == [Pong(), Fault("damaged_message", text("a"), "a")]
    assert (world.thread("a").state, world.thread("a~2").state) == ("done", "failed")


def test_F11_a_damaged_reply_ends_the_thread_that_waited_for_it(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a"))
    world.hop("a", call("dotted.b"))
    world.hop("dotted.b", respond(Pong()))
    world.damage("careful.a")

    world.hop("a", never_run)

    assert world.history("careful")[-1] == ("fault", Fault("damaged_message", text("a"), "a"))
    assert world.thread("careful.a").state == "failed"


def test_F11_F3_a_damaged_reply_gives_up_the_other_calls_of_its_thread(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call("a"))
    world.hop("a", call("dotted.b"), call("slow"))
    world.hop("dotted.b", respond(Pong()))
    world.damage("careful.a")
    world.hop("a", never_run)

    world.hop("slow", respond(Pong("too late")))

    assert world.late == 1
    assert [claim.listener for claim in world.claim_all()] == ["careful"]


def test_F11_a_damaged_step_of_a_sequence_is_its_error(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call(SEQUENCE, SequenceStart(["dotted.b", "a"], Ping())))
    world.hop(SEQUENCE)
    world.damage("0.dotted%2Eb")

    world.hop("dotted.b", never_run)
    world.hop(SEQUENCE)

    [_, (kind, error)] = world.history("careful")
    assert (kind, type(error)) == ("fault", SequenceError)
    assert (error.code, error.step, error.index) == ("damaged_message", "dotted.b", 0)


def test_F11_a_damaged_item_of_a_buffer_is_an_error_at_its_index(world: World) -> None:
    world.inject("a")
    world.hop("a", call(BUFFER, BufferStart("dotted.b", [Ping(), Ping()])))
    world.hop(BUFFER)
    world.damage("1.dotted%2Eb")

    world.advance(*(world.step(claim, respond(Pong())) for claim in world.claim_all()), most=0)
    world.hop(BUFFER)

    _, complete = world.history("a")[-1]
    assert [(one.success, one.result) for one in complete.results] == [(True, Pong()), (False, None)]
    assert complete.results[1].code == "damaged_message"


@pytest.mark.parametrize("primitive", [BUFFER, SEQUENCE])
def test_F11_a_primitive_whose_message_is_damaged_is_a_fault_to_its_caller(world: World, primitive: str) -> None:
    start = BufferStart("a", [Ping()]) if primitive == BUFFER else SequenceStart(["a"], Ping())
    world.inject("careful")
    world.hop("careful", call(primitive, start))
    [segment] = [one.chain.rpartition(".")[2] for one in world.backend.threads() if one.listener == primitive]
    world.damage(segment)

    world.hop(primitive)

    assert world.history("careful")[-1] == ("fault", Fault("damaged_message", text(primitive), primitive))


def test_F11_a_buffer_whose_completion_is_damaged_is_a_fault_to_its_caller(world: World) -> None:
    world.inject("careful")
    world.hop("careful", call(BUFFER, BufferStart("a", [Ping()])))
    [segment] = [one.chain.rpartition(".")[2] for one in world.backend.threads() if one.listener == BUFFER]
    world.hop(BUFFER)
    world.hop("a", respond(Pong()))
    world.damage(segment)

    world.hop(BUFFER)

    assert world.history("careful")[-1] == ("fault", Fault("damaged_message", text(BUFFER), BUFFER))
    assert list(world.backend.joins()) == []


def test_F11_the_answer_of_a_listener_that_took_over_a_call_is_that_of_the_call(world: World) -> None:
    # given: a Buffer whose result goes to another listener than its caller, as if by that
    world.inject("careful")
    world.hop("careful", call(BUFFER, BufferStart("dotted.b", [Ping()], return_to="a")))
    world.hop(BUFFER)
    world.hop("dotted.b", respond(Pong()))
    world.hop(BUFFER)
    [taker] = [one.chain.rpartition(".")[2] for one in world.backend.threads() if one.listener == "a"]
    world.damage(taker)

    world.hop("a", never_run)

    assert world.history("careful")[-1] == ("fault", Fault("damaged_message", text("a"), "a"))


def test_F11_in_a_thread_that_has_answered_it_is_a_dead_letter_nobody_was_told_of(world: World) -> None:
    world.inject("a")
    world.hop("a", respond(Pong()), call("a"))
    world.damage("a")

    world.hop("a", never_run)

    assert (world.outputs(), world.endings(), world.late) == ([Pong()], ["done"], 1)
    assert kept(world) == [(DAMAGE, False)]
    assert world.buried() == ["damaged_message"]


def test_F11_it_ends_the_call_that_its_thread_is_waited_for_in_and_no_earlier_one(world: World) -> None:
    # given: a thread whose caller has failed while it waited for another, and is at work on a call to it again
    world.inject("careful")
    world.hop("careful", call("a"))
    world.hop("a", call("dotted.b"), call("a"))
    world.hop("dotted.b", call("slow"))
    world.hop("a", ValueError("broken"))
    world.hop("careful", call("a"))
    world.hop("a", call("dotted.b"))
    world.damage("a.dotted%2Eb")

    world.hop("dotted.b", never_run)

    assert world.history("careful.a")[-1] == ("fault", Fault("damaged_message", text("dotted.b"), "dotted.b"))
