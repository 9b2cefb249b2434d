"""Redis alone: what it keeps under which keys and for how long, what it says when it cannot, and prefixes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import redis as client
import redis_server
from contract_kit import FAULT_BYTES, Driver, answered, done
from redis_kit import Make, keys, play

from xpipe.backends.redis import RedisBackend
from xpipe.backends.redis_scripts import script
from xpipe.core import chains
from xpipe.core.messages import Injection, PumpRecord, Step, claimed_message

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

ALWAYS = {"organism", "secret", "numbers", "counters", "cursors", "dead", "dead_times", "pumps", "leases", "listening"}
ALWAYS |= {"lanes", "threads", "conversations", "running", "finished", "settled", "expiries", "registry", "bound"}
ALWAYS |= {"joins", "loose", "sizes", "flights", "delayed"}
OF_PUMPS = {"inbox", "claimed"}
OF_LISTENERS = {"ready"}


def test_the_keys_that_others_read_are_where_they_look(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("layout:")
    drive = Driver(backend)
    drive.inject("a")
    claim = drive.claim()

    assert raw_redis.lrange(f"layout:buffer:{claim.thread}", 0, -1) == [claim.message]
    assert raw_redis.get(f"layout:chain:{claim.chain}") == claim.thread.encode()
    assert raw_redis.get(f"layout:uuid:{claim.thread}") == claim.chain.encode()
    assert raw_redis.get("layout:chain:system.org") is not None


@pytest.mark.parametrize("ttl", [0, 1000])
def test_forgotten_conversations_leave_only_the_documented_keys(
    make_redis: Make, raw_redis: client.Redis, ttl: int
) -> None:
    backend = make_redis(f"leak{ttl}:", ttl=ttl)
    drive = Driver(backend)
    ids = [play(drive) for _ in range(3)]
    assert drive.kinds_of_events().count("ended") == 3

    assert all(backend.forget(id) for id in ids)
    backend.retire(drive.pump)

    assert list(backend.orphans()) == []
    left = keys(raw_redis, f"leak{ttl}:")
    root = {"chain:system.org", f"uuid:{backend.registry_get_uuid('system.org')}"}
    assert left - ALWAYS == root
    totals = backend.totals()
    assert (totals.threads, totals.conversations, totals.in_flight, totals.slots, totals.joins) == (0, 0, 0, 0, 0)


def test_without_conversations_the_indexes_are_empty(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("empty:", ttl=1000)
    backend.forget(play(Driver(backend)))

    counts = raw_redis.hgetall("empty:counters")
    assert {counts[b"slots"], counts[b"in_flight"]} == {b"0"}
    assert not raw_redis.exists(
        "empty:sizes", "empty:flights", "empty:threads", "empty:conversations", "empty:finished"
    )


def test_with_a_ttl_every_key_but_the_documented_ones_has_it(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("ttl:", ttl=500)
    drive = Driver(backend)
    play(drive)
    drive.inject("a", "b")
    later = drive.claim("b")
    drive.commit(Step(later.thread, later.fence, again=2, due=drive.now + 5))
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim)] * 3, sends=[drive.send(claim, "c")], join=drive.join(claim, 2)))
    backend.registry_set("some.chain", "some-id")
    backend.buffer_append("loose", b"slot")
    backend.collection_create("buffer", "mine", b"head", 2)
    backend.collection_add("buffer", "mine", 0, b"x")

    without = {key for key in keys(raw_redis, "ttl:") if raw_redis.ttl(f"ttl:{key}") == -1}

    assert {key.partition(":")[0] for key in without} <= ALWAYS | OF_PUMPS | OF_LISTENERS
    assert backend.info()["ttl_seconds"] == 500
    assert backend.capabilities.expiry


def test_without_a_ttl_nothing_expires(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("ever:", ttl=0)
    play(Driver(backend))

    expiring = {key for key in keys(raw_redis, "ever:") if raw_redis.ttl(f"ever:{key}") != -1}
    assert {key.partition(":")[0] for key in expiring} == {"call"}
    assert not backend.capabilities.expiry


def test_a_commit_refreshes_what_it_touches(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("fresh:", ttl=500)
    drive = Driver(backend)
    drive.inject("a")
    claim = drive.claim()
    touched = [f"fresh:{kind}:{claim.thread}" for kind in ("thread", "buffer", "uuid")] + [f"fresh:chain:{claim.chain}"]
    for key in touched:
        raw_redis.expire(key, 5)

    drive.now += 500 / 20  # Until then they have as much life to spare.
    drive.commit(done(claim, own=[drive.own(claim)]))

    assert all(raw_redis.ttl(key) > 400 for key in touched)


def test_what_a_commit_touches_lives_for_the_whole_ttl(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis("whole:", ttl=500)
    drive = Driver(backend)
    drive.inject("a")
    age(raw_redis, "whole:", 20)
    claim = drive.claim()
    drive.now += 4.0
    drive.commit(done(claim, own=[drive.own(claim)] * 2, sends=[drive.send(claim, "b")]))

    kinds = ("thread", "buffer", "uuid", "chain", "conversation", "members", "mailbox")
    found = {key for key in keys(raw_redis, "whole:") if key.startswith(tuple(f"{kind}:" for kind in kinds))}
    lives = {key: raw_redis.pttl(f"whole:{key}") for key in found}
    assert {key.partition(":")[0] for key in found} == set(kinds)
    assert min(lives.values()) >= 500_000, lives


def age(raw: client.Redis, prefix: str, seconds: int) -> None:
    """Have all keys expire earlier by so much."""
    for key in keys(raw, prefix):
        if raw.ttl(f"{prefix}{key}") > 0:
            raw.expire(f"{prefix}{key}", raw.ttl(f"{prefix}{key}") - seconds)


def test_upkeep_renews_running_conversations_and_clears_up_after_expired_ones(
    make_redis: Make, raw_redis: client.Redis
) -> None:
    backend = make_redis("keep:", ttl=500)
    drive = Driver(backend)
    ended, running, expired = play(Driver(backend, "other")), drive.inject("a"), drive.inject("b")
    backend.buffer_append("loose", b"slot")
    backend.registry_set("some.chain", "some-id")
    backend.collection_create("buffer", "mine", b"head", 2)
    for key in keys(raw_redis, "keep:"):
        raw_redis.expire(f"keep:{key}", 5) if raw_redis.ttl(f"keep:{key}") > 0 else None
    for id in (expired, ended):
        gone = [one.thread for one in backend.threads(id)]
        raw_redis.delete(f"keep:conversation:{id}", f"keep:members:{id}")
        raw_redis.delete(*(f"keep:{kind}:{one}" for one in gone for kind in ("thread", "buffer", "uuid")))
    raw_redis.delete("keep:buffer:loose", "keep:uuid:some-id", "keep:collection:buffer:mine")

    list(backend._upkeep.make_pass())

    threads = [one.thread for one in backend.threads(running)]
    assert all(raw_redis.ttl(f"keep:{kind}:{one}") > 400 for one in threads for kind in ("thread", "uuid"))
    totals = backend.totals()
    assert (totals.threads, totals.conversations, totals.conversations_active) == (2, 1, 1)
    assert (totals.in_flight, totals.slots, totals.joins) == (1, 1, 0)
    assert [*backend.registry_list_all().values()][1:] == [one.chain for one in backend.threads()]
    assert len(drive.advance().claims) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a:", "ab:"),
        ("x", "x:"),
        ("q*:", "qq:"),
        ("w?:", "ww:"),
        ("[e]:", "e:"),
        ("{orgA}:", "{orgB}:"),
        ("ä ':", "ä :"),
    ],
)
def test_prefixes_never_see_or_clear_each_other(make_redis: Make, one: str, other: str) -> None:
    left, right = make_redis(one), make_redis(other, organism="other")
    left_drive, right_drive = Driver(left), Driver(right)
    left_id, right_id = play(left_drive), play(right_drive)
    before = list(right.threads())

    left.buffer_clear()
    left.registry_clear()
    left.forget(left_id)

    assert list(right.threads()) == before
    assert list(left.threads()) == []
    assert not left.forget(right_id)
    assert left.secret() != right.secret()


def test_processes_that_inject_from_sources_of_one_name_number_their_initiators_together(make_redis: Make) -> None:
    backends = [make_redis(prefix="o:") for _ in range(2)]
    messages = [Injection(source, ["a"], "Ping", b"") for source in ("cli", "cli", "api")]
    for backend in backends:
        backend.open("org", 100)

    for turn in (0, 1, 0, 0, 1, 1):
        backends[turn].inject("", messages, 1.0)

    named = sorted(one.chain.rpartition(".")[2] for one in backends[0].conversations())
    assert named == sorted([f"cli-{n}" for n in range(1, 13)] + [f"api-{n}" for n in range(1, 7)])


def test_importing_the_module_does_not_import_redis() -> None:
    code = "import sys, xpipe.backends.redis; sys.exit('redis' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_info_tells_place_and_version(make_redis: Make, redis_shared: redis_server.Server) -> None:
    info = make_redis("told:").info()

    assert info["place"] == f"unix://{redis_shared.socket} (prefix 'told:')"
    assert info["server_version"].count(".") == 2
    assert (info["type"], info["registry_entries"], info["buffer_threads"]) == ("redis", 1, 0)


@pytest.mark.parametrize("act", ["work", "event", "before"])
def test_wait_ends_when_another_process_has_something(make_redis: Make, act: str) -> None:
    prefix = redis_server.new_prefix()
    one, other = make_redis(prefix), make_redis(prefix)
    one.enroll(PumpRecord("pump-1", "host", 1, 1, 1.0))
    talk = one.inject("pump-1", [Injection("cli", ["a"], "Ping", b"")], 1.0)
    claim = Driver(other, "pump-2").claim()
    one.advance("pump-1", [], {"a": 5}, 5, 1.0)
    assert not one.wait("pump-1", 0.01)

    def go_on() -> None:
        if act == "event":
            other.advance("pump-2", [answered(claim)], {}, 0, 1.0)
        else:
            other.inject("pump-2", [Injection("cli", ["b"], "Ping", b"")], 1.0)

    if act == "before":
        go_on()
    timer = threading.Timer(0.2, go_on)
    if act != "before":
        timer.start()
    assert one.wait("pump-1", 20.0)
    if act != "before":
        timer.join()
    assert talk


def test_closing_ends_a_wait(make_redis: Make) -> None:
    backend = make_redis()
    ended = threading.Event()
    waiting = threading.Thread(target=lambda: (backend.wait("pump-1", 30.0), ended.set()))
    waiting.start()
    time.sleep(0.2)

    backend.close()

    assert ended.wait(5)
    waiting.join()


def test_a_large_conversation_is_forgotten_in_small_commands(make_redis: Make, raw_redis: client.Redis) -> None:
    backend = make_redis(slots=2_000)
    drive = Driver(backend)
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, sends=[drive.send(claim, "b", f"b~{n}") for n in range(1_000)]))
    drive.commit(*[answered(one) for one in drive.advance(most=2_000).claims])
    while claims := drive.advance(room={"a": 1}).claims:
        drive.commit(*[done(one, call="") for one in claims])
    drive.advance()
    raw_redis.config_resetstat()

    assert backend.forget(id)

    assert backend.totals().threads == 0
    commands = raw_redis.info("commandstats")
    assert commands["cmdstat_unlink"]["calls"] >= 10  # One for up to a hundred threads,
    assert commands["cmdstat_evalsha"]["calls"] > 5  # and few of these in one call.


def test_slots_that_were_left_under_the_id_of_a_new_thread_become_its_first_ones(
    make_redis: Make, raw_redis: client.Redis
) -> None:
    backend = make_redis()
    drive = Driver(backend)
    drive.talk("a")
    below = chains.thread_id(backend.secret(), "system.org.cli-2.a")
    raw_redis.rpush(f"{backend._prefix}buffer:{below}", b"left")

    conversation = drive.inject("a")

    claim = drive.claim()
    assert (claim.thread, claimed_message(claim).conversation) == (below, conversation)
    assert backend.buffer_get_thread(below)[0] == b"left"


def test_a_claim_whose_fence_cannot_be_read_ends_with_its_pump_or_its_conversation(
    make_redis: Make, raw_redis: client.Redis
) -> None:
    # given: of two claims the fence is spoilt; one of the conversations is cancelled
    backend = make_redis()
    drive, other = Driver(backend), Driver(backend, pump="other")
    cancelled, kept = drive.inject_many(2)
    claims = drive.advance(most=2).claims
    for claim in claims:
        raw_redis.hset(f"{backend._prefix}claimed:{drive.pump}", claim.thread, "garbage")

    # then
    assert set(drive.advance(*map(answered, claims)).refused.values()) == {"stale"}
    assert backend.cancel(cancelled, FAULT_BYTES, time.time())
    backend.retire(drive.pump)
    [again] = other.advance().claims
    assert claimed_message(again).conversation == kept
    other.commit(answered(again))
    assert backend.totals().in_flight == 0


def test_a_large_conversation_is_cancelled_as_a_whole_and_others_keep_their_places(make_redis: Make) -> None:
    # given: in the queue of `b` more messages than one command takes, of two conversations in turn; some are claimed
    backend = make_redis(slots=2_000)
    drive = Driver(backend)
    kept, gone = drive.inject_many(2)
    waiting = []
    for part in range(6):
        claims = {one.chain: one for one in drive.advance(room={"a": 2}).claims}
        for chain, many in (("system.org.cli-1.a", 100), ("system.org.cli-2.a", 500)):
            claim = claims[chain]
            sends = [drive.send(claim, "b", f"b~{part}~{n}") for n in range(many)]
            drive.commit(done(claim, call="kept", sends=sends, own=[drive.own(claim)]))
            waiting += [send.binding.thread for send in sends if chain == "system.org.cli-1.a"]
    claimed = [one for _ in range(3) for one in drive.advance(room={"b": 1}).claims]

    assert backend.cancel(gone, FAULT_BYTES, drive.now)

    assert [one.thread for one in claimed] == waiting[:3]
    assert [one.thread for one in drive.advance(room={"b": 2_000}, most=2_000).claims] == waiting[3:]
    assert (drive.record(gone).state, drive.record(gone).threads) == ("cancelled", 3_002)
    assert backend.load().in_flight == 601
    assert {one.state for one in backend.threads(gone)} == {"failed", "done"}
    assert drive.record(kept).state == "running"


def test_many_delayed_messages_become_ready_in_order_in_several_commits(make_redis: Make) -> None:
    backend = make_redis()
    drive = Driver(backend)
    drive.inject_many(1_500)
    claims = drive.advance(room={"a": 1_500}, most=1_500).claims
    drive.commit(*[Step(one.thread, one.fence, again=2, due=drive.now + 1 + at) for at, one in enumerate(claims)])
    drive.now += 5_000

    found = []
    while claims_now := drive.advance().claims:
        found += claims_now

    assert [one.thread for one in found] == [one.thread for one in claims]
    assert {one.attempt for one in found} == {2}


def test_every_script_is_read_from_the_package() -> None:
    for name in ("advance", "inject", "release", "open", "forget", "orphans", "renew"):
        assert script(name).source.count("KEYS[1]") > 1


def test_without_an_organism_what_has_expired_is_in_no_listing_and_is_cleared_up(
    raw_redis: client.Redis,
) -> None:
    # given: a store that only the state API has used, and all that it keeps has expired
    backend = RedisBackend(redis_server.shared().url, "alone:", ttl=500)
    backend.buffer_append("loose", b"slot")
    backend.registry_set("some.chain", "some-id")
    backend.collection_create("buffer", "mine", b"head", 2)
    without = {key for key in keys(raw_redis, "alone:") if raw_redis.ttl(f"alone:{key}") == -1}
    assert without == {"counters", "loose", "registry", "bound"}
    raw_redis.delete(*(f"alone:{key}" for key in ("buffer:loose", "uuid:some-id", "collection:buffer:mine", "upkeep")))

    # then
    assert (backend.buffer_list_threads(), backend.registry_list_all()) == ([], {})
    assert list(backend.collection_ids("buffer")) == []

    # when: the next process comes by
    other = RedisBackend(redis_server.shared().url, "alone:", ttl=500)
    other.buffer_append("new", b"slot")

    assert (other.totals().slots, other.info()["registry_entries"]) == (1, 0)
    assert list(other.registry_entries()) == []
    backend.close()
    other.close()
