"""Rows B1 to B7 and S1 to S5 of docs/semantics.md: Buffer and Sequence."""

from __future__ import annotations

import math
from typing import Any

import foreign
import pytest
from router_kit import Other, Ping, Pong, World, call, listener, respond

from xpipe.core.limits import Limits
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferError,
    BufferItemResult,
    BufferStart,
    Fault,
    SequenceComplete,
    SequenceError,
    SequenceStart,
)

RESULTS = (BufferComplete, BufferDispatched, SequenceComplete, Fault)


@pytest.fixture
def world() -> World:
    return World(
        listener("a", Ping, Pong, *RESULTS),
        listener("b"),
        listener("c.d"),
        listener("report", *RESULTS),
        listener("fenced", Ping, *RESULTS, peers=frozenset({"b", "report"})),
        listener("find.one", Ping, broadcast=True),
    )


def start(world: World, request: Any, caller: str = "a") -> None:
    """Let `caller` make `request`, and the primitive take it."""
    to = BUFFER if isinstance(request, BufferStart) else SEQUENCE
    world.inject(caller)
    world.hop(caller, call(to, request))
    world.hop(to)


def last(world: World, tail: str = "a") -> Any:
    return world.history(tail)[-1][1]


def ping(*numbers: int) -> list[Ping]:
    return [Ping(number) for number in numbers]


def test_B1_every_item_gets_a_thread_of_its_own_below_the_buffer(world: World) -> None:
    start(world, BufferStart("c.d", ping(5, 6)))

    [(_, present, total)] = world.backend.joins()
    [id] = [one.chain.rpartition("~")[2] for one in world.backend.threads() if one.listener == BUFFER]
    assert (present, total) == (0, 2)
    assert [one.chain for one in world.backend.threads() if one.listener == "c.d"] == [
        f"system.org.cli-1.a.system%2Ebuffer~{id}.0.c%2Ed",
        f"system.org.cli-1.a.system%2Ebuffer~{id}.1.c%2Ed",
    ]
    assert [world.payload_of(claim.message) for claim in world.claim_all()] == ping(5, 6)


def test_B1_items_may_be_text_of_a_payload(world: World) -> None:
    start(world, BufferStart("b", ["<Ping><n>3</n></Ping>", '{"n": 4}', {"n": 5}]))

    assert [world.payload_of(claim.message) for claim in world.claim_all()] == ping(3, 4, 5)


def test_B1_two_buffers_of_one_thread_do_not_meet(world: World) -> None:
    # given: a Buffer whose time is up while its item is still at work
    start(world, BufferStart("b", ping(1), timeout=5.0))
    slow = world.claim_one("b")
    world.now += 5.0
    world.commit()
    world.hop(BUFFER)

    # when: its caller starts another one, and the item of the first one answers
    world.hop("a", call(BUFFER, BufferStart("b", ping(2))))
    world.hop(BUFFER)
    world.commit(world.step(slow, respond(Pong("of the first"))))
    world.hop("b", respond(Pong("of the second")))
    world.hop(BUFFER)

    # then
    assert last(world).results == [BufferItemResult(0, True, Pong("of the second"), listener="b")]
    assert world.late == 1


def test_B2_a_buffer_that_does_not_collect_answers_at_once(world: World) -> None:
    start(world, BufferStart("b", ping(1, 2), collect=False))

    dispatched = last(world)
    assert (type(dispatched), dispatched.total) == (BufferDispatched, 2)
    assert list(world.backend.joins()) == []

    world.play(b=lambda payload, _: respond(Pong()) if payload.n == 1 else ValueError("broken"), a=lambda *_: None)
    assert (world.late, world.buried()) == (0, ["exception"])
    assert (world.endings(), {one.state for one in world.backend.threads()}) == (["done"], {"done", "failed"})


