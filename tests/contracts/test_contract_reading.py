"""What can be seen of a backend from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from contract_kit import NOW, SLOTS, Driver, answered, done, failed, payload

from xpipe.core import chains
from xpipe.ports import BackendTotals, Capabilities, SharedBackend, ThreadRecord


def test_a_backend_is_one_by_the_port(backend: SharedBackend) -> None:
    assert isinstance(backend, SharedBackend)
    assert backend.ping() is True
    assert isinstance(backend.capabilities, Capabilities)
    assert {type(getattr(backend.capabilities, one.name)) for one in fields(Capabilities)} == {bool}


def test_a_fresh_backend_is_empty_but_for_the_root(backend: SharedBackend) -> None:
    assert list(backend.threads()) == []
    assert backend.registry_list_all() == {chains.thread_id(backend.secret(), "system.org"): "system.org"}
    assert backend.totals() == BackendTotals(0, 0, 0, 0, 0, 0, 0)
    assert (backend.load().in_flight, list(backend.joins())) == (0, [])


def test_opening_again_changes_nothing(drive: Driver) -> None:
    secret, id = drive.backend.secret(), drive.inject("a")

    drive.backend.open("org", SLOTS)

    assert drive.backend.secret() == secret
    assert [one.conversation for one in drive.backend.threads()] == [id, id]


def test_every_organism_has_a_secret_of_its_own(make_backend: Callable[..., SharedBackend]) -> None:
    one, other = make_backend(), make_backend()

    assert one.secret() != other.secret()
    assert len(one.secret()) >= 16
    assert Driver(one).inject("a") != Driver(other).inject("a")


def test_the_name_of_the_organism_is_one_segment(make_backend: Callable[..., SharedBackend]) -> None:
    backend = make_backend()

    assert backend.registry_list_all() == {chains.thread_id(backend.secret(), "system.org"): "system.org"}


def test_the_registry_is_one_to_one(drive: Driver) -> None:
    drive.inject("a", source="cli")
    drive.inject("b", source="in")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b"), drive.send(claim, "b", "b~2")]))

    pairs = list(drive.backend.registry_list_all().items())

    assert len({uuid for uuid, _ in pairs}) == len({chain for _, chain in pairs}) == len(pairs) == 7
    assert all(uuid == chains.thread_id(drive.backend.secret(), chain) for uuid, chain in pairs)
    assert pairs[0][1] == "system.org"
    assert set(pairs[1:]) == {(one.thread, one.chain) for one in drive.backend.threads()}


def test_a_thread_record_tells_how_it_stands(drive: Driver) -> None:
    id = drive.inject("a", payload=b"x" * 100)
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", payload=b"y" * 1000)]))

    initiator, caller, callee = drive.backend.threads()

    assert initiator == ThreadRecord(id, id, "system.org.cli-1", "cli-1", "waiting", 0, 0, "", "", NOW)
    sizes = [len(one) for one in drive.backend.buffer_get_thread(caller.thread)]
    assert caller == ThreadRecord(
        claim.thread, id, claim.chain, "a", "waiting", 1, sum(sizes), last_from="cli-1", last_to="a", touched=NOW
    )
    assert (callee.state, callee.slots, callee.last_from, callee.last_to) == ("active", 1, "a", "b")
    assert callee.bytes > 1000 > caller.bytes > 100


def test_the_states_of_a_thread_follow_what_is_under_way(drive: Driver) -> None:
    drive.inject("a")
    assert drive.states() == {"": "waiting", "a": "active"}
    claim = drive.claim()
    assert drive.states() == {"": "waiting", "a": "active"}
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    assert drive.states() == {"": "waiting", "a": "waiting", "a.b": "active"}
    drive.commit(failed(drive.claim("b")))
    assert drive.states() == {"": "waiting", "a": "active", "a.b": "failed"}
    drive.commit(answered(drive.claim()))
    assert drive.states() == {"": "done", "a": "done", "a.b": "failed"}


def test_a_thread_that_goes_on_after_its_answer_is_done(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()
    drive.commit(answered(claim, own=[drive.own(claim)]))
    assert drive.states()["a"] == "active"

    drive.commit(done(drive.claim()))

    assert drive.states()["a"] == "done"


def test_threads_are_listed_oldest_first_and_by_conversation(drive: Driver) -> None:
    first, second = drive.inject("a"), drive.inject("b")
    claim = drive.claim("a")
    drive.commit(done(claim, sends=[drive.send(claim, "c")]))

    # A backend may list them conversation by conversation, or all in the order in which they were made.
    listed = [one.chain.removeprefix("system.org.") for one in drive.backend.threads()]
    assert [chain for chain in listed if "cli-1" in chain] == ["cli-1", "cli-1.a", "cli-1.a.c"]
    assert [chain for chain in listed if "cli-2" in chain] == ["cli-2", "cli-2.b"]
    assert listed.index("cli-1") < listed.index("cli-2")
    assert [one.listener for one in drive.backend.threads(first)] == ["cli-1", "a", "c"]
    assert [one.listener for one in drive.backend.threads(second)] == ["cli-2", "b"]
    assert list(drive.backend.threads("nothing")) == []


def test_slots_are_the_messages_of_a_thread_oldest_first(drive: Driver) -> None:
    drive.inject("a", payload=b"0")
    claim = drive.claim()
    for number in (b"1", b"2", b"3"):
        drive.commit(done(claim, own=[drive.own(claim, number)]))
        claim = drive.claim()

    read = drive.backend.buffer_get_thread
    assert [payload(one) for one in read(claim.thread)] == [b"0", b"1", b"2", b"3"]
    assert [payload(one) for one in read(claim.thread, 1)] == [b"1", b"2", b"3"]
    assert [payload(one) for one in read(claim.thread, 1, 3)] == [b"1", b"2"]
    assert read(claim.thread, 4) == read(claim.thread, 2, 2) == read("nothing") == []


def test_what_is_read_is_a_copy(drive: Driver) -> None:
    drive.inject("a")
    claim = drive.claim()

    drive.backend.buffer_get_thread(claim.thread).clear()

    assert len(drive.backend.buffer_get_thread(claim.thread)) == 1
    records = drive.backend.threads()
    next(records)
    drive.commit(done(claim, sends=[drive.send(claim, "b")]))
    assert len(list(records)) >= 1


def test_totals_count_everything(drive: Driver) -> None:
    drive.inject_many(2)
    first, second = drive.advance().claims
    drive.commit(answered(second))
    drive.commit(done(first, sends=[drive.send(first, "b", index=0)], join=drive.join(first, 1)))

    assert drive.backend.totals() == BackendTotals(
        threads=5, conversations=2, conversations_active=1, in_flight=1, slots=4, joins=1, dead_letters=0
    )
    drive.commit(failed(drive.claim("b")))
    assert drive.backend.totals() == BackendTotals(
        threads=5, conversations=2, conversations_active=1, in_flight=1, slots=5, joins=0, dead_letters=1
    )
