"""Entries of indexes, counters and keys in Redis that cannot be: named, never a traceback, and gone after one gc."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as client
import redis_server
from cli.bench import Bench
from cli.stored import Stored, in_redis
from contract_kit import Driver, answered, done
from redis_kit import Make, content

from xpipe.backends.redis import RedisBackend
from xpipe.core.errors import BackendError
from xpipe.core.messages import Claim, PumpRecord

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

JUNK = b"junk\xff"
SHOWN = "junk\\xff"
SETS = ("conversations", "threads", "running", "finished", "settled", "expiries")
COUNTED = ("in_flight", "slots", "seq", "dead")
OF_TEXT = ("registry", "bound", "joins")
OF_NUMBERS = ("leases", "loose", "sizes", "flights", "numbers")

Spoil = Callable[[client.Redis, str], str]
"""Puts junk under a prefix; the key by which it is told of."""


def in_set(index: str) -> Spoil:
    def spoil(raw: client.Redis, prefix: str) -> str:
        raw.zadd(f"{prefix}{index}", {JUNK: 1})
        return f"{index} {SHOWN}"

    return spoil


def in_hash(index: str, field: bytes, value: bytes) -> Spoil:
    def spoil(raw: client.Redis, prefix: str) -> str:
        raw.hset(f"{prefix}{index}", field, value)
        return f"{index} {field.decode('utf-8', 'backslashreplace')}"

    return spoil


def listening(raw: client.Redis, prefix: str) -> str:
    raw.sadd(f"{prefix}listening", JUNK)
    return f"listening {SHOWN}"


def lanes(raw: client.Redis, prefix: str) -> str:
    raw.rpush(f"{prefix}lanes", JUNK)
    return f"lanes {SHOWN}"


def inbox(raw: client.Redis, prefix: str) -> str:
    raw.rpush(f"{prefix}inbox:pump-1", JUNK)
    return "inbox:pump-1"


SPOILS = {
    **{index: in_set(index) for index in SETS},
    **{f"counter {name}": in_hash("counters", name.encode(), JUNK) for name in COUNTED},
    **{f"id in {index}": in_hash(index, JUNK, b"1") for index in (*OF_TEXT, *OF_NUMBERS, "pumps", "cursors", "dead")},
    **{f"text in {index}": in_hash(index, b"some", JUNK) for index in OF_TEXT},
    **{f"number in {index}": in_hash(index, b"some", JUNK) for index in OF_NUMBERS},
    "lease of a pump": in_hash("leases", b"pump-1", JUNK),
    "listening": listening,
    "lanes": lanes,
    "inbox": inbox,
}


@pytest.fixture(params=[0, 1000], ids=["no ttl", "ttl"])
def backend(make_redis: Make, request: pytest.FixtureRequest) -> RedisBackend:
    return make_redis(ttl=request.param)


def begin(backend: RedisBackend) -> Driver:
    return claimed(backend)[0]


def claimed(backend: RedisBackend) -> tuple[Driver, Claim]:
    """A talk that is over, and one of which a message is claimed, another ready, and others wait for it."""
    drive = Driver(backend)
    drive.talk()
    drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim), drive.own(claim)], sends=[drive.send(claim, "b")]))
    claim = drive.claim()
    backend.buffer_append("loose", drive.note())
    return drive, claim


READS: tuple[Callable[[RedisBackend], object], ...] = (
    lambda one: list(one.conversations()),
    lambda one: list(one.conversations(running=True)),
    lambda one: list(one.threads()),
    lambda one: one.find_threads("j", 9),
    lambda one: list(one.registry_list_all()),
    lambda one: list(one.registry_entries()),
    lambda one: list(one.buffer_list_threads()),
    lambda one: list(one.joins()),
    lambda one: list(one.dead_letters()),
    lambda one: list(one.orphans()),
    lambda one: one.ready_listeners(),
    lambda one: one.totals(),
    lambda one: one.load(),
    lambda one: one.info(),
    lambda one: one.pumps(),
    lambda one: one.advance("pump-1", [], {"a": 9, "b": 9}, 9, 2e9),
)


@pytest.mark.parametrize("place", SPOILS)
def test_what_meets_junk_goes_on_or_names_its_key(backend: RedisBackend, raw_redis: client.Redis, place: str) -> None:
    begin(backend)
    key = SPOILS[place](raw_redis, backend._prefix)

    for read in READS:
        try:
            read(backend)
        except BackendError as error:
            told = str(error).replace("�", "\\xff")
            assert f"the key {backend._prefix}{key} is damaged" in told
            assert "`xpipe gc --verify` sets it aside" in told


@pytest.mark.parametrize("place", SPOILS)
def test_junk_is_told_of_and_one_pass_sets_it_aside(backend: RedisBackend, raw_redis: client.Redis, place: str) -> None:
    # given
    drive = begin(backend)
    whole = backend.totals()
    threads = list(backend.threads())
    key = f"{backend._prefix}{SPOILS[place](raw_redis, backend._prefix)}"
    spoilt = content(raw_redis, backend._prefix)

    # then
    assert [(one.key, one.set_aside) for one in backend.damages()] == [(key, False)]
    assert content(raw_redis, backend._prefix) == spoilt
    assert [(one.key, one.set_aside) for one in backend.damages(set_aside=True)] == [(key, True)]
    assert list(backend.damages()) == []
    assert len(list(backend.dead_letters())) == 1
    for read in READS[:-1]:
        read(backend)
    list(backend.orphans(remove=True))
    assert list(backend.orphans()) == []

    backend.drop_dead_letters(float("inf"))
    assert backend.totals() == whole
    assert list(backend.threads()) == threads
    go_on(drive)


def go_on(drive: Driver) -> None:
    """All is seen through, new threads are the newest, and nothing is left that is counted."""
    backend = drive.backend
    backend.enroll(PumpRecord(drive.pump, "here", 1, 1, 2e9))
    backend.bury_pump(drive.pump)
    backend.enroll(PumpRecord(drive.pump, "here", 1, 1, 2e9))
    new = drive.inject("a")
    assert [one.id for one in backend.conversations()][-1] == new
    drive.finish()
    for one in list(backend.conversations()):
        assert backend.forget(one.id)
    backend.buffer_delete_thread("loose")
    totals = backend.totals()
    assert (totals.threads, totals.in_flight, totals.slots) == (0, 0, 0)


def test_a_damaged_lease_has_run_out(backend: RedisBackend, raw_redis: client.Redis) -> None:
    Driver(backend)
    raw_redis.hset(f"{backend._prefix}leases", "pump-1", JUNK)

    assert [(one.id, one.expires < 2.0) for one in backend.pumps()] == [("pump-1", True)]
    assert backend.bury_pump("pump-1") == 0
    assert list(backend.damages()) == []


def test_an_initiator_gets_a_number_of_its_own_after_the_last_one_was_lost(
    backend: RedisBackend, raw_redis: client.Redis
) -> None:
    drive = Driver(backend)
    ids = [drive.inject("a") for _ in range(3)]
    raw_redis.hset(f"{backend._prefix}numbers", "cli", JUNK)
    with pytest.raises(BackendError):
        drive.inject("a")

    list(backend.damages(set_aside=True))

    assert drive.inject("a") not in ids
    assert sorted(one.chain for one in backend.conversations())[-1] == "system.org.cli-4"


# Pairs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"junk", JUNK, b"a list"])
@pytest.mark.parametrize("verified", [True, False])
def test_one_gc_mends_the_pairs_of_which_a_half_is_junk(
    backend: RedisBackend, raw_redis: client.Redis, value: bytes, verified: bool
) -> None:
    # given: junk in a half of the pairs of two threads, and in both of the root's
    drive = begin(backend)
    root = backend.registry_get_uuid("system.org")
    pairs = list(backend.registry_list_all())
    [first, second] = [one for one in backend.threads() if one.chain.endswith((".a", ".b"))][:2]
    keys = {f"chain:{first.chain}", f"uuid:{second.thread}", "chain:system.org", f"uuid:{root}"}
    names = {f"{backend._prefix}{key}" for key in keys}
    before = {name: raw_redis.get(name) for name in names}
    for name in names:
        raw_redis.delete(name)
        raw_redis.set(name, value) if value != b"a list" else raw_redis.rpush(name, "x")

    # when
    if verified:
        assert {one.key for one in backend.damages()} == names
        assert {one.key for one in backend.damages(set_aside=True)} == names
    else:
        list(backend.orphans(remove=True))
        backend.open("org", 50)

    # then
    assert {name: raw_redis.get(name) for name in names} == before
    assert list(backend.orphans()) == list(backend.damages()) == []
    assert all(one.kind != "orphan" for one in backend.registry_entries())
    assert sorted(backend.registry_list_all()) == sorted(pairs)
    backend.drop_dead_letters(float("inf"))
    go_on(drive)


@pytest.mark.parametrize("value", [b"elsewhere", JUNK])
def test_the_registry_learns_the_chain_of_a_thread_from_the_thread(
    backend: RedisBackend, raw_redis: client.Redis, value: bytes
) -> None:
    begin(backend)
    pairs = list(backend.registry_list_all())
    raw_redis.hset(f"{backend._prefix}registry", pairs[1][0], value)

    list(backend.damages(set_aside=True))
    list(backend.orphans(remove=True))

    assert sorted(backend.registry_list_all()) == sorted(pairs)
    assert list(backend.orphans()) == []
    assert not raw_redis.exists(f"{backend._prefix}chain:elsewhere")


def test_a_thread_that_goes_takes_the_junk_in_its_pair_along(backend: RedisBackend, raw_redis: client.Redis) -> None:
    drive = Driver(backend)
    id = drive.talk()
    chain = next(one.chain for one in backend.threads(id) if one.thread != id)
    raw_redis.set(f"{backend._prefix}chain:{chain}", JUNK)

    assert backend.forget(id)

    assert not raw_redis.exists(f"{backend._prefix}chain:{chain}")


# Keys of the wrong type ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["conversations", "counters", "threads", "finished", "registry", "leases", "lanes"])
def test_an_index_of_the_wrong_type_is_named(backend: RedisBackend, raw_redis: client.Redis, index: str) -> None:
    begin(backend)
    name = f"{backend._prefix}{index}"
    raw_redis.delete(name)
    raw_redis.set(name, "foreign")
    before = content(raw_redis, backend._prefix)

    for set_aside in (False, True):
        told = rf"the key {name} is not ours: another program writes under this prefix; delete or rename it, or give"
        with pytest.raises(BackendError, match=told):
            list(backend.damages(set_aside=set_aside))
    assert content(raw_redis, backend._prefix) == before


@pytest.mark.parametrize("kind", ["buffer", "mailbox"])
def test_a_list_of_a_thread_that_is_no_list_goes_with_its_conversation(
    backend: RedisBackend, raw_redis: client.Redis, kind: str
) -> None:
    drive, claim = claimed(backend)
    thread = next(one for one in backend.threads() if one.chain.endswith("cli-2.a"))
    name = f"{backend._prefix}{kind}:{thread.thread}"
    raw_redis.delete(name)
    raw_redis.set(name, "foreign", ex=600)

    with pytest.raises(BackendError, match=f"the key {name} is damaged.*gc --verify"):
        list(backend.threads()) if kind == "buffer" else drive.commit(answered(claim))
    assert [one.key for one in backend.damages()] == [name]
    assert [(one.key, one.set_aside) for one in backend.damages(set_aside=True)] == [(name, True)]

    assert list(backend.damages()) == list(backend.orphans()) == []
    assert thread.conversation not in [one.id for one in backend.conversations()]
    assert backend.totals().slots == 1 + sum(one.slots for one in backend.threads())
    assert backend.totals().in_flight == 0
    backend.drop_dead_letters(float("inf"))
    go_on(drive)


@pytest.mark.parametrize("kind", ["mailbox", "thread"])
def test_what_a_thread_keeps_is_read_too(backend: RedisBackend, raw_redis: client.Redis, kind: str) -> None:
    begin(backend)
    thread = next(one.thread for one in backend.threads() if one.chain.endswith("cli-2.a"))
    name = f"{backend._prefix}{kind}:{thread}"
    if kind == "mailbox":
        raw_redis.lset(name, 0, "x")
    else:
        raw_redis.set(name, raw_redis.get(name).replace(b"cli-2", b"cli-\xff"))

    assert [one.key for one in backend.damages(set_aside=True)] == [name]
    assert list(backend.damages()) == []


# Through the executable ----------------------------------------------------------------------------------------------


def killed(bench: Bench) -> tuple[Stored, str]:
    stored = in_redis(bench)
    stored.organism("echo", "sleeper")
    stored.kill_a_run("began", 'sleeper={"text": "began", "seconds": 0.01}', 'echo={"text": "kept"}')
    return stored, stored.options[-1]


def test_a_killed_organism_full_of_junk_is_mended_by_one_gc(bench: Bench, raw_redis: client.Redis) -> None:
    stored, prefix = killed(bench)
    keys = {f"{prefix}{spoil(raw_redis, prefix)}" for name, spoil in SPOILS.items() if name != "inbox"}
    pump = raw_redis.hkeys(f"{prefix}pumps")
    raw_redis.hset(f"{prefix}leases", pump[-1], JUNK)

    for command in (("threads",), ("run", "--resume"), ("gc", "--older-than", "0"), ("registry",), ("outputs",)):
        looked = bench.run(command[0], "organism.yaml", *command[1:])
        assert looked.returncode in (0, 4), looked
        assert b"Traceback" not in looked.stderr
    gone = bench.run("gc", "organism.yaml", "--verify")
    assert gone.returncode == 1, gone
    assert {key for key in keys if f"damaged: {key}: " not in gone.stdout.decode()} == set()

    assert stored.text("gc", "--verify").startswith("verified: nothing is damaged\n")
    assert {one["kind"] for one in stored.jsonl("registry")} <= {"root", "thread"}
    assert bench.run("run", "organism.yaml", "--resume").returncode == 0
    assert stored.run('echo={"text": "again"}')["totals"]["in_flight"] == 0


def test_a_command_names_a_foreign_index_and_ends_with_4(bench: Bench, raw_redis: client.Redis) -> None:
    _, prefix = killed(bench)
    raw_redis.delete(f"{prefix}threads")
    raw_redis.set(f"{prefix}threads", "foreign")

    for command in (("threads",), ("run", "--resume"), ("gc", "--verify")):
        looked = bench.run(command[0], "organism.yaml", *command[1:])
        assert looked.returncode == 4, looked
        assert f"the key {prefix}threads is not ours".encode() in looked.stderr
