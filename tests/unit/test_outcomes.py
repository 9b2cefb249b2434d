"""Which outputs have been handed on, and what is forgotten of conversations that are over."""

from __future__ import annotations

import pytest
from router_kit import Ping

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import (
    ENDED,
    OUTPUT,
    RESPONSE,
    ConversationRecord,
    Event,
    Message,
    decode_message,
    encode_message,
)
from xpipe.runtime.delivery import Delivery
from xpipe.runtime.happenings import Happening
from xpipe.runtime.outcomes import Outcomes

TYPES = PayloadTypes([Ping])


def told_at_once() -> tuple[Outcomes, list[Happening]]:
    told: list[Happening] = []
    return Outcomes(TYPES, told.append, at_once=True), told


def test_outputs_handed_on_one_by_one_add_up_until_no_more_will_come() -> None:
    delivery = Delivery()
    delivery.add("one", 2)
    delivery.add("one", 1)
    assert delivery.take() == {"one": 3}
    delivery.add("one", 1, over=True)
    assert delivery.take() == {"one": 4}

    delivery.confirm()

    assert delivery.count("one") == 0


def test_nothing_is_pending_once_it_is_confirmed() -> None:
    delivery = Delivery()
    delivery.add("one", 1)
    delivery.take()
    assert delivery.is_pending

    delivery.confirm()

    assert not delivery.is_pending


def test_who_begins_anew_waits_for_no_conversation_of_before() -> None:
    outcomes, _ = told_at_once()
    outcomes.waiting.begin(["one"])

    outcomes.begin_anew()

    assert outcomes.waiting.running == set()


def test_outputs_of_a_conversation_taken_over_count_from_those_printed_before() -> None:
    # given: a conversation of which another pump has printed two outputs, and not the third
    outcomes, told = told_at_once()
    record = ConversationRecord("one", "system.org.cli-1", "running", "me", 1.0, 0.0, 3, 2, 1)
    third = Message("m", RESPONSE, "one", "a", "cli-1", *TYPES.encode(Ping(3)), "", 1)

    outcomes.take_over(record, [third])

    assert len(told) == 1
    assert outcomes.delivery.take() == {"one": 3}


def test_the_count_of_a_conversation_is_forgotten_with_its_end() -> None:
    outcomes, _ = told_at_once()
    outcomes.delivery.begin("one", 2)

    outcomes.take(Event("one", ENDED, state="done"))

    assert outcomes.delivery.count("one") == 0


def output(n: int) -> bytes:
    return encode_message(Message(f"m{n}", RESPONSE, "one", "a", "cli-1", *TYPES.encode(Ping(n)), "", 1))


def test_who_waits_for_a_conversation_is_told_of_its_end_and_not_of_its_outputs() -> None:
    outcomes, told = told_at_once()
    outcomes.waiting.begin(["one"])

    outcomes.take(Event("one", OUTPUT, output(1)))
    assert outcomes.waiting.running == {"one"}
    outcomes.take(Event("one", ENDED, state="done"))

    assert outcomes.waiting.running == set()
    assert len(told) == 2


def test_outputs_that_are_kept_are_delivered_when_they_are_collected_and_then_forgotten() -> None:
    outcomes = Outcomes(TYPES, None, at_once=False)
    outcomes.take(Event("one", OUTPUT, output(1)))
    outcomes.take(Event("one", ENDED, state="done"))
    assert outcomes.delivery.take() == {}

    assert len(outcomes.collect("one")) == 1

    assert outcomes.delivery.take() == {"one": 1}
    outcomes.delivery.confirm()
    assert outcomes.delivery.count("one") == 0


def test_outputs_that_count_at_once_are_not_counted_again_when_they_are_collected() -> None:
    outcomes = Outcomes(TYPES, None, at_once=True)
    outcomes.take(Event("one", OUTPUT, output(1)))
    assert outcomes.delivery.take() == {"one": 1}

    assert len(outcomes.collect("one")) == 1

    assert outcomes.delivery.take() == {"one": 1}


def test_outputs_that_are_given_to_a_listener_are_delivered_with_that() -> None:
    told: list[Happening] = []
    outcomes = Outcomes(TYPES, told.append, at_once=False)

    outcomes.take(Event("one", OUTPUT, output(1)))

    assert len(told) == 1
    assert outcomes.delivery.take() == {"one": 1}


@pytest.mark.parametrize(("state", "ended", "count"), [("running", 0.0, 2), ("done", 2.0, 0)])
def test_catching_up_with_a_conversation_forgets_its_count_if_it_is_over(state: str, ended: float, count: int) -> None:
    # given: a conversation that nobody waits for, all outputs of which were told
    outcomes, told = told_at_once()
    record = ConversationRecord("one", "system.org.cli-1", state, "me", 1.0, ended, 2, 2, 1)

    outcomes.catch_up(record, [decode_message(output(n)) for n in (1, 2)])

    assert told == []
    assert outcomes.delivery.count("one") == count
