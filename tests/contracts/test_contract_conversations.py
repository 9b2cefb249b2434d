"""Injections, the ends of conversations and of calls that nobody answers, and what is kept of them."""

from __future__ import annotations

import pytest
from contract_kit import FAULT_BYTES, PUMP, Driver, answered, done, failed

from xpipe.core import chains
from xpipe.core.messages import REJECTED, Injection, Rejected, decode_message, encode_rejected


def test_the_initiators_of_each_source_are_numbered_from_one(drive: Driver) -> None:
    for source in ("cli", "in", "cli", "api", "cli-1", "in"):
        drive.inject("a", source=source)

    initiators = [one.listener for one in drive.backend.threads() if one.listener != "a"]
    assert initiators == ["cli-1", "in-1", "cli-2", "api-1", "cli-1-1", "in-2"]


def test_messages_injected_together_are_conversations_of_their_own(drive: Driver) -> None:
    ids = drive.inject_many(3)

    assert len(set(ids)) == 3
    assert [one.conversation for one in drive.backend.threads()] == [id for id in ids for _ in range(2)]
    assert len({one.thread for one in drive.advance().claims}) == 3


def test_a_conversation_is_named_by_the_thread_of_its_initiator(drive: Driver) -> None:
    id = drive.inject("a")

    assert id == chains.thread_id(drive.backend.secret(), "system.org.cli-1")
    assert [(one.thread, one.chain) for one in drive.backend.threads(id)] == [
        (id, "system.org.cli-1"),
        (chains.thread_id(drive.backend.secret(), "system.org.cli-1.a"), "system.org.cli-1.a"),
    ]


def test_an_injected_message_is_a_request_of_the_initiator(drive: Driver) -> None:
    id = drive.inject("a", payload=b"\x00\xff")

    message = decode_message(drive.claim().message)
    assert (message.kind, message.conversation, message.sender, message.to) == ("request", id, "cli-1", "a")
    assert (message.type, message.payload, message.call, message.hop) == ("Ping", b"\x00\xff", message.id, 1)


def test_a_message_for_several_listeners_is_one_conversation_with_a_call_for_each(drive: Driver) -> None:
    id = drive.inject("a", "b", "c.d")

    assert [one.chain for one in drive.backend.threads(id)] == [
        f"system.org.cli-1{name}" for name in ("", ".a", ".b", ".c%2Ed")
    ]
    drive.commit(answered(drive.claim("b"), b"b"), answered(drive.claim("a"), b"a"))
    drive.advance()
    assert (drive.outputs(), drive.kinds_of_events()) == ([b"b", b"a"], ["output", "output"])
    drive.commit(answered(drive.claim("c.d"), b"c"))
    drive.advance()
    assert drive.kinds_of_events()[2:] == ["output", "ended"]


def test_a_message_that_could_not_be_read_is_a_conversation_that_has_failed(drive: Driver) -> None:
    [id] = drive.backend.inject(PUMP, [Injection("in", [], fault=FAULT_BYTES)], drive.now)

    assert drive.advance().claims == []
    assert [(event.conversation, event.kind, event.state) for event in drive.events] == [
        (id, "output", ""),
        (id, "ended", "failed"),
    ]
    assert drive.outputs() == [FAULT_BYTES]
    assert drive.backend.totals().conversations_active == 0


def test_F10_a_rejected_message_is_kept_as_a_dead_letter_of_its_conversation(drive: Driver) -> None:
    rejected = encode_rejected(Rejected("in.jsonl", 3, "{oops"))
    [id] = drive.backend.inject(PUMP, [Injection("in", [], fault=FAULT_BYTES, rejected=rejected)], drive.now)

    [letter] = drive.backend.dead_letters()

    message = decode_message(letter.message)
    assert (message.kind, message.conversation, message.payload) == (REJECTED, id, rejected)
    assert (letter.thread, letter.fault, letter.told, letter.attempts) == (id, FAULT_BYTES, True, 0)
    assert letter.at == drive.now
    drive.advance()
    assert drive.kinds_of_events() == ["output", "ended"]


def test_a_conversation_for_nobody_is_over_at_once(drive: Driver) -> None:
    drive.backend.inject(PUMP, [Injection("in", [], "Ping", b"")], drive.now)

    drive.advance()
    assert [(event.kind, event.state) for event in drive.events] == [("ended", "done")]


def test_a_conversation_ends_with_its_last_message_and_not_before(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(answered(claim, sends=[drive.send(claim, "b")]))
    callee = drive.claim("b")
    drive.advance()
    assert drive.kinds_of_events() == ["output"]

    drive.commit(done(callee, call="", own=[drive.own(callee)]))
    drive.advance(most=0)
    assert drive.kinds_of_events() == ["output"]

    drive.commit(done(drive.claim("b")))
    drive.advance()
    assert drive.kinds_of_events() == ["output", "ended"]


@pytest.mark.parametrize(("fault", "state"), [(False, "done"), (True, "failed")])
def test_a_conversation_has_failed_when_a_fault_reached_its_initiator(drive: Driver, fault: bool, state: str) -> None:
    drive.inject("a")
    claim = drive.claim()

    drive.commit(failed(claim) if fault else answered(claim))

    drive.advance()
    assert [event.state for event in drive.events if event.kind == "ended"] == [state]
    assert drive.states() == {"": "done", "a": "failed" if fault else "done"}


def test_a_call_that_nobody_can_answer_any_more_is_closed_and_counted(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim)], sends=[drive.send(claim, "b")]))

    assert drive.commit(done(drive.claim("b"))).unanswered == 1

    again = drive.claim()
    assert again.open == []
    assert drive.commit(done(again)).unanswered == 1
    drive.advance()
    assert drive.kinds_of_events() == ["ended"]


def test_a_thread_that_asked_to_be_told_gets_a_fault_for_a_call_nobody_answers(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    send = drive.send(claim, "b")
    drive.commit(done(claim, sends=[send], no_answer=True))

    drive.commit(done(drive.claim("b")))

    reply = drive.claim()
    message = decode_message(reply.message)
    assert (message.kind, message.call, message.sender, message.to, message.type) == (
        "fault",
        send.call,
        "b",
        "a",
        "Fault",
    )
    assert b"no_answer" in message.payload
    drive.advance(answered(reply))
    assert drive.kinds_of_events() == ["output", "ended"]


def test_deep_chains_become_quiet_all_the_way_up(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    for depth in range(300):
        name = "b" if depth % 2 else "a"
        drive.commit(done(claim, sends=[drive.send(claim, name)]))
        claim = drive.claim(name)

    assert drive.commit(done(claim)).unanswered == 301

    drive.advance()
    assert drive.kinds_of_events() == ["ended"]
    assert set(drive.states().values()) == {"done"}
