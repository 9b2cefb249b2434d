"""What Redis keeps, and how it is cleared up: orphans of every kind, damage, upkeep in turns, many at a time."""

from __future__ import annotations

import pytest
import redis as client
import redis_server
from contract_kit import Driver, answered, done
from redis_kit import Make, content, play

from xpipe.backends.redis import RedisBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import DAMAGED, Cursor, Injection, readable
from xpipe.ports import Orphan, RegistryRecord

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


@pytest.fixture
def backend(make_redis: Make) -> RedisBackend:
    return make_redis(ttl=1000)


def assert_removed(backend: RedisBackend, raw: client.Redis, orphans: set[Orphan]) -> None:
    """Looking changes nothing; removing leaves nothing to be told."""
    before = content(raw, backend._prefix)
    assert set(backend.orphans()) == orphans
    assert content(raw, backend._prefix) == before
    assert set(backend.orphans(remove=True)) == orphans
    assert list(backend.orphans()) == []
    assert all(one.kind != "orphan" for one in backend.registry_entries())


@pytest.mark.parametrize("lost", ["uuid", "chain"])
def test_half_a_pair_is_an_orphan(backend: RedisBackend, raw_redis: client.Redis, lost: str) -> None:
    backend.registry_set("some.chain", "some-id")
    raw_redis.delete(f"{backend._prefix}{lost}:{'some-id' if lost == 'uuid' else 'some.chain'}")

    left = RegistryRecord("some-id", "", "orphan") if lost == "chain" else RegistryRecord("", "some.chain", "orphan")
    assert left in list(backend.registry_entries())
    other = "chain" if lost == "uuid" else "uuid"
    assert_removed(backend, raw_redis, {Orphan(other, left.uuid or left.chain, f"its {lost}")})
    assert backend.registry_get_uuid("some.chain") is backend.registry_get_chain("some-id") is None


@pytest.mark.parametrize("lost", [["uuid"], ["chain"], ["uuid", "chain"]])
def test_the_pair_of_a_thread_is_made_whole(backend: RedisBackend, raw_redis: client.Redis, lost: list[str]) -> None:
    drive = Driver(backend)
    drive.inject("a")
    claim = drive.claim()
    ids = {"uuid": claim.thread, "chain": claim.chain}
    raw_redis.delete(*(f"{backend._prefix}{kind}:{ids[kind]}" for kind in lost))

    assert len(list(backend.orphans(remove=True))) == 1

    assert list(backend.orphans()) == []
    assert backend.registry_get_uuid(claim.chain) == claim.thread
    assert backend.registry_get_chain(claim.thread) == claim.chain
    assert raw_redis.ttl(f"{backend._prefix}chain:{claim.chain}") > 900
    drive.commit(answered(claim))


def test_index_entries_without_data_are_orphans(backend: RedisBackend, raw_redis: client.Redis) -> None:
    backend.registry_set("some.chain", "some-id")
    backend.buffer_append("loose", b"slot")
    prefix = backend._prefix
    raw_redis.delete(*(f"{prefix}{key}" for key in ("uuid:some-id", "chain:some.chain", "buffer:loose")))
    for index in ("running", "finished", "settled", "threads", "expiries", "delayed"):
        raw_redis.zadd(f"{prefix}{index}", {f"no-{index}": 1})
    for index in ("sizes", "flights"):
        raw_redis.hset(f"{prefix}{index}", f"no-{index}", 0)

    ids = {"some-id", "loose", *(f"no-{name}" for name in ("running", "finished", "settled", "threads"))}
    ids |= {"no-expiries", "no-delayed", "no-sizes", "no-flights"}
    assert_removed(backend, raw_redis, {Orphan("index entry", id, "its data") for id in ids})
    assert (backend.totals().slots, backend.totals().joins, backend.totals().threads) == (0, 0, 0)


def test_a_conversation_without_its_record_goes_with_all_it_has(backend: RedisBackend, raw_redis: client.Redis) -> None:
    drive = Driver(backend)
    lost, kept = play(drive), drive.inject("b")
    raw_redis.delete(f"{backend._prefix}conversation:{lost}")

    assert_removed(backend, raw_redis, {Orphan("conversation", lost, "its record")})

    assert {one.conversation for one in backend.threads()} == {kept}
    assert (backend.totals().slots, backend.totals().conversations) == (1, 1)


