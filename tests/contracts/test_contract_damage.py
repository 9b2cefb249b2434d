"""Stored bytes that cannot be read: found, set aside, and no reason for anything else to fail."""

from __future__ import annotations

import threading

import msgspec
import pytest
from contract_backends import corrupt
from contract_kit import FAULT_BYTES, Driver, answered, done, failed, kind, payload

from xpipe.core.messages import Answer, Claim, DeadLetter, Message, Step, encode_message, tombstone
from xpipe.core.payloads import Fault
from xpipe.ports import SharedBackend

NEWER = encode_message(Message("m", "request", "t", "a", "b", "Ping", b"", "m", 1, version=99))
GARBAGE = [b"garbage", b"", b"\xc1", b"\x9b\xa1x", NEWER]
NOT_MESSAGES = [msgspec.msgpack.encode(value) for value in (None, 7, "text", [1, 2], {"id": "m"})]


def thread_of(drive: Driver, id: str) -> str:
    """The thread that the initiator of `id` has called first."""
    return [one.thread for one in drive.backend.threads(id)][1]


@pytest.mark.parametrize("garbage", [*GARBAGE, *NOT_MESSAGES])
def test_a_slot_that_cannot_be_read_is_told_of_and_left_alone(drive: Driver, garbage: bytes) -> None:
    drive.talk()
    thread = thread_of(drive, drive.talk())
    drive.backend.buffer_append(thread, garbage)

    [damage] = drive.backend.damages()

    assert thread in damage.key
    assert "damaged" in damage.problem
    assert not damage.set_aside
    assert drive.backend.buffer_get_slot(thread, 1) == garbage
    assert list(drive.backend.dead_letters()) == []


def test_a_slot_that_is_set_aside_becomes_a_dead_letter_and_a_tombstone(drive: Driver) -> None:
    thread = thread_of(drive, drive.talk())
    for slot in (b"garbage", drive.note(), NEWER):
        drive.backend.buffer_append(thread, slot)
    before = drive.backend.buffer_get_thread(thread)

    damages = list(drive.backend.damages(set_aside=True))

    assert [one.set_aside for one in damages] == [True, True]
    assert len({one.key for one in damages}) == 2
    after = drive.backend.buffer_get_thread(thread)
    assert after == [before[0], tombstone(thread), before[2], tombstone(thread)]
    letters = list(drive.backend.dead_letters())
    assert [one.message for one in letters] == [b"garbage", NEWER]
    for letter, damage in zip(letters, damages, strict=True):
        fault = msgspec.msgpack.decode(letter.fault, type=Fault)
        assert (letter.thread, letter.told, fault.code) == (thread, True, "damaged_message")
        assert damage.key in fault.text
    assert letters[0].number < letters[1].number


def test_a_listing_of_damages_that_is_read_half_holds_nobody_up(drive: Driver) -> None:
    thread = thread_of(drive, drive.talk())
    for _ in range(2):
        drive.backend.buffer_append(thread, b"garbage")

    damages = drive.backend.damages()
    next(damages)

    asked = threading.Thread(target=drive.talk, daemon=True)
    asked.start()
    asked.join(10.0)
    assert not asked.is_alive()
    assert len(list(damages)) == 1


def test_what_was_set_aside_is_no_damage_any_more(drive: Driver) -> None:
    id = drive.talk()
    drive.backend.buffer_append(thread_of(drive, id), b"garbage")
    list(drive.backend.damages(set_aside=True))

    assert list(drive.backend.damages(set_aside=True)) == []
    assert drive.backend.totals().dead_letters == 1
    assert drive.backend.totals().slots == len(drive.backend.buffer_get_thread(id)) + 2
    assert drive.backend.forget(id)
    assert drive.backend.totals().slots == 0


def test_damage_of_an_output_is_found_and_set_aside(drive: Driver) -> None:
    id = drive.talk()
    corrupt(drive.backend, id, 0, b"garbage")

    [damage] = drive.backend.damages(set_aside=True)

    assert (id in damage.key, damage.set_aside) == (True, True)
    assert drive.backend.buffer_get_thread(id) == [tombstone(id)]


def test_threads_with_damage_are_listed_like_others(drive: Driver) -> None:
    thread = thread_of(drive, drive.talk())
    drive.backend.buffer_append(thread, b"garbage")

    [record] = drive.backend.find_threads(thread, 2)

    assert (record.slots, record.last_from, record.last_to, record.state) == (2, "", "", "done")
    assert record in list(drive.backend.threads())


def test_a_message_that_waits_to_be_handled_is_left_to_its_pump(drive: Driver) -> None:
    # given: a ready message, a claimed one and a parked one that cannot be read
    ready, busy = drive.inject("b"), drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim), drive.own(claim)]))
    drive.claim()
    for index in (1, 2):
        corrupt(drive.backend, claim.thread, index, b"garbage")
    corrupt(drive.backend, thread_of(drive, ready), 0, b"garbage")

    assert list(drive.backend.damages(set_aside=True)) == []

    assert drive.backend.buffer_get_slot(claim.thread, 2) == b"garbage"
    assert thread_of(drive, busy) == claim.thread


