"""Records in Redis that cannot be read: nothing is half done for them, and what is set aside lets the rest go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest
import redis as client
import redis_server
from cli.bench import Bench
from cli.stored import in_redis
from contract_kit import Driver, answered, done, payload
from redis_kit import Make, content, play

from xpipe.backends.redis import RedisBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import Claim, Cursor, PumpRecord, Step
from xpipe.core.payloads import Fault
from xpipe.ports import BackendTotals

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

EMPTY = BackendTotals(0, 0, 0, 0, 0, 0, 0)
NAMED = "the key {} is damaged, or another version of xpipe wrote it; `xpipe gc --verify` sets it aside"


@pytest.fixture(params=[0, 1000], ids=["no ttl", "ttl"])
def backend(make_redis: Make, request: pytest.FixtureRequest) -> RedisBackend:
    return make_redis(ttl=request.param)


@pytest.fixture
def drive(backend: RedisBackend) -> Driver:
    return Driver(backend)


@dataclass
class Busy:
    """A conversation in which everything is under way: a message is claimed, others are parked, ready and delayed, a
    Buffer waits for its items, a call is open."""

    id: str
    claim: Claim
    buffer: Claim
    items: list[str]

    @classmethod
    def begin(cls, drive: Driver) -> Busy:
        id = drive.inject("a")
        first = drive.claim()
        drive.commit(done(first, own=[drive.own(first), drive.own(first)], sends=[drive.send(first, "buffer")]))
        buffer = drive.claim("buffer")
        sends = [drive.send(buffer, "c", f"{n}.c", n) for n in range(3)]
        drive.commit(done(buffer, join=drive.join(buffer, 3, expires=drive.now + 90), sends=sends, state=b"s"))
        drive.commit(answered(drive.claim("c")))
        later = drive.claim("c")
        drive.commit(Step(later.thread, later.fence, again=2, due=drive.now + 60))
        return cls(id, drive.claim(), buffer, [send.binding.thread for send in sends])

    def places(self, backend: RedisBackend) -> dict[str, str]:
        """The keys of its records."""
        ids = {
            "conversation": self.id,
            "initiator": self.id,
            "claimed thread": self.claim.thread,
            "waiting thread": self.buffer.thread,
            "ready thread": self.items[2],
            "delayed thread": self.items[1],
            "done thread": self.items[0],
            "join": self.buffer.thread,
        }
        kinds = {place: place if place in ("conversation", "join") else "thread" for place in ids}
        return {place: f"{backend._prefix}{kinds[place]}:{id}" for place, id in ids.items()}


THREADS = ("claimed thread", "waiting thread", "ready thread", "delayed thread", "done thread")
PLACES = ("conversation", "initiator", *THREADS, "join")


def truncated(raw: client.Redis, key: str) -> bytes:
    return raw.get(key)[:-3]


def lengthened(raw: client.Redis, key: str) -> bytes:
    return raw.get(key) + b"\xc0"


def with_text_for_numbers(raw: client.Redis, key: str) -> bytes:
    return raw.get(key).replace(b"\x00", b"\xa0")


def empty(*_: object) -> bytes:
    return b""


def garbage(*_: object) -> bytes:
    return b"garbage"


def damage(raw: client.Redis, key: str, spoil: Callable[[client.Redis, str], bytes] = garbage) -> bytes:
    assert raw.exists(key), key
    data = spoil(raw, key)
    raw.set(key, data, keepttl=True)
    return data


def assert_whole(backend: RedisBackend, raw: client.Redis) -> None:
    """Nothing is damaged or belongs to nothing, and what is counted is there."""
    assert list(backend.damages()) == []
    assert list(backend.orphans()) == []
    totals = backend.totals()
    threads = list(backend.threads())
    assert (totals.threads, totals.slots) == (len(threads), sum(one.slots for one in threads))
    assert totals.joins == len(list(backend.joins()))
    lanes = [raw.llen(f"{backend._prefix}ready:{name}") for name in backend.ready_listeners()]
    claimed = [raw.hlen(key) for key in raw.keys(f"{backend._prefix}claimed:*")]
    parked = [raw.llen(key) for key in raw.keys(f"{backend._prefix}mailbox:*")]
    delayed = raw.zcard(f"{backend._prefix}delayed")
    assert totals.in_flight == sum(lanes) + sum(claimed) + sum(parked) + delayed
    assert 0 not in lanes


# Nothing is half done ------------------------------------------------------------------------------------------------


def refused(backend: RedisBackend, raw: client.Redis, key: str, act: Callable[[], object]) -> None:
    before = content(raw, backend._prefix)
    with pytest.raises(BackendError) as caught:
        act()
    assert NAMED.format(key) in str(caught.value)
    after = content(raw, backend._prefix)
    assert {one for one in before | after if before.get(one) != after.get(one)} == set()


@pytest.mark.parametrize("spoil", [garbage, empty, truncated, lengthened, with_text_for_numbers])
@pytest.mark.parametrize("kind", ["conversation", "thread"])
def test_what_meets_a_damaged_record_changes_nothing(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, kind: str, spoil: Callable[..., bytes]
) -> None:
    # given: a conversation that is over and whole, one that is over and one that runs with a damaged record each
    whole, over, runs = drive.talk(), drive.talk("b"), drive.inject("a", "b", "c")
    claims = drive.advance(most=2).claims
    called = list(backend.threads(over))[1].thread
    of_over = f"{backend._prefix}{kind}:{over if kind == 'conversation' else called}"
    of_running = f"{backend._prefix}{kind}:{runs if kind == 'conversation' else claims[1].thread}"
    damage(raw_redis, of_over, spoil)
    damage(raw_redis, of_running, spoil)

    # then
    refused(backend, raw_redis, of_over, lambda: backend._link.run("clear", whole, called))
    refused(backend, raw_redis, of_running, lambda: drive.advance(*map(answered, claims)))
    if kind == "conversation":
        refused(backend, raw_redis, of_over, lambda: backend.delivered({whole: 1, over: 1}))
        refused(backend, raw_redis, of_over, lambda: backend.forget(over))
        refused(backend, raw_redis, of_over, lambda: backend.adopt("other", over, drive.pump))
        refused(backend, raw_redis, of_over, lambda: list(backend.conversations()))
    else:
        refused(backend, raw_redis, of_over, lambda: backend.buffer_append(called, drive.note()))
        refused(backend, raw_redis, of_running, lambda: backend.bury_pump(drive.pump))
        refused(backend, raw_redis, of_over, lambda: list(backend.threads()))


@pytest.mark.parametrize("place", PLACES)
def test_damage_is_told_of_by_its_key_and_left_alone(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, place: str
) -> None:
    key = Busy.begin(drive).places(backend)[place]
    damage(raw_redis, key)
    before = content(raw_redis, backend._prefix)

    [found] = backend.damages()

    assert (found.key, found.set_aside) == (key, False)
    assert "damaged" in found.problem
    assert content(raw_redis, backend._prefix) == before


# Set aside -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_conversation_that_runs_goes_with_a_damaged_record(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, place: str
) -> None:
    other, busy = Busy.begin(drive), Busy.begin(drive)
    before = content(raw_redis, backend._prefix).keys()
    only = {key for key in before if any(id.thread in key for id in backend.threads(busy.id))}
    key = busy.places(backend)[place]
    data = damage(raw_redis, key)

    [found] = backend.damages(set_aside=True)

    assert (found.key, found.set_aside) == (key, True)
    [letter] = backend.dead_letters()
    fault = msgspec.msgpack.decode(letter.fault, type=Fault)
    assert (letter.message, letter.thread, letter.told) == (data, key.rpartition(":")[2], True)
    assert (fault.code, key in fault.text) == ("damaged_message", True)
    assert [one.id for one in backend.conversations()] == [other.id]
    assert not only & content(raw_redis, backend._prefix).keys()
    assert_whole(backend, raw_redis)
    assert list(backend.damages(set_aside=True)) == []
    assert drive.advance(answered(busy.claim), most=0).refused == {0: "stale"}
    go_on(drive, other)


def go_on(drive: Driver, busy: Busy) -> None:
    """What is left can be seen through, and leaves nothing."""
    drive.commit(answered(busy.claim))
    talk = drive.inject("b")
    drive.now += 60  # What was delayed is due.
    drive.finish()
    assert {one.state for one in drive.backend.conversations()} == {"done"}
    assert drive.backend.forget(busy.id)
    assert drive.backend.forget(talk)
    drive.backend.drop_dead_letters(float("inf"))
    assert drive.backend.totals() == EMPTY
    assert list(drive.backend.orphans()) == []


def test_all_that_is_damaged_in_a_conversation_is_kept(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis
) -> None:
    other, busy = Busy.begin(drive), Busy.begin(drive)
    keys = busy.places(backend)
    data = {key: damage(raw_redis, key, lambda *_, key=key: b"was " + key.encode()) for key in keys.values()}

    assert {one.key for one in backend.damages()} == set(data)
    assert {one.key for one in backend.damages(set_aside=True) if one.set_aside} == set(data)

    assert sorted(letter.message for letter in backend.dead_letters()) == sorted(data.values())
    assert_whole(backend, raw_redis)
    go_on(drive, other)


def test_what_is_no_string_is_set_aside_too(drive: Driver, backend: RedisBackend, raw_redis: client.Redis) -> None:
    other, busy = Busy.begin(drive), Busy.begin(drive)
    key = busy.places(backend)["conversation"]
    raw_redis.delete(key)
    raw_redis.rpush(key, "foreign")
    raw_redis.expire(key, 600)
    dump = raw_redis.dump(key)

    refused(backend, raw_redis, key, lambda: drive.commit(answered(busy.claim)))
    assert [(one.key, one.set_aside) for one in backend.damages(set_aside=True)] == [(key, True)]

    assert [letter.message for letter in backend.dead_letters()] == [dump]
    assert_whole(backend, raw_redis)
    go_on(drive, other)


@pytest.mark.parametrize("place", ["ready thread", "conversation"])
def test_the_pump_that_waits_for_a_conversation_is_told_that_it_has_failed(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, place: str
) -> None:
    busy = Busy.begin(drive)
    damage(raw_redis, busy.places(backend)[place])
    backend.wait(drive.pump, 0.01)  # It may have been woken by what was done.

    list(backend.damages(set_aside=True))

    assert backend.wait(drive.pump, 5.0)
    [dead, ended] = drive.advance(most=0).events
    assert (dead.kind, dead.conversation, dead.message) == ("dead", busy.id, b"garbage")
    assert (ended.kind, ended.conversation, ended.state) == ("ended", busy.id, "failed")
    assert msgspec.msgpack.decode(dead.cause, type=Fault).code == "damaged_message"


@pytest.mark.parametrize("kind", ["thread", "join"])
def test_of_a_conversation_that_is_over_only_the_damaged_thread_goes(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, kind: str
) -> None:
    id = play(drive)
    before = list(backend.threads(id))
    [spoilt] = [one for one in before if one.listener == "buffer"]
    key = f"{backend._prefix}{kind}:{spoilt.thread}"
    raw_redis.set(key, b"garbage", ex=backend.info()["ttl_seconds"] or None)  # The Buffer has no join any more.

    [found] = backend.damages(set_aside=True)

    assert (found.key, found.set_aside) == (key, True)
    assert list(backend.threads(id)) == [one for one in before if one != spoilt]
    assert [payload(one) for one in backend.buffer_get_thread(id)] == drive.outputs()
    assert (drive.record(id).outputs, drive.record(id).threads) == (1, len(before) - 1)
    assert_whole(backend, raw_redis)
    assert backend.forget(id)
    assert (backend.totals().threads, backend.totals().slots) == (0, 0)


@pytest.mark.parametrize("kind", ["conversation", "thread"])
def test_a_conversation_that_is_over_goes_with_its_own_record_or_that_of_its_initiator(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis, kind: str
) -> None:
    id, other = play(drive), drive.talk("b")
    damage(raw_redis, f"{backend._prefix}{kind}:{id}")

    assert [one.set_aside for one in backend.damages(set_aside=True)] == [True]

    assert [one.id for one in backend.conversations()] == [other]
    assert_whole(backend, raw_redis)
    assert backend.forget_ended(drive.now + 1, 9) == 1


def test_a_thread_of_which_nothing_tells_the_conversation_goes_alone(
    drive: Driver, backend: RedisBackend, raw_redis: client.Redis
) -> None:
    drive.talk("b")
    id = drive.talk()
    called = list(backend.threads(id))[1]
    damage(raw_redis, f"{backend._prefix}thread:{called.thread}")
    raw_redis.hdel(f"{backend._prefix}registry", called.thread)
    raw_redis.delete(f"{backend._prefix}uuid:{called.thread}", f"{backend._prefix}chain:{called.chain}")

    assert [one.set_aside for one in backend.damages(set_aside=True)] == [True]

    assert [one.listener for one in backend.threads(id)] == ["cli-2"]
    assert backend.forget(id)
    assert_whole(backend, raw_redis)


def test_damaged_entries_are_set_aside(drive: Driver, backend: RedisBackend, raw_redis: client.Redis) -> None:
    backend.enroll(PumpRecord("zombie", "here", 1, 1, 1.0))
    backend.inject("", [], 1.0, Cursor("in", "f", 1))
    backend.inject("", [], 1.0, Cursor("other", "f", 1))
    entries = {"pumps": "zombie", "cursors": "in", "dead": "000000000000007"}
    for name, field in entries.items():
        raw_redis.hset(f"{backend._prefix}{name}", field, b"garbage")
    raw_redis.zadd(f"{backend._prefix}dead_times", {entries["dead"]: 1})

    keys = {f"{backend._prefix}{name} {field}" for name, field in entries.items()}
    assert {one.key for one in backend.damages()} == keys
    assert {one.key for one in backend.damages(set_aside=True) if one.set_aside} == keys

    assert [letter.message for letter in backend.dead_letters()] == [b"garbage"] * 3
    assert (backend.cursor("in"), backend.cursor("other")) == (None, Cursor("other", "f", 1))
    assert [one.id for one in backend.pumps()] == [drive.pump]
    assert [one.kind for one in backend.orphans(remove=True)] == ["pump"]
    assert_whole(backend, raw_redis)


def test_a_run_names_the_key_gc_sets_it_aside_and_the_next_run_goes_on(bench: Bench, raw_redis: client.Redis) -> None:
    stored = in_redis(bench)
    prefix = stored.options[-1]
    stored.organism("echo", "sleeper")
    stored.run('echo={"text": "kept"}')
    stored.kill_a_run("began", 'sleeper={"text": "began", "seconds": 600}')
    [spoilt] = [one["thread"] for one in stored.jsonl("threads") if one["listener"] == "sleeper"]
    key = f"{prefix}thread:{spoilt}"
    damage(raw_redis, key)

    run = bench.run("run", "organism.yaml", "--resume")
    assert (run.returncode, run.stderr.decode().count(NAMED.format(key))) == (4, 1), run.stderr
    gone = bench.run("gc", "organism.yaml", "--verify")
    assert (gone.returncode, f"damaged: {key}: ".encode() in gone.stdout) == (1, True), gone
    assert b"set aside: a dead letter keeps it" in gone.stdout

    assert stored.text("gc", "--verify").startswith("verified: nothing is damaged\n")
    assert stored.run('echo={"text": "again"}')["totals"]["in_flight"] == 0
    assert bench.run("run", "organism.yaml", "--resume").stdout == b""
    assert {one["listener"] for one in stored.jsonl("threads")} == {"cli-1", "cli-3", "echo"}