def test_a_join_whose_thread_is_gone_is_an_orphan(backend: RedisBackend, raw_redis: client.Redis) -> None:
    drive = Driver(backend)
    drive.inject("buffer")
    claim = drive.claim("buffer")
    join = drive.join(claim, 2, expires=drive.now + 9)
    drive.commit(done(claim, join=join, sends=[drive.send(claim, "b", "0.b", 0)]))
    raw_redis.delete(f"{backend._prefix}thread:{claim.thread}")

    orphans = set(backend.orphans(remove=True))

    assert Orphan("join", join.id, "the thread that waits for it") in orphans
    assert list(backend.orphans()) == list(backend.joins()) == []
    assert not raw_redis.exists(f"{backend._prefix}join:{claim.thread}", f"{backend._prefix}results:{claim.thread}")


def test_a_pump_whose_record_is_lost_is_an_orphan_whose_claims_are_free_again(
    backend: RedisBackend, raw_redis: client.Redis
) -> None:
    drive = Driver(backend)
    drive.inject("a")
    Driver(backend, "zombie").claim()
    raw_redis.hdel(f"{backend._prefix}pumps", "zombie")

    assert_removed(backend, raw_redis, {Orphan("pump", "zombie", "its record")})

    assert not [key for key in content(raw_redis, backend._prefix) if "zombie" in key and not key.startswith("call:")]
    assert drive.claim().deliveries == 1


def test_a_backend_at_work_has_no_orphans(backend: RedisBackend) -> None:
    drive = Driver(backend)
    backend.registry_set("some.chain", "some-id")
    backend.buffer_append("loose", b"slot")
    backend.collection_create("buffer", "mine", b"head", 2)
    for _ in range(3):
        play(drive)
        drive.inject("a", "b")
        drive.claim()

    assert list(backend.orphans()) == []


