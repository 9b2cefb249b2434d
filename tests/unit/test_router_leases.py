"""Rows L1 to L4 of docs/semantics.md: pumps that go away."""

from __future__ import annotations

from router_kit import PUMP, Ping, Pong, Rig, World, listener, respond

from xpipe.core.messages import PumpRecord
from xpipe.runtime.router import MAX_DELIVERIES

OTHER = PumpRecord("other", "elsewhere", 1, 1, 0.0)


def world() -> World:
    made = World(listener("a"), listener("b"))
    made.backend.enroll(PumpRecord(PUMP, "here", 1, 1, 0.0))
    made.backend.enroll(OTHER)
    return made


def claim_as_other(world: World, most: int = 100) -> list:
    return world.backend.advance(OTHER.id, [], world.room, most, world.now).claims


def test_L1_what_a_dead_pump_had_claimed_is_ready_again_and_its_late_steps_are_refused() -> None:
    here = world()
    here.inject("a")
    [lost] = claim_as_other(here)

    assert here.backend.bury_pump(OTHER.id) == 1

    again = here.claim_one("a")
    assert (again.thread, again.message) == (lost.thread, lost.message)
    assert (again.fence, again.deliveries, again.attempt) == (lost.fence + 1, 1, 1)
    late = here.backend.advance(OTHER.id, [here.step(lost, respond(Pong()))], {}, 0, here.now)
    assert late.refused == {0: "stale"}
    here.commit(here.step(again, respond(Pong())))
    assert (here.outputs(), here.endings()) == ([Pong()], ["done"])


def test_L1_messages_of_a_dead_pump_come_before_those_that_wait() -> None:
    here = world()
    first = here.inject("a")
    claim_as_other(here)
    here.inject("a")

    here.backend.bury_pump(OTHER.id)

    [one] = here.advance(most=1).claims
    assert one.chain.startswith(here.backend.registry_get_chain(first) or "?")


def test_L2_a_message_that_was_lost_too_often_is_a_fault_and_its_handler_is_not_run() -> None:
    rig = Rig(listener("a"))

    assert rig.router.admit(rig.claim(deliveries=MAX_DELIVERIES - 1), rig.request()) is None
    step = rig.router.admit(rig.claim(deliveries=MAX_DELIVERIES), rig.request())

    assert step is not None
    assert step.failed
    assert step.answer is not None
    assert step.dead is not None
    fault = rig.types.decode("Fault", step.dead.fault)
    assert (fault.code, fault.text) == (
        "pump_lost",
        "10 pumps died while they handled this message; it is not tried again",
    )


def test_L3_a_message_that_was_lost_twice_is_claimed_alone() -> None:
    here = world()
    here.inject("a", Ping("dangerous"))
    for _ in range(2):
        [claim] = claim_as_other(here)
        here.backend.bury_pump(OTHER.id)
        here.backend.enroll(OTHER)
    for _ in range(3):
        here.inject("b")
        here.inject("a")

    batches = []
    while claims := here.claim_all():
        batches.append([one.deliveries for one in claims])
        here.commit(*(here.step(one, respond(Pong())) for one in claims))

    assert [batch for batch in batches if 2 in batch] == [[2]]
    assert sum(map(len, batches)) == 7
    assert claim.deliveries == 1


def test_L4_what_a_pump_hands_back_is_ready_again_at_no_cost() -> None:
    here = world()
    here.inject("a")
    [claim] = claim_as_other(here)

    here.backend.retire(OTHER.id)

    again = here.claim_one("a")
    assert (again.thread, again.deliveries) == (claim.thread, 0)
    assert [pump.id for pump in here.backend.pumps()] == [PUMP]
