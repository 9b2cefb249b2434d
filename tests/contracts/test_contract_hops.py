"""What became of each message, kept with its conversation."""

from __future__ import annotations

import msgspec
from contract_kit import Driver, answered, done

from xpipe.core.messages import HopRecord, Step, encode_hop, end_fault, readable_hop


def noted(step: Step, name: str) -> Step:
    step.hop = encode_hop(HopRecord(name, "a", 1, 1.5, 2.5, "here:1"))
    return step


def names(drive: Driver, conversation: str, start: int = 0) -> list[str]:
    records = [readable_hop(data) for data in drive.backend.hops(conversation, start)]
    return [record.message if record else "?" for record in records]


def test_hops_are_kept_by_conversation_in_the_order_of_their_commits(drive: Driver) -> None:
    one, other = drive.inject("a"), drive.inject("a")
    first, second = drive.advance().claims

    drive.commit(noted(Step(first.thread, first.fence, again=2), "tried"), noted(answered(second), "second"))
    drive.commit(noted(answered(drive.claim()), "tried again"))

    assert names(drive, one) == ["tried", "tried again"]
    assert names(drive, one, 1) == ["tried again"]
    assert names(drive, one, 2) == []
    assert names(drive, other) == ["second"]
    assert names(drive, "nobody") == []


def test_a_hop_comes_back_byte_by_byte(drive: Driver) -> None:
    id = drive.inject("a")
    step = answered(drive.claim())
    step.hop = bytes(range(256)) * 300

    drive.commit(step)

    assert list(drive.backend.hops(id)) == [step.hop]


def test_a_step_that_is_refused_leaves_no_hop(drive: Driver) -> None:
    id = drive.inject("a")
    claim = drive.claim()

    drive.advance(noted(Step(claim.thread, claim.fence + 1), "stale"), most=0)

    assert names(drive, id) == []


def test_a_step_without_a_hop_leaves_none(drive: Driver) -> None:
    id = drive.inject("a")

    drive.commit(answered(drive.claim()))

    assert names(drive, id) == []


def test_very_many_hops_are_all_told(drive: Driver) -> None:
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", f"b~{n}") for n in range(2_500)]))
    claims = drive.advance(most=5_000, room={"b": 5_000}).claims

    drive.commit(*[noted(done(claim), str(at)) for at, claim in enumerate(claims)])

    assert names(drive, id) == [str(at) for at in range(2_500)]
    assert names(drive, id, 2_499) == ["2499"]


def test_a_conversation_that_is_forgotten_takes_its_hops_along(drive: Driver) -> None:
    id, other = drive.inject("a"), drive.inject("a")
    drive.commit(*[noted(answered(claim), "x") for claim in drive.advance().claims])

    drive.backend.forget(id)

    assert names(drive, id) == []
    assert names(drive, other) == ["x"]


def test_the_hops_of_what_was_cancelled_stay(drive: Driver) -> None:
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(noted(Step(claim.thread, claim.fence, again=2, due=drive.now + 5), "tried"))

    drive.backend.cancel(id, end_fault("cancelled", "enough"), drive.now)

    assert names(drive, id) == ["tried"]


def test_messages_know_when_they_were_sent(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    assert msgspec.msgpack.decode(claim.message)[-1] == drive.now


def test_a_fault_of_the_backend_knows_when_it_was_made(drive: Driver) -> None:
    id = drive.inject("a")
    drive.now += 3

    drive.backend.cancel(id, end_fault("cancelled", "enough"), drive.now)

    [fault] = drive.backend.buffer_get_thread(id)
    assert msgspec.msgpack.decode(fault)[-1] == drive.now


def test_a_conversation_is_found_by_its_id(drive: Driver) -> None:
    id = drive.inject("a")
    [record] = drive.backend.conversations()
    claim = drive.claim()
    child = claim.thread

    assert drive.backend.conversation(id) == record
    assert drive.backend.conversation(child) is None
    assert drive.backend.conversation("nobody") is None
    drive.commit(answered(claim))
    drive.backend.forget(id)
    assert drive.backend.conversation(id) is None


def test_a_hop_that_cannot_be_read_is_told_of_and_can_be_set_aside(drive: Driver) -> None:
    id = drive.inject("a", "b")
    first, second = drive.advance().claims
    broken = answered(first)
    broken.hop = b"\xc1broken"
    drive.commit(broken, noted(answered(second), "fine"))

    [found] = drive.backend.damages()
    [aside] = drive.backend.damages(set_aside=True)

    assert id in found.key
    assert (found.set_aside, aside.set_aside, aside.key) == (False, True, found.key)
    assert list(drive.backend.damages()) == []
    assert names(drive, id) == ["", "fine"]
    [letter] = drive.backend.dead_letters()
    assert letter.message == broken.hop
