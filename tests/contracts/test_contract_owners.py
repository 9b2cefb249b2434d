"""Who is told of a conversation: its owner, as long as that is enrolled; another pump may take over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from contract_kit import NOW, PUMP, Driver, answered, done, failed, payload
from msgspec.structs import replace

from xpipe.core.messages import ConversationRecord, Injection, PumpRecord
from xpipe.ports import SharedBackend

MESSAGE = Injection("cli", ["a"], "Ping", b"in")


def test_a_conversation_record_tells_how_it_stands(drive: Driver) -> None:
    id = drive.inject("a", "b")
    running = ConversationRecord(id, "system.org.cli-1", "running", PUMP, NOW, 0.0, 0, 0, 3)
    assert list(drive.backend.conversations()) == [running]

    drive.now += 2.5
    claim = drive.claim()
    drive.commit(answered(claim, sends=[drive.send(claim, "c")]))
    assert list(drive.backend.conversations()) == [
        ConversationRecord(id, "system.org.cli-1", "running", PUMP, NOW, 0.0, 1, 0, 4)
    ]

    drive.now += 0.25
    drive.commit(done(drive.claim("c")), failed(drive.claim("b")))
    drive.backend.delivered({id: 1})
    assert list(drive.backend.conversations()) == [
        ConversationRecord(id, "system.org.cli-1", "failed", PUMP, NOW, NOW + 2.75, 2, 1, 4)
    ]


def test_conversations_are_listed_oldest_first_by_state_and_owner(drive: Driver) -> None:
    other = Driver(drive.backend, "pump-2")
    ids = [drive.inject("a"), other.inject("b"), drive.inject("c"), other.inject("a")]
    drive.commit(answered(drive.claim("c")), answered(drive.claim("b")))

    def listed(running: bool = False, owner: str | None = None) -> list[int]:
        return [ids.index(one.id) for one in drive.backend.conversations(running, owner)]

    assert listed() == [0, 1, 2, 3]
    assert listed(running=True) == [0, 3]
    assert (listed(owner=PUMP), listed(owner="pump-2"), listed(owner="nobody")) == ([0, 2], [1, 3], [])
    assert (listed(True, PUMP), listed(True, "pump-2")) == ([0], [3])


def test_conversations_are_listed_as_long_as_they_run_or_have_outputs_to_be_printed(drive: Driver) -> None:
    runs, printed, unprinted, silent = (drive.inject(to) for to in ("a", "b", "c", "buffer"))
    drive.commit(*(answered(drive.claim(to)) for to in ("b", "c")))
    drive.commit(done(drive.claim("buffer")))
    drive.backend.delivered({printed: 1})

    assert [one.id for one in drive.backend.conversations(unsettled=True)] == [runs, unprinted]
    assert [one.id for one in drive.backend.conversations(running=True, unsettled=True)] == [runs]
    assert [one.id for one in drive.backend.conversations(owner="nobody", unsettled=True)] == []
    assert silent in [one.id for one in drive.backend.conversations()]


def test_whoever_adopts_a_conversation_is_told_of_it_from_then_on(drive: Driver) -> None:
    other = Driver(drive.backend, "pump-2")
    id = drive.inject("a", "b")
    drive.commit(answered(drive.claim("a"), b"before"))

    record = drive.backend.adopt("pump-2", id, PUMP)

    assert record == ConversationRecord(id, "system.org.cli-1", "running", "pump-2", NOW, 0.0, 1, 0, 3)
    assert record == drive.record(id)
    drive.commit(answered(drive.claim("b"), b"after"))
    for driver in (drive, other):
        driver.advance()
    assert drive.outputs() == [b"before"]
    assert (other.outputs(), other.kinds_of_events()) == ([b"after"], ["output", "ended"])


def test_what_is_over_can_be_adopted_and_tells_its_outputs_and_how_many_are_delivered(drive: Driver) -> None:
    Driver(drive.backend, "pump-2")
    id = drive.inject("a", "b", "c")
    drive.finish()
    drive.backend.delivered({id: 2})

    record = drive.backend.adopt("pump-2", id, PUMP)

    assert record is not None
    assert (record.state, record.owner, record.outputs, record.delivered) == ("done", "pump-2", 3, 2)
    assert [payload(one) for one in drive.backend.buffer_get_thread(id)] == [b"answer"] * 3


@pytest.mark.parametrize("owner", ["", "pump-2", "pump-3"])
def test_a_conversation_of_another_than_the_expected_owner_is_not_adopted(drive: Driver, owner: str) -> None:
    id = drive.inject("a")

    assert drive.backend.adopt("pump-2", id, owner) is None

    assert drive.record(id).owner == PUMP


def test_an_unknown_or_forgotten_conversation_is_not_adopted(drive: Driver) -> None:
    id = drive.talk()
    assert drive.backend.forget(id)

    assert drive.backend.adopt("pump-2", id, PUMP) is None
    assert drive.backend.adopt("pump-2", "nothing", "") is None


def test_of_several_that_adopt_at_once_one_wins(backend: SharedBackend) -> None:
    drive, pumps = Driver(backend), [f"pump-{number}" for number in range(2, 6)]
    for pump in pumps:
        backend.enroll(PumpRecord(pump, "here", 1, 1, NOW))
    ids = drive.inject_many(20)
    barrier = Barrier(len(pumps))

    def adopt_all(pump: str) -> set[str]:
        barrier.wait()
        return {id for id in ids if backend.adopt(pump, id, PUMP) is not None}

    with ThreadPoolExecutor(len(pumps)) as pool:
        won = list(pool.map(adopt_all, pumps))

    assert sorted(id for ids in won for id in ids) == sorted(ids)
    assert [{one.id for one in backend.conversations(owner=pump)} for pump in pumps] == won


def test_what_is_injected_for_nobody_is_told_to_nobody_until_it_is_adopted(drive: Driver) -> None:
    [id] = drive.backend.inject("", [MESSAGE], drive.now)
    drive.commit(answered(drive.claim()))

    assert drive.backend.advance("", [], {}, 0, drive.now).events == []
    assert (drive.record(id).owner, drive.record(id).outputs, drive.record(id).delivered) == ("", 1, 0)
    assert drive.backend.adopt(PUMP, id, "") is not None
    drive.advance()
    assert drive.events == []
    assert [payload(one) for one in drive.backend.buffer_get_thread(id)] == [b"answer"]


def test_a_pump_that_is_not_enrolled_is_told_of_nothing_even_when_it_enrolls_later(drive: Driver) -> None:
    [id] = drive.backend.inject("pump-2", [MESSAGE], drive.now)
    drive.commit(answered(drive.claim()))

    late = Driver(drive.backend, "pump-2")
    late.advance()

    assert late.events == []
    assert (drive.record(id).owner, drive.record(id).outputs, drive.record(id).delivered) == ("pump-2", 1, 0)


@pytest.mark.parametrize("leave", ["retire", "bury_pump"])
def test_events_for_a_pump_that_is_gone_are_dropped_and_its_outputs_stay(drive: Driver, leave: str) -> None:
    gone = Driver(drive.backend, "pump-2")
    id = gone.inject("a", "b")
    drive.commit(answered(drive.claim("a"), b"before"))

    getattr(drive.backend, leave)("pump-2")
    drive.commit(answered(drive.claim("b"), b"after"))

    back = Driver(drive.backend, "pump-2")
    back.advance()
    assert back.events == []
    assert [payload(one) for one in drive.backend.buffer_get_thread(id)] == [b"before", b"after"]
    assert drive.record(id).delivered == 0


def test_a_pump_record_is_kept_as_it_was_enrolled(backend: SharedBackend) -> None:
    serving = PumpRecord("pump-9", "host.example", 77, 123456, 1_234.5, serves=True)
    plain = PumpRecord("pump-8", "", 0, 0, 0.0)

    backend.enroll(serving)
    backend.enroll(plain)

    found = sorted(backend.pumps(), key=lambda one: one.id)
    assert [one.expires for one in found] == pytest.approx([0.0, 1_234.5], abs=5)  # By the clock of a server.
    assert [replace(one, expires=0.0) for one in found] == [plain, replace(serving, expires=0.0)]
    assert backend.renew("pump-9", 2_000.25)
    assert [one.expires for one in backend.pumps() if one.serves] == pytest.approx([2_000.25], abs=5)
