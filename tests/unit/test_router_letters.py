"""Rows B20, S9 and S10 of docs/semantics.md: what is a dead letter of Buffers and Sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from router_kit import Other, Ping, Pong, World, call, listener, respond

from xpipe.core import chains
from xpipe.core.limits import Limits
from xpipe.core.messages import DeadLetter, Message, decode_message
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferStart,
    Fault,
    Items,
    SequenceComplete,
    SequenceStart,
    SequenceStep,
)
from xpipe.core.retry import RetryPolicy
from xpipe.inspection.dead_letters import LetterFilter, letters

RETRY = RetryPolicy(max_attempts=3, backoff=10.0, jitter=0.0, on=("exception", "timeout"))
RESULTS = (BufferComplete, BufferDispatched, SequenceComplete, Fault)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_in(tmp_path)


def world_in(folder: Path, **options: Any) -> World:
    return World(
        listener("a", Ping, Pong, *RESULTS),
        listener("b"),
        listener("bank"),
        listener("tolerant", Ping, Pong, Fault),
        listener("inner", sequence=(SequenceStep("b"),)),
        listener("stubborn", sequence=(SequenceStep("b", retry=RETRY),)),
        listener("all", Items, buffer=BufferOptions("b", max_in_flight=4, min_success="100%", on_partial="fault")),
        folder=str(folder),
        **options,
    )


def start(world: World, request: Any) -> None:
    """Let `a` make `request`, and the primitive take it."""
    to = {BufferStart: BUFFER, SequenceStart: SEQUENCE, Items: "all"}[type(request)]
    world.inject("a")
    world.hop("a", call(to, request))
    world.hop(to)


def play(world: World, **handlers: Any) -> None:
    """Run to the end, however long the pauses are."""
    world.play(a=lambda *_: None, **handlers)
    while due := world.advance(most=0).due:
        world.now = due
        world.play(a=lambda *_: None, **handlers)
    assert world.endings() == ["done"]


def broken(times: int) -> Any:
    """A handler that fails so many times, and then answers."""
    seen: list[Message] = []

    def handler(_: Any, message: Message) -> Any:
        seen.append(message)
        return ValueError(f"broken {len(seen)}") if len(seen) <= times else respond(Pong("at last"))

    handler.seen = seen  # type: ignore[attr-defined]
    return handler


def dead(world: World) -> list[DeadLetter]:
    return list(world.backend.dead_letters())


def told(world: World) -> list[tuple[str, Any, str]]:
    """Of each dead letter, which can all be tried again: its listener, its payload and the code of its fault."""
    views = list(letters(world.backend, LetterFilter()))
    assert [view.obstacle for view in views] == [""] * len(views)
    return [(view.listener, world.payload_of(view.letter.message), view.fault.code) for view in views]


def last(world: World) -> Any:
    return world.history("a")[-1][1]


@pytest.mark.parametrize("step", [SequenceStep("b", retry=RETRY), SequenceStep("b", timeout=90.0, retry=RETRY)])
def test_S9_a_try_that_is_tried_again_is_no_dead_letter(world: World, step: SequenceStep) -> None:
    start(world, SequenceStart([step], Ping(5)))

    play(world, b=broken(2))

    assert last(world).result == Pong("at last")
    assert dead(world) == []


@pytest.mark.parametrize("step", [SequenceStep("b", retry=RETRY), SequenceStep("b", timeout=90.0, retry=RETRY)])
def test_S9_a_step_that_is_given_up_is_one_dead_letter_with_its_request(world: World, step: SequenceStep) -> None:
    start(world, SequenceStart(["bank", step], Ping(5)))

    play(world, bank=lambda *_: respond(Pong("priced")), b=(handler := broken(9)))

    assert told(world) == [("b", Pong("priced"), "exception")]
    [letter] = dead(world)
    fault = world.types.decode("Fault", letter.fault)
    assert (fault.text, fault.origin, letter.told, letter.attempts) == ("broken 3", "b", True, 3)
    assert decode_message(letter.message).id == handler.seen[0].id
    assert world.buried() == []


def test_S9_a_fault_that_is_not_tried_again_is_one_dead_letter_too(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RetryPolicy(5, never=("exception",)))], Ping(5)))

    play(world, b=broken(9))

    assert told(world) == [("b", Ping(5), "exception")]
    assert [letter.attempts for letter in dead(world)] == [1]


def test_S9_a_step_out_of_time_that_is_given_up_is_one_dead_letter(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", timeout=5.0, retry=RETRY)], Ping(5)))
    for _ in range(3):
        world.claim_one("b")
        world.now += 5.0
        world.advance(most=0)
        world.hop(SEQUENCE)
        world.hop(SEQUENCE)
        world.now += 60.0
        world.advance(most=0)
        if list(world.backend.ready_listeners()) == [SEQUENCE]:
            world.hop(SEQUENCE)

    assert last(world).code == "timeout"
    assert told(world) == [("b", Ping(5), "timeout")]


def test_S9_a_step_that_never_answers_is_one_dead_letter(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RETRY)], Ping(5)))

    play(world, b=lambda *_: None)

    assert told(world) == [("b", Ping(5), "no_answer")]


def test_S9_a_step_without_a_policy_leaves_its_dead_letter_itself(world: World) -> None:
    start(world, SequenceStart(["b"], Ping(5)))

    play(world, b=broken(9))

    assert told(world) == [("b", Ping(5), "exception")]
    [view] = letters(world.backend, LetterFilter())
    assert view.letter.thread == world.thread("0.b").thread


def test_S9_what_fails_below_a_step_is_not_given_up_before_the_step(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RETRY)], Ping(5)))

    play(world, b=lambda *_: call("bank", Ping(7)), bank=broken(9))

    assert last(world).origin == "bank"
    assert told(world) == [("b", Ping(5), "exception")]


def test_S9_a_fault_that_is_taken_care_of_below_a_step_is_a_dead_letter(world: World) -> None:
    def tolerant(payload: Any, _: Message) -> Any:
        return respond(Pong("without")) if isinstance(payload, Fault) else call("bank", Ping(7))

    start(world, SequenceStart([SequenceStep("tolerant", retry=RETRY)], Ping(5)))

    play(world, tolerant=tolerant, bank=broken(9))

    assert last(world).result == Pong("without")
    assert told(world) == [("bank", Ping(7), "exception")]


def test_S9_a_step_of_a_sequence_that_is_a_step_itself_is_not_given_up_before_that(world: World) -> None:
    start(world, SequenceStart([SequenceStep("inner", retry=RETRY)], Ping(5)))

    play(world, b=broken(9))

    assert told(world) == [("inner", Ping(5), "exception")]


def test_S9_nor_is_a_step_that_was_tried_several_times_there(world: World) -> None:
    start(world, SequenceStart([SequenceStep("stubborn", retry=RETRY)], Ping(5)))

    play(world, b=(handler := broken(99)))

    assert len(handler.seen) == 9
    assert told(world) == [("stubborn", Ping(5), "exception")]


def test_S9_a_failed_item_of_a_buffer_is_a_dead_letter_wherever_the_buffer_is(world: World) -> None:
    start(world, SequenceStart([SequenceStep(BUFFER, retry=RETRY)], BufferStart("b", [Ping(1), Ping(2)])))

    play(world, b=broken(1))

    assert last(world).result.successful == 1
    assert told(world) == [("b", Ping(1), "exception")]


def test_S9_a_buffer_that_is_a_step_is_not_given_up_before_the_step(world: World) -> None:
    retry = RetryPolicy(2, on=("too_few_successes",))
    start(world, SequenceStart([SequenceStep("all", retry=retry)], Items([Ping(1)])))

    play(world, b=broken(1))

    assert last(world).result.successful == 1
    assert told(world) == [("b", Ping(1), "exception")]


def test_S9_the_bytes_of_a_damaged_message_are_kept_and_what_the_step_was_given_can_be_tried_again(
    world: World,
) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RETRY)], Ping(5)))
    world.damage("0~1.b")

    play(world)

    bytes_, request = letters(world.backend, LetterFilter())
    assert bytes_.message is None
    assert (request.listener, world.payload_of(request.letter.message)) == ("b", Ping(5))


def test_S9_what_is_cancelled_while_it_waits_for_its_next_try_is_no_dead_letter(world: World) -> None:
    start(world, SequenceStart([SequenceStep("stubborn", timeout=5.0)], Ping(5)))
    world.hop("stubborn")
    world.hop("b", ValueError("broken"))
    world.hop("stubborn")

    play(world)

    assert last(world).code == "timeout"
    assert dead(world) == []


def test_S9_a_step_whose_hop_is_done_twice_is_one_dead_letter(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RetryPolicy(1))], Ping(5)))
    world.hop("b", ValueError("broken"))
    claim = world.claim_one(SEQUENCE)

    first, again = world.step(claim), world.step(claim)
    world.commit(first)

    assert world.advance(again, most=0).refused == {0: "stale"}
    assert told(world) == [("b", Ping(5), "exception")]


def test_S7_a_message_keeps_its_id_in_every_try_and_has_a_call_of_its_own_in_each(world: World) -> None:
    start(world, SequenceStart([SequenceStep("b", retry=RETRY), SequenceStep("b", retry=RETRY)], Ping(5)))

    play(world, b=(handler := broken(2)))

    one, two, three, second_step = handler.seen
    assert one.id == two.id == three.id != second_step.id
    assert len({message.call for message in handler.seen}) == 4
    assert [message.attempt for message in handler.seen] == [1] * 4
    assert len({view.thread for view in world.backend.threads() if view.listener == "b"}) == 4


def test_S7_a_try_that_is_late_is_no_answer_to_the_next_one(world: World) -> None:
    # given: a step that has asked others twice, of which one failed, and is being tried again
    start(world, SequenceStart([SequenceStep("b", retry=RETRY)], Ping(5)))
    world.hop("b", [call("bank", Ping(1)), call("bank", Ping(2))])
    failing, late = world.claim_all()
    world.commit(world.step(failing, ValueError("broken")))
    world.hop("b")
    world.hop(SEQUENCE)
    world.now += 10.0
    world.advance(most=0)
    world.hop(SEQUENCE)

    # when: the other one answers
    world.commit(world.step(late, respond(Pong("of the first try"))))

    # then: it is late, and only the second try is heard
    assert world.late == 1
    world.hop("b", respond(Pong("of the second try")))
    world.hop(SEQUENCE)
    assert last(world).result == Pong("of the second try")
    assert dead(world) == []


def test_S10_the_dead_letter_of_a_sequence_is_what_it_was_started_with(world: World) -> None:
    request = SequenceStart(["b", "bank"], Ping(5))
    start(world, request)

    play(world, b=lambda *_: respond(Other()))

    [(name, payload, code)] = told(world)
    assert (name, payload.steps, payload.payload, code) == (SEQUENCE, request.steps, Ping(5), "bad_payload")


@pytest.mark.parametrize(("request_", "to"), [(Items([Ping(n) for n in range(3)]), "all")])
def test_B20_the_dead_letter_of_too_few_successes_is_the_start_of_the_buffer(
    world: World, request_: Any, to: str
) -> None:
    start(world, request_)

    play(world, b=lambda payload, _: ValueError("broken") if payload.n == 1 else respond(Pong()))

    assert told(world) == [("b", Ping(1), "exception"), (to, request_, "too_few_successes")]
    assert [letter.told for letter in dead(world)] == [True, True]


def test_B20_so_it_is_with_a_file_that_has_vanished(world: World, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"n": 1}\n' * 9)
    request = BufferStart("b", items_from="in.jsonl", max_in_flight=4)
    start(world, request)
    path.unlink()

    play(world, b=lambda *_: respond(Pong()))

    assert told(world) == [(BUFFER, request, "unreadable_items")]


def test_B20_so_it_is_with_fire_and_forget_of_which_nobody_was_told(world: World, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"n": 1}\n' * 9)
    request = BufferStart("b", items_from="in.jsonl", max_in_flight=4, collect=False)
    start(world, request)
    path.unlink()

    play(world, b=lambda *_: respond(Pong()))

    assert told(world) == [(BUFFER, request, "unreadable_items")]
    assert (world.buried(), [letter.told for letter in dead(world)]) == (["unreadable_items"], [False])


def test_B20_so_it_is_with_a_result_over_the_limit(tmp_path: Path) -> None:
    world = world_in(tmp_path, limits=Limits(payload_bytes=250))
    start(world, request := BufferStart("b", [Ping(1), Ping(2)]))

    play(world, b=lambda *_: respond(Pong("x" * 100)))

    assert told(world) == [(BUFFER, request, "payload_too_large")]


def test_B20_a_start_that_cannot_be_read_any_more_leaves_what_there_is(world: World) -> None:
    start(world, Items([Ping(1)]))
    world.damage(f"all~{chain_tag(world, 'all')}")

    play(world, b=broken(1))

    assert [view.fault.code for view in letters(world.backend, LetterFilter())] == ["exception", "too_few_successes"]


def chain_tag(world: World, name: str) -> str:
    """The tag of the only thread of the primitive `name`."""
    [found] = [one.chain for one in world.backend.threads() if one.listener == name]
    return found.rpartition("~")[2]


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("system.org.cli-1.a", [("cli-1", "")]),
        ("system.org.cli-1.a.b~2.c%2Ed", [("b", ""), ("a", ""), ("cli-1", "")]),
        ("system.org.cli-1.prim~m1.0.b", [("prim", "0"), ("cli-1", "")]),
        ("system.org.cli-1.prim.2~3.b.c", [("b", ""), ("prim", "2~3"), ("cli-1", "")]),
        ("system.org.cli-1.prim.1.prim.0~1.b", [("prim", "0~1"), ("prim", "1"), ("cli-1", "")]),
        ("system.prim.cli-1.a.b", [("a", ""), ("cli-1", "")]),
    ],
)
def test_the_callers_of_a_chain_are_told_from_the_inside_out(chain: str, expected: Sequence[tuple[str, str]]) -> None:
    assert list(chains.callers(chain, ("prim",))) == expected