def test_a_pass_of_the_upkeep_goes_on_where_its_time_was_up(
    backend: RedisBackend, raw_redis: client.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = Driver(backend)
    ids = drive.inject_many(5)
    keys = [f"{backend._prefix}conversation:{id}" for id in ids]
    for key in keys:
        raw_redis.expire(key, 5)
    monkeypatch.setattr("xpipe.backends.redis_upkeep.TURN", 0.0)

    renewed = []
    for _ in range(7):
        backend.renew(drive.pump, 9.0)
        renewed.append(sum(raw_redis.ttl(key) > 900 for key in keys))

    assert renewed[0] <= 1
    assert renewed == sorted(renewed)
    assert len(set(renewed)) > 3
    assert renewed[-1] == 5


def test_the_root_pair_is_renewed_and_made_anew(backend: RedisBackend, raw_redis: client.Redis) -> None:
    names = [f"{backend._prefix}chain:system.org", f"{backend._prefix}uuid:{backend.registry_get_uuid('system.org')}"]
    raw_redis.expire(names[0], 5)
    raw_redis.delete(names[1])

    list(backend._upkeep.make_pass())

    assert all(raw_redis.ttl(name) > 900 for name in names)


def test_ids_and_prefixes_are_no_patterns(backend: RedisBackend) -> None:
    drive = Driver(backend)
    ids = ["a*c", "abc", "a[b]c", "a?c", "a\\c", "a^c", "a-c"]
    for number, id in enumerate(ids, 1):
        backend.registry_set(f"system.org.cli-{number}.a", id)
        drive.inject("a")

    for id in ids:
        assert [one.thread for one in backend.find_threads(id, 9)] == [id]
    assert {one.thread for one in backend.find_threads("a", 99)} >= set(ids)
    assert len(backend.find_threads("a", 3)) == 3
    assert backend.find_threads("[a]", 9) == backend.find_threads("a", 0) == []


def test_damage_in_a_thread_of_many_bytes_is_found(backend: RedisBackend, raw_redis: client.Redis) -> None:
    drive = Driver(backend)
    drive.inject("a", payload=b"x" * 400_000)
    small = drive.inject("b")
    thread = drive.claim().thread
    for _ in range(25):
        backend.buffer_append(thread, drive.note(b"y" * 20_000))
    for index, data in ((7, b"garbage"), (20, b""), (0, b"it is being handled")):
        raw_redis.lset(f"{backend._prefix}buffer:{thread}", index, data)
    backend.buffer_append(small, b"garbage")

    buffer = f"{backend._prefix}buffer:"
    places = {f"{buffer}{thread} slot 7", f"{buffer}{thread} slot 20", f"{buffer}{small} slot 0"}
    assert {one.key for one in backend.damages()} == places
    assert {one.key for one in backend.damages(set_aside=True) if one.set_aside} == places

    assert list(backend.damages()) == []
    assert sorted(one.message for one in backend.dead_letters()) == [b"", b"garbage", b"garbage"]
    stones = [readable(backend.buffer_get_slot(thread, index) or b"") for index in (7, 20)]
    assert [one and one.kind for one in stones] == [DAMAGED, DAMAGED]


@pytest.mark.parametrize("kind", ["thread", "conversation"])
def test_a_damaged_record_is_one_clear_error_naming_the_key(
    backend: RedisBackend, raw_redis: client.Redis, kind: str
) -> None:
    drive = Driver(backend)
    id = drive.inject("a")
    claim = drive.claim()
    key = f"{backend._prefix}{kind}:{claim.thread if kind == 'thread' else id}"
    raw_redis.set(key, b"garbage", ex=600)

    for act in (lambda: drive.commit(answered(claim)), lambda: list(getattr(backend, f"{kind}s")())):
        with pytest.raises(BackendError, match=f"the key {key} is damaged, or another version of xpipe wrote it"):
            act()


@pytest.mark.parametrize("key", ["cursors", "pumps", "dead"])
def test_damaged_entries_are_one_clear_error_naming_the_key(
    backend: RedisBackend, raw_redis: client.Redis, key: str
) -> None:
    Driver(backend)
    backend.inject("", [], 1.0, Cursor("in", "f", 1))
    field = {"cursors": "in", "pumps": "pump-1", "dead": "000000000000001"}[key]
    raw_redis.hset(f"{backend._prefix}{key}", field, b"garbage")
    raw_redis.zadd(f"{backend._prefix}dead_times", {field: 1})

    acts = {
        "cursors": lambda: backend.cursor("in"),
        "pumps": backend.pumps,
        "dead": lambda: list(backend.dead_letters()),
    }
    with pytest.raises(BackendError, match=f"the key {backend._prefix}{key}.* is damaged"):
        acts[key]()


def test_large_conversations_are_forgotten_whole(make_redis: Make) -> None:
    # given: two conversations of many threads, over and delivered
    backend = make_redis(slots=2_000, max_threads=700)
    drive = Driver(backend)
    ids = []
    for _ in range(2):
        ids.append(drive.inject("a"))
        claim = drive.claim()
        drive.commit(done(claim, sends=[drive.send(claim, "b", f"b~{n}") for n in range(500)]))
        drive.finish()
    drive.backend.delivered(dict.fromkeys(ids, 1))

    assert backend.make_room()
    assert [one.id for one in backend.conversations()] == ids[1:]
    assert backend.totals().threads == 502
    assert backend.forget_ended(drive.now + 1, 5) == 1

    assert (backend.totals().threads, backend.totals().slots) == (0, 0)
    assert list(backend.orphans()) == []


def test_outputs_of_more_conversations_than_a_page_are_delivered(backend: RedisBackend) -> None:
    drive = Driver(backend)
    ids = drive.inject_many(450)
    drive.finish()

    backend.delivered(dict.fromkeys(ids, 1))

    assert {one.delivered for one in backend.conversations()} == {1}
    assert backend.forget_ended(drive.now + 1, 1_000) == 450


def test_pages_of_threads_are_told_in_order_both_ways(make_redis: Make) -> None:
    backend = make_redis(slots=2_000)
    drive = Driver(backend)
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", f"b~{n}") for n in range(450)]))
    other = drive.inject("a")

    for conversation in (None, id, other):
        upwards = [one.thread for one in backend.threads(conversation)]
        assert len(upwards) == len(set(upwards)) == {None: 454, id: 452, other: 2}[conversation]
        assert [one.thread for one in backend.threads(conversation, newest=True)] == upwards[::-1]


def test_nobody_is_told_what_a_process_injects_for_nobody(backend: RedisBackend, raw_redis: client.Redis) -> None:
    backend.inject("", [Injection("cli", [], "Ping", b"", b"fault")], 1.0)

    assert not raw_redis.exists(f"{backend._prefix}inbox:", f"{backend._prefix}reply:", f"{backend._prefix}wake:")


def test_one_who_looks_in_without_a_name_keeps_to_the_ttl_of_the_organism(
    backend: RedisBackend, make_redis: Make, raw_redis: client.Redis
) -> None:
    drive = Driver(backend)
    gone, told = drive.talk(), drive.talk()
    looker = make_redis(backend._prefix, organism=None, ttl=0)

    looker.delivered({told: 1})
    looker.forget(gone)

    assert list(looker.orphans(remove=True)) == []
    assert (backend.totals().threads, backend.totals().slots) == (2, 2)
    assert raw_redis.ttl(f"{backend._prefix}conversation:{told}") > 0
    assert looker.info()["ttl_seconds"] == 1000