def test_B2_a_fault_of_an_item_that_is_not_collected_is_one_dead_letter(world: World) -> None:
    start(world, BufferStart("b", ping(1), collect=False))

    world.hop("b", ValueError("broken"))

    assert (world.buried(), world.backend.totals().dead_letters) == (["exception"], 1)


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            BufferStart("bb", ping(1)),
            "unknown_target",
            "fenced sends to bb, and there is no listener of that name; did you mean b?",
        ),
        (BufferStart("a", ping(1)), "forbidden_peer", "fenced has peers without a; add it to them"),
        (BufferStart("find", ping(1)), "forbidden_peer", "fenced has peers without find; add it to them"),
        (BufferStart("b", [Ping(), Other()]), "bad_payload", "items[1] is a Other; b accepts Ping, Pong"),
        (BufferStart("b", ping(1), return_to="a"), "forbidden_peer", "fenced has peers without a; add it to them"),
        (
            BufferStart("b", ping(1), return_to="b"),
            "bad_payload",
            "return_to is b, which does not accept BufferComplete; it accepts Ping, Pong",
        ),
        (
            BufferStart("b", ping(1), timeout=-math.inf),
            "bad_payload",
            "the Buffer's timeout is -inf; give seconds up to 36,500 days, 0 for no bound",
        ),
        (
            BufferStart("b", ping(1), timeout=math.nan),
            "bad_payload",
            "the Buffer's timeout is nan; give seconds up to 36,500 days, 0 for no bound",
        ),
    ],
)
def test_B3_a_buffer_that_cannot_start_is_an_error(world: World, request_: BufferStart, code: str, text: str) -> None:
    start(world, request_, "fenced")

    error = last(world, "fenced")
    assert (type(error), error.code, error.text, error.origin) == (BufferError, code, text, BUFFER)
    assert error.buffer_id
    assert (list(world.backend.joins()), world.backend.load().in_flight) == ([], 1)


def test_B3_an_item_that_cannot_be_read_is_an_error_that_names_it(world: World) -> None:
    start(world, BufferStart("b", [Ping(), '{"n": "x"}']))

    error = last(world)
    assert (type(error), error.code) == (BufferError, "bad_payload")
    assert error.text.startswith("items[1]: ")


def test_B3_peers_hold_through_a_primitive_inside_another_one(world: World) -> None:
    inner = SequenceStart([BUFFER], BufferStart("a", ping(1)))
    start(world, BufferStart(SEQUENCE, [inner]), "fenced")

    world.play(a=lambda *_: pytest.fail("a is no peer of fenced"))

    [result] = last(world, "fenced").results
    assert (result.code, result.error) == ("forbidden_peer", "fenced has peers without a; add it to them")


@pytest.mark.parametrize("request_", [BufferStart("b", ping(1)), SequenceStart(["b"], Ping())])
def test_B3_S5_a_listener_with_an_empty_peers_list_reaches_nobody_through_a_primitive(request_: Any) -> None:
    world = World(listener("a", Ping, Fault, peers=frozenset()), listener("b"))

    start(world, request_)

    assert (last(world).code, last(world).text) == ("forbidden_peer", "a has peers without b; add it to them")


def test_B4_a_second_result_for_an_index_is_ignored_and_counted(world: World) -> None:
    # given: a Buffer of which one item has answered
    start(world, BufferStart("b", ping(0, 1)))
    claim = world.claim_all()[0]
    first = world.step(claim, [respond(Pong("first")), call("b")])
    world.commit(first)

    # when: the same item answers again, which the router never lets happen
    again = world.claim_one("b")
    second = world.step(again, None)
    second.answer = first.answer
    world.commit(second)

    # then
    assert world.late == 1
    [(_, present, _)] = world.backend.joins()
    assert present == 1


def test_B5_the_last_result_completes_the_buffer_in_the_order_of_its_items(world: World) -> None:
    start(world, BufferStart("b", ping(0, 1, 2)))
    zero, one, two = world.claim_all()

    world.commit(world.step(two, respond(Pong("2"))))
    world.commit(world.step(zero, ValueError("broken")))
    world.commit(world.step(one, respond(Pong("1"))))
    world.hop(BUFFER)

    complete = last(world)
    assert complete == BufferComplete(
        complete.buffer_id,
        3,
        2,
        [
            BufferItemResult(0, False, None, "exception", "broken", "b"),
            BufferItemResult(1, True, Pong("1"), listener="b"),
            BufferItemResult(2, True, Pong("2"), listener="b"),
        ],
    )
    assert (complete.success, complete.error, world.history("a")[1:]) == (False, "broken", [("response", complete)])


def test_B5_a_result_of_the_wrong_type_is_a_failed_item_and_spoils_no_other(world: World) -> None:
    start(world, BufferStart("b", ping(0, 1)))
    world.play(b=lambda payload, _: respond(Pong("fine" if payload.n else 5)), a=lambda *_: None)

    error = f"Pong: {foreign.misfit(Pong, {'text': 5})}"
    assert last(world).results == [
        BufferItemResult(0, False, None, "bad_payload", error, "b"),
        BufferItemResult(1, True, Pong("fine"), listener="b"),
    ]