def give_up(claim: Claim, told: bool = True) -> Step:
    """What a pump commits for a message that it cannot read: which call it opened is not known (F11)."""
    fault = encode_message(Message("x", "fault", "t", "b", "a", "Fault", FAULT_BYTES, claim.call, 1))
    letter = DeadLetter(claim.message, FAULT_BYTES, told)
    return Step(claim.thread, claim.fence, ends=True, failed=True, answer=Answer("", fault, fault=True), dead=letter)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_message_that_cannot_be_read_is_claimed_as_it_is(drive: Driver, garbage: bytes) -> None:
    id = drive.inject("a")
    corrupt(drive.backend, thread_of(drive, id), 0, garbage)

    claim = drive.claim()

    assert (claim.message, claim.thread, claim.listener, claim.call) == (garbage, thread_of(drive, id), "a", "")


@pytest.mark.parametrize("name", ["a", "dotted.name~%"])
def test_a_fault_for_a_call_that_is_not_known_ends_the_one_to_that_thread(drive: Driver, name: str) -> None:
    id = drive.inject("b", name, "c")
    corrupt(drive.backend, [one.thread for one in drive.backend.threads(id)][2], 0, b"garbage")
    claim = drive.claim(name)

    advanced = drive.commit(give_up(claim))

    drive.commit(answered(drive.claim("c")), answered(drive.claim("b")))
    drive.advance()
    assert (advanced.late, advanced.unanswered) == (0, 0)
    assert drive.outputs() == [FAULT_BYTES, b"answer", b"answer"]
    assert (drive.events[-1].kind, drive.events[-1].state) == ("ended", "failed")
    [letter] = drive.backend.dead_letters()
    assert (letter.message, letter.thread, letter.told) == (b"garbage", claim.thread, True)


@pytest.mark.parametrize("segment", ["b", "b~2", "0.b"])
def test_a_fault_for_a_call_that_is_not_known_reaches_the_thread_that_called(drive: Driver, segment: str) -> None:
    drive.inject("a")
    claim = drive.claim()
    sends = [drive.send(claim, "b", one) for one in ("b~3", segment)]
    drive.commit(done(claim, sends=sends))
    corrupt(drive.backend, sends[1].binding.thread, 0, b"garbage")
    other, lost = drive.advance(room={"b": 2}).claims

    drive.commit(give_up(lost))

    reply = drive.claim()
    assert (kind(reply.message), payload(reply.message)) == ("fault", FAULT_BYTES)
    assert reply.open == ["b~3"]
    drive.commit(answered(reply), answered(other))


def test_a_fault_for_a_delegated_call_that_is_not_known_reaches_the_caller(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", "0.b")]))
    callee = drive.claim("b")
    send = drive.delegate(callee, "c", done(callee).call)
    drive.commit(Step(callee.thread, callee.fence, delegate=send, ends=True))
    corrupt(drive.backend, send.binding.thread, 0, b"garbage")

    drive.commit(give_up(drive.claim("c")))

    reply = drive.claim()
    assert (payload(reply.message), reply.open) == (FAULT_BYTES, [])


def test_an_item_that_cannot_be_read_is_a_fault_at_its_index(drive: Driver) -> None:
    drive.inject("buffer")
    claim = drive.claim("buffer")
    sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(2)]
    drive.commit(done(claim, join=drive.join(claim, 2), sends=sends))
    corrupt(drive.backend, sends[1].binding.thread, 0, b"garbage")
    zero, one = drive.advance(room={"b": 2}).claims

    drive.commit(answered(zero), give_up(one))

    results = drive.backend.join_results(claim.thread)
    assert [payload(result) for result in results if result] == [b"answer", FAULT_BYTES]
    assert kind(drive.claim("buffer").message) == "joined"


@pytest.mark.parametrize("caller", ["initiator", "thread", "Buffer"])
def test_a_message_that_cannot_be_read_after_its_thread_has_answered_is_told_to_nobody(
    drive: Driver, caller: str
) -> None:
    # given: a thread that has answered, with a message to itself left
    id = drive.inject("a")
    claim = drive.claim()
    if caller != "initiator":
        sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(2)]
        drive.commit(done(claim, sends=sends, join=drive.join(claim, 2) if caller == "Buffer" else None))
        [claim, _] = drive.advance(room={"b": 2}).claims
    drive.commit(answered(claim, own=[drive.own(claim)]))
    corrupt(drive.backend, claim.thread, 1, b"garbage")

    assert drive.commit(give_up(drive.claim(claim.listener))).late == 1

    drive.advance()
    [event] = [event for event in drive.events if event.kind == "dead"]
    assert (event.conversation, event.message, event.cause) == (id, b"garbage", FAULT_BYTES)
    [letter] = drive.backend.dead_letters()
    assert (letter.message, letter.told) == (b"garbage", False)


def test_a_thread_whose_last_slot_cannot_be_read_still_ends_unanswered(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    send = drive.send(claim, "b")
    drive.commit(done(claim, sends=[send], no_answer=True))
    callee = drive.claim("b")
    corrupt(drive.backend, callee.thread, 0, b"garbage")

    drive.commit(done(callee))

    reply = drive.claim()
    assert (kind(reply.message), b"no_answer" in payload(reply.message)) == ("fault", True)


def test_damage_of_one_message_harms_no_other(drive: Driver, backend: SharedBackend) -> None:
    ids = drive.inject_many(3)
    corrupt(backend, thread_of(drive, ids[1]), 0, b"\xc1")

    one, two, three = drive.advance().claims
    drive.commit(failed(one), give_up(two), answered(three))
    drive.advance()

    assert [event.conversation for event in drive.events if event.kind == "ended"] == ids
    assert backend.load().in_flight == 0
