"""Rows E1 to E5 of docs/semantics.md: how the end of work is found out, decided in the commit."""

from __future__ import annotations

import pytest
from router_kit import Ping, Pong, World, call, listener, respond

from xpipe.core.payloads import BUFFER, SEQUENCE, BufferComplete, BufferStart, Fault, SequenceError, SequenceStart

NO_ANSWER = "b ended without an answer; let its handler respond"


@pytest.fixture
def world() -> World:
    return World(listener("a", Ping, Pong, BufferComplete, SequenceError), listener("b"), listener("c"))


def test_E1_a_plain_call_that_nobody_answers_ends_and_nothing_is_delivered(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("b"), call("c")])

    world.hop("b", None)

    assert world.unanswered == 1
    assert world.claim_one("c").listener == "c"
    assert len(world.history("a")) == 1


def test_E1_the_segment_of_an_unanswered_call_is_free_again(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("b"), call("c")])
    world.hop("b", None)
    world.hop("c", respond(Pong()))

    step = world.hop("a", call("b"))

    assert step.sends[0].segment == "b"


def test_E1_a_call_is_not_over_while_something_below_its_thread_is_under_way(world: World) -> None:
    world.inject("a")
    world.hop("a", call("b"))
    world.hop("b", call("c"))
    below = world.claim_one("c")
    assert world.unanswered == 0

    world.commit(world.step(below, respond(Pong("c"))))
    world.hop("b", respond(Pong("b, in the end")))

    assert (world.unanswered, world.history("a")[-1]) == (0, ("response", Pong("b, in the end")))


def test_E1_a_message_to_itself_keeps_the_call_open(world: World) -> None:
    world.inject("a")
    world.hop("a", call("a"))
    assert (world.unanswered, world.endings()) == (0, [])

    world.hop("a", None)
    assert (world.unanswered, world.endings(), world.outputs()) == (1, ["done"], [])


def test_E2_a_step_of_a_sequence_that_nobody_answers_is_a_fault_to_the_sequence(world: World) -> None:
    world.inject("a")
    world.hop("a", call(SEQUENCE, SequenceStart(["b", "c"], Ping())))
    world.hop(SEQUENCE)

    world.hop("b", None)
    world.hop(SEQUENCE)

    [_, (kind, error)] = world.history("a")
    assert (kind, error.code, error.text) == ("fault", "no_answer", NO_ANSWER)
    assert (error.step, error.index, error.origin) == ("b", 0, "b")
    assert world.unanswered == 1


def test_E3_an_item_of_a_buffer_that_nobody_answers_is_a_fault_at_its_index(world: World) -> None:
    world.inject("a")
    world.hop("a", call(BUFFER, BufferStart("b", [Ping(0), Ping(1)])))
    world.hop(BUFFER)
    first, second = world.claim_all()

    world.commit(world.step(first, None), world.step(second, respond(Pong())))
    world.hop(BUFFER)

    [_, (_, complete)] = world.history("a")
    assert (complete.total, complete.successful) == (2, 1)
    assert (complete.results[0].code, complete.results[0].error) == ("no_answer", NO_ANSWER)


def test_E4_a_quiet_thread_makes_its_callers_quiet_all_the_way_up(world: World) -> None:
    world.inject("a")
    world.hop("a", call("b"))
    world.hop("b", call("c"))

    world.hop("c", None)

    assert (world.unanswered, world.outputs(), world.endings()) == (3, [], ["done"])
    assert {one.state for one in world.backend.threads()} == {"done"}


def test_E4_a_thread_is_quiet_only_when_all_of_its_children_are(world: World) -> None:
    world.inject("a")
    world.hop("a", [call("b"), call("b"), call("c")])

    world.play(b=lambda *_: None)
    assert (world.unanswered, world.endings()) == (4, ["done"])


def test_E5_a_conversation_is_done_when_nothing_of_it_is_under_way(world: World) -> None:
    world.inject("a")
    world.hop("a", [respond(Pong()), call("b")])
    assert (world.outputs(), world.endings()) == ([Pong()], [])

    world.hop("b", None)

    assert world.endings() == ["done"]
    assert world.backend.totals().conversations_active == 0


def test_E5_a_conversation_has_failed_if_any_of_its_outputs_is_a_fault() -> None:
    world = World(listener("all.one", Ping, broadcast=True), listener("all.two", Ping, broadcast=True))
    world.inject("all")

    world.hop("all.one", ValueError("broken"))
    assert world.endings() == []
    world.hop("all.two", respond(Pong()))

    assert world.outputs() == [Fault("exception", "broken", "all.one", 1), Pong()]
    assert world.endings() == ["failed"]


def test_E5_conversations_end_on_their_own(world: World) -> None:
    first, second = world.inject("a"), world.inject("c")

    world.hop("c", respond(Pong()))
    assert [event.conversation for event in world.events if event.kind == "ended"] == [second]

    world.hop("a", respond(Pong()))
    assert [event.conversation for event in world.events if event.kind == "ended"] == [second, first]