def test_B5_a_result_over_the_limit_is_a_fault_and_not_a_hang() -> None:
    world = World(listener("a", Ping, *RESULTS), listener("b", Ping), limits=Limits(payload_bytes=250))
    start(world, BufferStart("b", ping(0, 1)))

    world.play(b=lambda *_: respond(Pong("x" * 100)), a=lambda *_: None)

    assert last(world).code == "payload_too_large"
    assert (list(world.backend.joins()), world.endings()) == ([], ["done"])


def test_B6_what_is_missing_when_the_time_is_up_counts_as_timed_out(world: World) -> None:
    start(world, BufferStart("b", ping(0, 1), timeout=5.0))
    zero, one = world.claim_all()
    world.commit(world.step(one, respond(Pong("in time"))))

    world.now += 4.9
    assert world.claim_all() == []
    assert world.advance().due == 1_005.0
    world.now += 0.1
    assert world.advance(most=0).due == 0.0
    world.hop(BUFFER)

    assert last(world).results == [
        BufferItemResult(0, False, None, "timeout", "no result before the Buffer's time-out", "b"),
        BufferItemResult(1, True, Pong("in time"), listener="b"),
    ]
    world.commit(world.step(zero, respond(Pong("too late"))))
    assert world.late == 1
    world.hop("a", None)
    assert world.endings() == ["done"]


def test_B6_the_time_of_a_buffer_that_is_complete_has_no_meaning(world: World) -> None:
    start(world, BufferStart("b", ping(0), timeout=5.0))
    world.hop("b", respond(Pong()))
    assert world.advance(most=0).due == 0.0

    world.hop(BUFFER)
    world.now += 10.0

    assert [one.listener for one in world.claim_all()] == ["a"]


def test_B7_a_result_for_another_listener_is_a_call_as_if_by_the_caller(world: World) -> None:
    start(world, BufferStart("b", ping(1), return_to="report"))
    world.hop("b", respond(Pong()))

    step = world.hop(BUFFER)

    assert (step.answer, step.sends) == (None, [])
    claim = world.claim_one("report")
    [open] = [one for one in world.backend.threads() if one.listener == "report"]
    assert (claim.caller, open.chain) == ("a", f"system.org.cli-1.a.report~{step.delegate.call}")
    assert (open.last_from, world.thread("a").state) == ("a", "waiting")
    world.commit(world.step(claim, respond(Pong("the report"))))
    assert last(world) == Pong("the report")
    assert world.claim_one("a").open == []


def test_B7_a_listener_that_does_not_answer_leaves_the_call_unanswered(world: World) -> None:
    start(world, BufferStart("b", ping(1), return_to="report"))

    world.play(b=lambda *_: respond(Pong()))

    assert (world.unanswered, world.endings(), world.outputs()) == (2, ["done"], [])


@pytest.mark.parametrize("return_to", ["", "a"])
def test_B7_a_result_for_the_caller_is_the_reply_to_its_call(world: World, return_to: str) -> None:
    start(world, BufferStart("b", ping(1), return_to=return_to))
    world.hop("b", respond(Pong()))

    assert world.hop(BUFFER).delegate is None
    assert type(last(world)) is BufferComplete


def test_B7_nobody_is_called_for_a_caller_that_has_given_up(world: World) -> None:
    world.inject("a")
    world.hop("a", [call(BUFFER, BufferStart("b", ping(1), return_to="report")), call("a")])
    world.hop(BUFFER)
    world.hop("a", ValueError("gives up"))

    world.play(b=lambda *_: respond(Pong()), report=lambda *_: pytest.fail("nobody waits"))

    assert (world.late, world.endings()) == (1, ["failed"])


def test_S1_the_first_step_is_called_below_the_sequence(world: World) -> None:
    start(world, SequenceStart(["b", "c.d"], Ping(5)))

    claim = world.claim_one("b")
    [sequence] = [one for one in world.backend.threads() if one.listener == SEQUENCE]
    assert sequence.chain.startswith("system.org.cli-1.a.system%2Esequence~")
    assert (claim.chain, claim.caller) == (f"{sequence.chain}.0.b", SEQUENCE)
    assert world.payload_of(claim.message) == Ping(5)


def test_S2_the_answer_of_a_step_is_what_the_next_one_gets(world: World) -> None:
    start(world, SequenceStart(["b", "c.d"], Ping(5)))
    world.hop("b", respond(Pong("from b")))

    world.hop(SEQUENCE)

    claim = world.claim_one("c.d")
    assert claim.chain.endswith(".1.c%2Ed")
    assert world.payload_of(claim.message) == Pong("from b")


