"""Rows S4 to S7 of docs/semantics.md: steps in time, and steps that are tried again."""

from __future__ import annotations

import math

import pytest
from router_kit import PUMP, Ping, Pong, World, call, listener, respond
from sequence_kit import RETRY, chain_of, last, sequences, start, wait

from xpipe.core.durations import LONGEST_DURATION
from xpipe.core.messages import Claim, cancelled, claimed_message
from xpipe.core.payloads import SEQUENCE, SequenceComplete, SequenceError, SequenceStart, SequenceStep
from xpipe.core.retry import RetryPolicy


@pytest.fixture
def world() -> World:
    return sequences()


def refused(world: World, claim: Claim) -> bool:
    """Whether nobody is interested in the answer to `claim` any more."""
    return world.advance(world.step(claim, respond(Pong("too late"))), most=0).refused == {0: "stale"}


def test_S6_a_step_that_answers_in_time_leads_to_the_next_one(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0), "c", SequenceStep("b", timeout=5.0)])
    wait(world, 4.0)
    world.hop("b", respond(Pong("1")))
    world.hop(SEQUENCE)
    world.hop("c", lambda payload, _: respond(Pong(payload.text + "2")))
    world.hop(SEQUENCE)
    world.hop("b", lambda payload, _: respond(Pong(payload.text + "3")))
    world.hop(SEQUENCE)

    assert (last(world).result, last(world).steps) == (Pong("123"), 3)
    world.hop("a", None)
    assert (world.endings(), list(world.backend.joins())) == (["done"], [])
    wait(world, 100.0)
    assert world.claim_all() == []


def test_S6_a_step_past_its_time_is_cancelled_and_ends_the_sequence(world: World) -> None:
    start(world, ["b", SequenceStep("c", timeout=5.0), "b"])
    world.hop("b", respond(Pong()))
    world.hop(SEQUENCE)
    slow = world.claim_one("c")

    wait(world, 5.0)
    world.hop(SEQUENCE)

    assert refused(world, slow)
    world.hop(SEQUENCE)
    error = last(world)
    assert (type(error), error.code, error.text) == (SequenceError, "timeout", "no answer within 5 s")
    assert (error.step, error.index, error.origin, error.retryable) == ("c", 1, "c", True)
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_S6_what_a_step_called_itself_is_cancelled_with_it(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0)])
    world.hop("b", call("c"))
    slow = world.claim_one("c")

    wait(world, 6.0)
    world.play(a=lambda *_: None)

    assert refused(world, slow)
    assert last(world).code == "timeout"
    assert world.endings() == ["done"]


def test_S6_the_fault_of_a_timed_out_step_has_the_time_of_the_time_out(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0)])

    wait(world, 6.0)
    world.hop(SEQUENCE)

    assert claimed_message(world.claim_one(SEQUENCE)).at == world.now


def test_S6_a_step_that_fails_in_time_keeps_its_fault(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0)])
    world.hop("b", ValueError("broken"))
    world.hop(SEQUENCE)

    assert (last(world).code, last(world).text, last(world).origin) == ("exception", "broken", "b")


def test_S6_a_step_in_time_that_never_answers_is_a_fault_at_once(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0)])
    world.hop("b", None)
    world.hop(SEQUENCE)

    assert (last(world).code, last(world).step) == ("no_answer", "b")


def test_S7_a_failed_step_is_tried_again_with_its_payload_after_a_pause(world: World) -> None:
    start(world, ["c", SequenceStep("b", retry=RETRY)])
    world.hop("c", respond(Pong("from c")))
    world.hop(SEQUENCE)

    seen = []
    for pause in (10.0, 20.0):
        claim = world.claim_one("b")
        seen.append((chain_of(claim), world.payload_of(claim.message)))
        world.commit(world.step(claim, ValueError("broken")))
        world.hop(SEQUENCE)
        wait(world, pause - 0.1)
        assert world.claim_all() == []
        wait(world, 0.2)
        world.hop(SEQUENCE)
    claim = world.claim_one("b")
    seen.append((chain_of(claim), world.payload_of(claim.message)))
    world.commit(world.step(claim, respond(Pong("at last"))))
    world.hop(SEQUENCE)

    assert seen == [("1~1.b", Pong("from c")), ("1~2.b", Pong("from c")), ("1~3.b", Pong("from c"))]
    assert last(world).result == Pong("at last")


def test_S7_the_last_try_ends_the_sequence_with_its_fault(world: World) -> None:
    start(world, [SequenceStep("b", retry=RETRY), "c"])
    for number in range(3):
        world.hop("b", ValueError(f"broken {number}"))
        world.hop(SEQUENCE)
        if number < 2:
            wait(world, 60.0)
            world.hop(SEQUENCE)

    assert (last(world).code, last(world).text, last(world).index) == ("exception", "broken 2", 0)
    world.hop("a", None)
    assert (world.endings(), world.backend.load().in_flight) == (["done"], 0)


def test_S7_each_step_has_tries_of_its_own(world: World) -> None:
    start(world, [SequenceStep("b", retry=RETRY), SequenceStep("c", retry=RETRY)])
    for name in ("b", "c"):
        for _ in range(2):
            world.hop(name, ValueError("broken"))
            world.hop(SEQUENCE)
            wait(world, 60.0)
            world.hop(SEQUENCE)
        world.hop(name, respond(Pong(name)))
        world.hop(SEQUENCE)

    assert last(world).result == Pong("c")


