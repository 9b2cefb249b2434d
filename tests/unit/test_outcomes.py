"""Which outputs have been handed on, and what is forgotten of conversations that are over."""

from __future__ import annotations

from router_kit import Ping

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import ENDED, RESPONSE, ConversationRecord, Event, Message
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