def test_S2_a_step_may_come_twice(world: World) -> None:
    start(world, SequenceStart(["b", "b"], Ping(5)))
    world.play(b=lambda payload, _: respond(Pong("x" if isinstance(payload, Ping) else payload.text + "y")))

    assert last(world).result == Pong("xy")


def test_S3_the_answer_of_the_last_step_completes_the_sequence(world: World) -> None:
    start(world, SequenceStart(["b"], Ping(5)))
    world.hop("b", respond(Pong("end")))

    step = world.hop(SEQUENCE)

    assert last(world) == SequenceComplete(step.answer.call, Pong("end"), 1)
    assert step.ends


def test_S3_the_result_may_go_to_another_listener(world: World) -> None:
    start(world, SequenceStart(["b"], Ping(5), return_to="report"))
    world.hop("b", respond(Pong("end")))
    world.hop(SEQUENCE)

    assert world.payload_of(world.claim_one("report").message).result == Pong("end")


def test_S4_a_fault_of_a_step_ends_the_sequence_and_keeps_its_origin(world: World) -> None:
    start(world, SequenceStart(["b", "c.d", "b"], Ping(5)))
    world.hop("b", respond(Pong()))
    world.hop(SEQUENCE)
    world.hop("c.d", ValueError("broken"))
    world.hop(SEQUENCE)

    error = last(world)
    assert error == SequenceError("exception", "broken", "c.d", 5, sequence_id=error.sequence_id, step="c.d", index=1)
    assert error.sequence_id


def test_S4_an_answer_that_the_next_step_does_not_accept_ends_the_sequence(world: World) -> None:
    start(world, SequenceStart(["b", "c.d"], Ping(5)))
    world.hop("b", respond(Other()))
    world.hop(SEQUENCE)

    error = last(world)
    assert (error.code, error.step, error.index) == ("bad_payload", "c.d", 1)
    assert error.text == "the answer of b is a Other; c.d accepts Ping, Pong"


def test_S4_a_last_answer_of_the_wrong_type_is_the_fault_of_its_step(world: World) -> None:
    start(world, SequenceStart(["b"], Ping(5)))
    world.hop("b", respond(Pong(5)))
    world.hop(SEQUENCE)

    error = last(world)
    assert (error.code, error.step, error.index, error.origin) == ("bad_payload", "b", 0, "b")


@pytest.mark.parametrize(
    ("request_", "code", "step", "index"),
    [
        (SequenceStart([], Ping()), "no_items", "", -1),
        (SequenceStart(["b", "nobody"], Ping()), "unknown_target", "nobody", 1),
        (SequenceStart(["b", "a"], Ping()), "forbidden_peer", "a", 1),
        (SequenceStart(["find"], Ping()), "unknown_target", "find", 0),
        (SequenceStart(["b"], Other()), "bad_payload", "b", 0),
        (SequenceStart(["b"], '{"n": "x"}'), "bad_payload", "b", 0),
        (SequenceStart(["b"], Ping(), return_to="a"), "forbidden_peer", "", -1),
        (SequenceStart(["b"], Ping(), return_to="b"), "bad_payload", "", -1),
    ],
)
def test_S5_a_sequence_that_cannot_start_is_an_error(
    world: World, request_: SequenceStart, code: str, step: str, index: int
) -> None:
    start(world, request_, "fenced")

    error = last(world, "fenced")
    assert (type(error), error.code, error.step, error.index) == (SequenceError, code, step, index)
    assert world.backend.load().in_flight == 1


@pytest.mark.parametrize(
    "request_",
    [
        BufferStart(SEQUENCE, [SequenceStart(["b", "c.d"], Ping(n)) for n in range(3)]),
        BufferStart(BUFFER, [BufferStart("b", ping(n, n + 1)) for n in range(3)]),
        SequenceStart([BUFFER, "report"], BufferStart("b", ping(1, 2))),
        SequenceStart([SEQUENCE, "report"], SequenceStart(["b"], Ping())),
        BufferStart(BUFFER, [BufferStart("b", ping(1), return_to="report")], return_to="report"),
    ],
)
def test_B5_S3_primitives_inside_each_other_complete_and_leave_nothing(world: World, request_: Any) -> None:
    start(world, request_)

    world.play(
        b=lambda *_: respond(Pong()),
        c__d=lambda *_: respond(Pong()),
        report=lambda *_: respond(Pong("reported")),
        a=lambda payload, _: respond(Pong(type(payload).__name__)),
    )

    assert len(world.outputs()) == 1
    assert (world.endings(), list(world.backend.joins()), world.backend.load().in_flight) == (["done"], [], 0)
    assert {one.state for one in world.backend.threads()} == {"done"}