@pytest.mark.parametrize(
    ("policy", "again"),
    [
        (RetryPolicy(on=("exception",)), True),
        (RetryPolicy(on=("Refused",)), True),
        (RetryPolicy(on=("handlers.Refused",)), True),
        (RetryPolicy(on=("OSError",)), True),
        (RetryPolicy(on=("KeyError", "timeout")), False),
        (RetryPolicy(on=("broken",)), False),
        (RetryPolicy(never=("OSError",)), False),
        (RetryPolicy(max_attempts=1), False),
    ],
)
def test_S7_the_policy_says_which_faults_are_tried_again(world: World, policy: RetryPolicy, again: bool) -> None:
    start(world, [SequenceStep("b", retry=policy)])
    fail(world, "b", "Refused", "handlers.Refused", "OSError", "builtins.OSError")

    assert (world.hop(SEQUENCE).again > 0) is again


def fail(world: World, name: str, *causes: str) -> None:
    """Have the listener `name` fail with an exception of the classes `causes`."""
    claim = world.claim_one(name)
    message = claimed_message(claim)
    fault = world.router.fault(claim, message, "exception", "broken: by whom", causes=causes)
    world.commit(world.router.route_failure(claim, message, fault))


def test_S4_the_error_tells_the_classes_of_the_exception_that_a_step_failed_with(world: World) -> None:
    start(world, ["b"])
    fail(world, "b", "Refused", "handlers.Refused")
    world.hop(SEQUENCE)

    assert last(world).causes == ("Refused", "handlers.Refused")


def test_S7_a_refusal_of_what_a_step_asks_for_is_not_tried_again(world: World) -> None:
    start(world, [SequenceStep("b", retry=RETRY)])
    world.hop("b", call("nobody"))

    assert world.hop(SEQUENCE).again == 0
    assert last(world).code == "unknown_target"


def test_S7_a_step_past_its_time_is_cancelled_before_the_pause(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0, retry=RETRY)])
    slow = world.claim_one("b")

    wait(world, 5.0)
    world.hop(SEQUENCE)
    assert refused(world, slow)
    world.hop(SEQUENCE)
    wait(world, 10.0)
    world.hop(SEQUENCE)

    claim = world.claim_one("b")
    assert chain_of(claim) == "0~2.b"
    world.commit(world.step(claim, respond(Pong("second"))))
    world.hop(SEQUENCE)
    assert last(world).result == Pong("second")
    assert world.late == 0


def test_S7_a_step_in_time_that_fails_is_tried_again_with_its_whole_time(world: World) -> None:
    start(world, [SequenceStep("b", timeout=15.0, retry=RETRY)])
    world.hop("b", ValueError("broken"))
    world.hop(SEQUENCE)
    wait(world, 10.0)
    world.hop(SEQUENCE)
    wait(world, 14.0)
    world.hop("b", respond(Pong("second")))
    world.hop(SEQUENCE)

    assert last(world).result == Pong("second")


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (
            SequenceStep("b", -math.inf),
            "the timeout of the step b is -inf; give seconds up to 36,500 days, 0 for no bound",
        ),
        (
            SequenceStep("b", math.inf),
            "the timeout of the step b is inf; give seconds up to 36,500 days, 0 for no",
        ),
        (SequenceStep("b", retry=RetryPolicy(0)), "the retry of the step b is "),
        (SequenceStep("b", retry=RetryPolicy(jitter=2.0)), "the retry of the step b is "),
        (SequenceStep("b", retry=RetryPolicy(backoff=math.nan)), "the retry of the step b is "),
        (SequenceStep("b", retry=RetryPolicy(backoff=1e300)), "the retry of the step b is "),
        (SequenceStep("b", retry=RetryPolicy(max_backoff=LONGEST_DURATION + 1)), "the retry of the step b is "),
        (SequenceStep("b", 1e300), "the timeout of the step b is 1e+300; give seconds up to 36,500 days, 0 for no"),
    ],
)
def test_S5_a_step_that_makes_no_sense_is_an_error(world: World, step: SequenceStep, text: str) -> None:
    start(world, ["c", step])

    error = last(world)
    assert (error.code, error.step, error.index) == ("bad_payload", "b", 1)
    assert error.text.startswith(text)


def test_S6_a_cancel_while_the_end_of_a_step_is_being_looked_at_wins(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0)])
    world.hop("b", respond(Pong("1")))
    claim = world.claim_one(SEQUENCE)
    [conversation] = [one.id for one in world.backend.conversations()]
    world.backend.cancel(conversation, cancelled("tested"), world.now)

    assert world.advance(world.step(claim), most=0).refused == {0: "stale"}


def test_a_claim_of_a_pump_that_died_takes_the_same_step_again(world: World) -> None:
    start(world, [SequenceStep("b", timeout=5.0, retry=RETRY)])
    world.hop("b", ValueError("broken"))
    [claim] = world.backend.advance(PUMP, [], {SEQUENCE: 9}, 9, world.now).claims
    assert world.step(claim).due == world.step(claim).due == world.now + 10.0


def test_S6_a_sequence_that_gets_the_result_of_another_one_has_times_of_its_own() -> None:
    world = World(
        listener("a", Ping, Pong),
        listener("b"),
        listener("take", SequenceComplete),
        listener("then", SequenceComplete, sequence=(SequenceStep("take", timeout=60.0),)),
    )
    world.inject("a")
    world.hop("a", call(SEQUENCE, SequenceStart([SequenceStep("b", timeout=2.0)], Ping(5), return_to="then")))
    world.hop(SEQUENCE)
    [(first, *_)] = world.backend.joins()
    world.hop("b", respond(Pong()))
    world.hop(SEQUENCE)
    world.hop("then")
    [(second, *_)] = world.backend.joins()

    assert first != second, "both are about the same call"
    wait(world, 59.0)
    world.play(take=lambda *_: respond(Pong("in time")), a=lambda payload, _: respond(payload))
    assert world.outputs() == [Pong("in time")]
