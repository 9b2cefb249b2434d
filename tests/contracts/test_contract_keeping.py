"""What is kept and what is forgotten: the rows K1 to K5 of docs/semantics.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract_kit import NOW, Driver, answered, done, payload

from xpipe.ports import SharedBackend

Make = Callable[..., SharedBackend]
LONG_AFTER = NOW + 10**6


def kept(drive: Driver) -> set[str]:
    return {one.id for one in drive.backend.conversations()}


def test_K1_what_ended_before_a_time_is_forgotten_delivered_or_not(drive: Driver) -> None:
    early, shown = drive.talk(), drive.talk()
    drive.backend.delivered({shown: 1})
    drive.now += 10
    late = drive.talk()

    assert drive.backend.forget_ended(drive.now, 100) == 2

    assert kept(drive) == {late}
    for id in (early, shown):
        assert list(drive.backend.threads(id)) == drive.backend.buffer_get_thread(id) == []
    assert drive.backend.forget_ended(drive.now, 100) == 0


def test_K1_what_ended_at_that_very_time_is_kept(drive: Driver) -> None:
    id = drive.talk()

    assert drive.backend.forget_ended(drive.record(id).ended, 100) == 0
    assert drive.backend.forget_ended(drive.record(id).ended + 0.001, 100) == 1


def test_K1_the_earliest_ended_are_forgotten_first_and_no_more_than_asked_for(drive: Driver) -> None:
    # given: five that ended in another order than they began
    ids = drive.inject_many(5)
    order = [2, 0, 4, 1, 3]
    claims = drive.advance().claims
    for at in order:
        drive.now += 1
        drive.commit(answered(claims[at]))

    for number in range(5):
        assert drive.backend.forget_ended(LONG_AFTER, 0) == 0
        assert drive.backend.forget_ended(LONG_AFTER, 1) == 1
        assert kept(drive) == {ids[at] for at in order[number + 1 :]}


def test_K1_what_ended_in_the_same_commit_is_forgotten_in_the_order_of_its_steps(drive: Driver) -> None:
    ids = drive.inject_many(3)
    one, two, three = drive.advance().claims
    drive.commit(answered(three), answered(one), answered(two))

    drive.backend.forget_ended(LONG_AFTER, 1)
    assert kept(drive) == {ids[0], ids[1]}
    drive.backend.forget_ended(LONG_AFTER, 1)
    assert kept(drive) == {ids[1]}


def test_what_is_forgotten_leaves_nothing_behind(make_backend: Make) -> None:
    # given: all that a conversation may have: calls, a thread bound from outside, a join, undelivered outputs
    drive = Driver(make_backend())
    drive.backend.registry_set("system.org.cli-1.a", "mine")
    empty = drive.backend.totals(), list(drive.backend.registry_list_all())[:1]
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "buffer"), drive.send(claim, "c")]))
    buffer = drive.claim("buffer")
    drive.commit(done(buffer, join=drive.join(buffer, 1), sends=[drive.send(buffer, "b", "0.b", 0)], state=b"state"))
    drive.finish()

    assert drive.backend.forget_ended(LONG_AFTER, 100) == 1

    assert (drive.backend.totals(), list(drive.backend.registry_list_all())) == empty
    assert list(drive.backend.buffer_list_threads()) == list(drive.backend.joins()) == []
    assert drive.backend.registry_get_chain("mine") is None
    assert drive.backend.join_results(buffer.thread) == []
    assert list(drive.backend.orphans()) == []


@pytest.mark.parametrize("most", [2, 3, 4, 5])
def test_a_backend_is_full_from_its_number_of_threads_on(make_backend: Make, most: int) -> None:
    drive = Driver(make_backend(max_threads=most))
    assert not drive.backend.load().full

    full = []
    for _ in range(3):
        drive.inject("a")
        full.append(drive.backend.load().full)

    assert full == [threads >= most for threads in (2, 4, 6)]


def test_what_does_not_fit_is_kept_all_the_same_until_room_is_asked_for(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    ids = [drive.talk(), drive.talk()]
    drive.backend.delivered(dict.fromkeys(ids, 1))

    ids += drive.inject_many(3)

    assert kept(drive) == set(ids)


def test_K2_room_is_made_by_the_delivered_ones_that_ended_first(make_backend: Make) -> None:
    # given: five of two threads each, that ended and were delivered in other orders than they began
    drive = Driver(make_backend(max_threads=10))
    ids = drive.inject_many(5)
    claims = drive.advance().claims
    for at in (3, 1, 4, 0, 2):
        drive.now += 1
        drive.commit(answered(claims[at]))
    for at in (0, 4, 1, 2, 3):
        drive.backend.delivered({ids[at]: 1})

    for left in ({0, 1, 2, 4}, {0, 2, 4}, {0, 2}):
        assert drive.backend.make_room()
        drive.inject("b")  # Full again.
        assert kept(drive) & set(ids) == {ids[at] for at in left}


def test_K2_no_more_is_forgotten_than_is_needed(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=6))
    ids = [drive.talk() for _ in range(2)]
    drive.backend.delivered(dict.fromkeys(ids, 1))

    assert drive.backend.make_room()
    assert kept(drive) == set(ids)
    ids.append(drive.inject("a"))
    assert drive.backend.make_room()

    assert kept(drive) == set(ids[1:])
    totals = drive.backend.totals()
    assert (totals.threads, totals.conversations, totals.slots) == (4, 2, 3)
    assert len(list(drive.backend.registry_list_all())) == 5


def test_K2_as_many_are_forgotten_as_it_takes(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=5))
    ids = [drive.talk() for _ in range(6)]
    drive.backend.delivered(dict.fromkeys(ids, 1))

    assert drive.backend.make_room()

    assert kept(drive) == set(ids[4:])


def test_K3_there_is_no_room_while_nothing_that_is_over_has_been_delivered(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=4))
    first, second = drive.talk(), drive.talk()

    assert not drive.backend.make_room()
    assert kept(drive) == {first, second}

    drive.backend.delivered({second: 1})
    assert drive.backend.make_room()
    assert kept(drive) == {first}


def test_K3_what_can_go_goes_even_if_that_is_not_enough(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    shown, _, live = drive.talk(), drive.talk(), drive.inject("a")
    drive.backend.delivered({shown: 1})

    assert not drive.backend.make_room()

    assert shown not in kept(drive)
    assert live in kept(drive)


def test_a_conversation_without_outputs_may_go_when_it_is_over(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    drive.inject("a")
    drive.commit(done(drive.claim()))

    assert drive.backend.make_room()
    assert kept(drive) == set()


def test_K4_what_runs_is_never_forgotten(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    waiting, claimed, ready = drive.inject("a"), drive.inject("b"), drive.inject("c")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "buffer")]))
    busy = drive.claim("b")
    drive.backend.delivered(dict.fromkeys((waiting, claimed, ready), 9))

    assert not drive.backend.make_room()
    assert drive.backend.forget_ended(LONG_AFTER, 100) == 0
    assert not any(map(drive.backend.forget, (waiting, claimed, ready)))

    assert kept(drive) == {waiting, claimed, ready}
    drive.commit(answered(busy))
    drive.commit(answered(drive.claim("buffer"), b"still here"))
    assert payload(drive.claim().message) == b"still here"


def test_K4_an_answered_conversation_with_work_left_runs(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(answered(claim, own=[drive.own(claim)]))
    drive.backend.delivered({id: 1})

    assert (drive.backend.make_room(), drive.backend.forget_ended(LONG_AFTER, 9)) == (False, 0)
    drive.commit(done(drive.claim()))
    assert drive.backend.make_room()
    assert kept(drive) == set()


def test_K5_outputs_of_many_conversations_are_delivered_at_once(drive: Driver) -> None:
    several = drive.inject("a", "b", "c")
    drive.finish()
    one, none = drive.talk(), drive.talk()

    drive.backend.delivered({several: 2, one: 1, "unknown": 3})

    assert [drive.record(id).delivered for id in (several, one, none)] == [2, 1, 0]
    drive.backend.delivered({})
    assert [drive.record(id).outputs for id in (several, one, none)] == [3, 1, 1]


def test_K5_what_has_been_delivered_stays_so(drive: Driver) -> None:
    id = drive.inject("a", "b")
    drive.finish()

    seen = []
    for count in (1, 0, 2, 1, 99, -1):
        drive.backend.delivered({id: count})
        seen.append(drive.record(id).delivered)

    assert seen == [1, 1, 2, 2, 2, 2]


def test_K5_outputs_may_be_delivered_before_the_end(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=3))
    id = drive.inject("a", "b")
    drive.commit(answered(drive.claim("a")))
    drive.backend.delivered({id: 9})
    assert drive.record(id).delivered == 1

    drive.commit(answered(drive.claim("b")))
    assert not drive.backend.make_room()
    drive.backend.delivered({id: 2})

    assert drive.backend.make_room()


def test_the_numbers_of_initiators_are_not_used_again(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    ids = []
    for _ in range(5):
        drive.backend.make_room()
        ids.append(drive.talk())
        drive.backend.delivered({ids[-1]: 1})

    assert len(set(ids)) == 5
    assert [one.listener for one in drive.backend.threads()] == ["cli-5", "a"]


def test_events_of_a_forgotten_conversation_are_still_told(drive: Driver) -> None:
    id = drive.inject("a")
    other = Driver(drive.backend, "pump-2")
    other.commit(answered(other.claim()))

    assert drive.backend.forget(id)
    drive.advance(most=0)

    assert drive.kinds_of_events() == ["output", "ended"]
    assert drive.outputs() == [b"answer"]


def test_what_was_forgotten_cannot_be_committed_to(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    step = answered(claim)
    drive.commit(step)
    drive.backend.forget_ended(LONG_AFTER, 1)

    assert drive.advance(step, most=0).refused == {0: "stale"}


def clear_all(backend: SharedBackend, _: str) -> None:
    backend.buffer_clear()


def delete_outputs(backend: SharedBackend, id: str) -> None:
    assert backend.buffer_delete_thread(id)


@pytest.mark.parametrize("remove", [clear_all, delete_outputs])
def test_K5_outputs_whose_slots_are_deleted_count_as_delivered(
    make_backend: Make, remove: Callable[[SharedBackend, str], None]
) -> None:
    # given: a full backend; what is over in it has an output that nobody has printed
    drive = Driver(make_backend(max_threads=4))
    id, other = drive.talk(), drive.inject("a", "b")
    drive.commit(answered(drive.claim("b")))
    assert not drive.backend.make_room()

    remove(drive.backend, id)

    assert [(drive.record(one).outputs, drive.record(one).delivered) for one in (id, other)] == [(1, 1), (1, 0)]
    assert len(drive.backend.buffer_get_thread(other)) == 1
    drive.backend.delivered({id: 1})
    drive.backend.make_room()
    assert kept(drive) == {other}
    drive.commit(answered(drive.claim("a")))
    assert drive.record(other).delivered == 0


def test_K5_deleting_the_slots_of_a_called_thread_delivers_nothing(make_backend: Make) -> None:
    drive = Driver(make_backend(max_threads=2))
    id = drive.talk()
    thread = list(drive.backend.threads(id))[1].thread

    assert drive.backend.buffer_delete_thread(thread)
    assert not drive.backend.buffer_delete_thread(thread)

    assert drive.record(id).delivered == 0
    assert not drive.backend.make_room()
    assert len(drive.backend.buffer_get_thread(id)) == 1
