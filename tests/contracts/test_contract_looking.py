"""Finding things in a backend from outside: threads by id and by age, the kinds of the registry, what is ready."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contract_kit import NOW, Driver, answered, done, failed

from xpipe.core import chains
from xpipe.core.messages import Step
from xpipe.ports import RegistryRecord, SharedBackend


def grown(drive: Driver) -> list[str]:
    """Two conversations, whose threads come about in turns."""
    ids = [drive.inject("a"), drive.inject("b")]
    claim = drive.claim("a")
    drive.commit(done(claim, sends=[drive.send(claim, "c")]))
    claim = drive.claim("b")
    drive.commit(done(claim, sends=[drive.send(claim, "c")]))
    return ids


def test_threads_are_listed_newest_first_on_demand(drive: Driver) -> None:
    ids = grown(drive)

    for conversation in (None, *ids, "nothing"):
        oldest_first = list(drive.backend.threads(conversation))
        assert list(drive.backend.threads(conversation, newest=True)) == oldest_first[::-1]
    newest = next(drive.backend.threads(newest=True))
    assert newest.chain == "system.org.cli-2.b.c"


def test_threads_with_large_slots_are_listed_in_both_orders(drive: Driver) -> None:
    many = drive.inject("a", "b", "c", payload=b"x" * 3_000_000)
    for _ in range(6):
        drive.inject("a", payload=b"x" * 1_000_000)

    for conversation, count in ((None, 16), (many, 4)):
        oldest_first = [one.thread for one in drive.backend.threads(conversation)]
        assert len(oldest_first) == count
        assert [one.thread for one in drive.backend.threads(conversation, newest=True)] == oldest_first[::-1]


def test_many_threads_are_listed_in_both_orders(make_backend: Callable[..., SharedBackend]) -> None:
    drive = Driver(make_backend())
    drive.inject_many(2_500)

    oldest_first = list(drive.backend.threads())

    assert [one.listener for one in oldest_first[::2]] == [f"cli-{number}" for number in range(1, 2_501)]
    assert list(drive.backend.threads(newest=True)) == oldest_first[::-1]


def test_a_thread_is_found_by_a_prefix_that_only_its_id_has(drive: Driver) -> None:
    grown(drive)
    threads = list(drive.backend.threads())

    for one in threads:
        assert drive.backend.find_threads(one.thread, 2) == [one]
        short = next(
            one.thread[:length]
            for length in range(1, 40)
            if sum(other.thread.startswith(one.thread[:length]) for other in threads) == 1
        )
        assert drive.backend.find_threads(short, 2) == [one]


def test_of_the_threads_with_a_prefix_as_many_as_asked_for_are_found(drive: Driver) -> None:
    drive.inject_many(40)
    threads = {one.thread: one for one in drive.backend.threads()}
    prefix = next(id[0] for id in threads if sum(other[0] == id[0] for other in threads) > 2)
    matching = [one for id, one in threads.items() if id.startswith(prefix)]

    found = drive.backend.find_threads(prefix, 1_000)

    assert sorted(one.thread for one in found) == sorted(one.thread for one in matching)
    assert all(one in matching for one in found)
    for most in (0, 1, 2):
        few = drive.backend.find_threads(prefix, most)
        assert len(few) == len({one.thread for one in few}) == most
        assert all(one in matching for one in few)
    assert len(drive.backend.find_threads("", 1_000)) == len(threads)


@pytest.mark.parametrize("odd", ["*", "?", "[0-9a-f]", "%", "_", "\\", "'", ".*", "é", "\U0010ffff"])
def test_characters_of_patterns_stand_for_themselves_in_a_prefix(drive: Driver, odd: str) -> None:
    drive.inject("a")
    assert drive.backend.find_threads(odd, 9) == []

    drive.backend.registry_set("system.org.cli-2.a", f"x{odd}mine")
    drive.inject("a")
    thread = list(drive.backend.threads())[-1]
    assert thread.thread == f"x{odd}mine"

    for prefix in ("x", f"x{odd}", f"x{odd}mi"):
        assert drive.backend.find_threads(prefix, 9) == [thread]
    assert drive.backend.find_threads(f"x{odd}{odd}", 9) == []


def test_letters_in_a_prefix_are_those_of_the_id(drive: Driver) -> None:
    drive.backend.registry_set("system.org.cli-1.a", "mine")
    drive.inject("a")

    assert len(drive.backend.find_threads("min", 9)) == 1
    assert drive.backend.find_threads("MIN", 9) == []


def test_ids_that_are_no_threads_are_not_found(drive: Driver) -> None:
    drive.backend.registry_set("system.org.elsewhere", "elsewhere")
    drive.backend.buffer_append("loose", b"slot")
    root_id = drive.backend.registry_get_uuid("system.org")
    assert root_id is not None

    for id in ("elsewhere", "loose", root_id):
        assert drive.backend.find_threads(id, 9) == []


def test_a_thread_was_touched_when_something_last_happened_in_it(drive: Driver) -> None:
    def touched() -> list[float]:
        return [one.touched - NOW for one in drive.backend.threads()]

    drive.inject("a")
    assert touched() == [0, 0]

    drive.now = NOW + 1
    claim = drive.claim()
    assert touched() == [0, 0]
    drive.now = NOW + 2
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    assert touched() == [0, 2, 2]

    drive.now = NOW + 3.5
    claim = drive.claim("b")
    drive.commit(Step(claim.thread, claim.fence, again=2))
    assert touched() == [0, 2, 3.5]

    drive.now = NOW + 4
    drive.commit(answered(drive.claim("b")))
    assert touched() == [0, 4, 4]

    drive.now = NOW + 5
    drive.commit(failed(drive.claim("a")))
    assert touched() == [5, 5, 4]
    [found] = drive.backend.find_threads(claim.thread, 2)
    assert found.touched == NOW + 4


def test_the_listeners_with_something_ready_are_listed(drive: Driver) -> None:
    assert drive.backend.ready_listeners() == []
    drive.inject_many(2, "a")
    drive.inject("gone.listener")

    assert sorted(drive.backend.ready_listeners()) == ["a", "gone.listener"]
    first, _ = drive.advance(room={"a": 2}).claims
    assert drive.backend.ready_listeners() == ["gone.listener"]

    drive.commit(done(first, own=[drive.own(first)]))
    assert sorted(drive.backend.ready_listeners()) == ["a", "gone.listener"]
    drive.commit(answered(drive.claim("gone.listener")), answered(drive.claim("a")))
    assert drive.backend.ready_listeners() == []


def test_the_root_is_that_of_the_organism(drive: Driver) -> None:
    assert drive.backend.root() == "system.org"

    drive.backend.open(None, 50)

    assert drive.backend.root() == "system.org"


def test_every_pair_of_the_registry_is_of_a_kind(drive: Driver) -> None:
    drive.backend.registry_set("system.org.cli-1.a", "mine")
    drive.backend.registry_set("system.org.later", "later")
    id = drive.inject("a")

    found = list(drive.backend.registry_entries())

    root = RegistryRecord(chains.thread_id(drive.backend.secret(), "system.org"), "system.org", "root")
    assert sorted(found, key=lambda one: one.chain) == [
        root,
        RegistryRecord(id, "system.org.cli-1", "thread"),
        RegistryRecord("mine", "system.org.cli-1.a", "thread"),
        RegistryRecord("later", "system.org.later", "bound"),
    ]
    assert {(one.uuid, one.chain) for one in found} == set(drive.backend.registry_list_all().items())


def test_a_sound_backend_has_no_orphans_and_no_damage(drive: Driver) -> None:
    drive.backend.registry_set("system.org.later", "later")
    drive.backend.buffer_append("later", drive.note())
    drive.backend.collection_create("buffer", "by hand", b"", 2)
    drive.inject("a", "buffer")
    claim = drive.claim("buffer")
    drive.commit(done(claim, join=drive.join(claim, 2), sends=[drive.send(claim, "b", f"{n}.b", n) for n in range(2)]))
    drive.commit(failed(drive.claim("a")), failed(drive.advance(room={"b": 1}).claims[0]))
    drive.talk("c")
    before = drive.backend.totals()

    for remove in (False, True):
        assert list(drive.backend.orphans(remove)) == []
        assert list(drive.backend.damages(remove)) == []

    assert drive.backend.totals() == before
    assert list(drive.backend.collection_ids("buffer")) == ["by hand"]
    drive.finish()
    assert drive.backend.totals().in_flight == 0
