"""What Redis, or what lies in it, may be wrong with: one clear error, without the password, and nothing half done."""

from __future__ import annotations

import pytest
import redis as client
import redis_server
from contract_kit import Driver, answered, done, failed
from redis_kit import Make, content, keys, play

from xpipe.backends.redis import LAYOUT, RedisBackend
from xpipe.backends.redis_link import Link, place
from xpipe.core.errors import BackendError
from xpipe.core.messages import Claim, Step, decode_message

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)


def test_another_organism_under_the_same_prefix_is_refused(make_redis: Make) -> None:
    make_redis("taken:")

    with pytest.raises(BackendError, match=r"holds system\.org, not system\.other; give each a prefix of its own"):
        make_redis("taken:", organism="other")


def test_any_organism_is_attached_to_without_a_name_and_none_is_an_error(make_redis: Make) -> None:
    first = make_redis("attach:")
    id = play(Driver(first))

    second = make_redis("attach:", organism=None)

    assert second.secret() == first.secret()
    assert [one.id for one in second.conversations()] == [id]
    with pytest.raises(BackendError, match="no organism here"):
        make_redis("nothing:", organism=None)


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (LAYOUT + 1, r"a newer xpipe wrote this \(layout \d\); upgrade xpipe"),
        (LAYOUT - 1, r"an older xpipe wrote this \(layout \d\); finish it with that one, or take another prefix"),
    ],
)
@pytest.mark.parametrize("organism", ["org", None])
def test_what_another_version_wrote_is_refused_and_left_alone(
    make_redis: Make, raw_redis: client.Redis, layout: int, told: str, organism: str | None
) -> None:
    prefix = redis_server.new_prefix()
    make_redis(prefix)
    raw_redis.hset(f"{prefix}organism", "layout", layout)
    raw_redis.delete(f"{prefix}chain:system.org")
    before = content(raw_redis, prefix)

    with pytest.raises(BackendError, match=told):
        make_redis(prefix, organism=organism)

    assert content(raw_redis, prefix) == before


def test_a_flushed_server_is_a_clear_error(make_redis: Make, raw_redis: client.Redis) -> None:
    drive = Driver(make_redis("flushed:"))
    drive.inject("a")
    raw_redis.delete(*[f"flushed:{key}" for key in keys(raw_redis, "flushed:")])

    for act in (drive.advance, lambda: drive.inject("a"), lambda: list(drive.backend.threads())):
        with pytest.raises(BackendError, match="the organism's state is gone"):
            act()


def test_scripts_are_loaded_again_after_the_server_forgot_them(make_redis: Make, raw_redis: client.Redis) -> None:
    drive = Driver(make_redis())
    raw_redis.script_flush()

    drive.inject("a")
    raw_redis.script_flush()

    assert len(drive.advance().claims) == 1


@pytest.mark.parametrize(
    "key",
    [
        "counters",
        "threads",
        "lanes",
        "ready:a",
        "inbox:pump-1",
        "running",
        "dead",
        "dead_times",
        "reply:pump-1",
        "members",
    ],
)
def test_foreign_data_under_a_key_is_one_clear_error_and_nothing_is_written(
    make_redis: Make, raw_redis: client.Redis, key: str
) -> None:
    prefix = redis_server.new_prefix()
    drive = Driver(make_redis(prefix))
    drive.inject_many(2)
    claim, other = drive.advance().claims
    before = content(raw_redis, prefix)
    name = f"{prefix}{key}" if key != "members" else f"{prefix}members:{decode_message(other.message).conversation}"
    raw_redis.delete(name)
    raw_redis.set(name, "foreign", ex=600)

    with pytest.raises(BackendError, match=f"prefix '{prefix}'.*not ours"):
        drive.advance(failed(claim, told=False), with_calls(drive, other))

    after = content(raw_redis, prefix)
    assert {one for one in before | after if before.get(one) != after.get(one)} <= {name[len(prefix) :]}


def with_calls(drive: Driver, claim: Claim) -> Step:
    return done(claim, sends=[drive.send(claim, "b")], own=[drive.own(claim)])


def test_a_server_that_is_not_there_is_an_error_without_the_password() -> None:
    backend = RedisBackend("redis://me:s3cret@127.0.0.1:1/4?password=s3cret", "x:")

    with pytest.raises(BackendError, match=r"redis://127\.0\.0\.1:1/4.*start it, or correct") as caught:
        backend.open("org", 10)

    assert "s3cret" not in f"{caught.value!r} {caught.value} {backend!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:s3cret@host",
        "redis://me:s3cr/et@host:x",
        "s3cret",
        "redis://[s3cret",
        "redis://host?nonsense=s3cret",
        "redis://me:s3cret@host/abc",
    ],
)
def test_a_url_that_cannot_be_read_is_an_error_without_the_password(url: str) -> None:
    with pytest.raises(BackendError, match="the Redis URL cannot be read") as caught:
        RedisBackend(url)

    assert "cret" not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:pw@host:6380/2?ssl_keyfile=x", "redis://host:6380/2"),
        ("rediss://:pw@host", "rediss://host"),
        ("unix://me:pw@/run/redis.sock?db=3", "unix:///run/redis.sock"),
        ("redis://host:nonsense", "the Redis URL"),
    ],
)
def test_a_place_tells_where_and_not_who(url: str, shown: str) -> None:
    assert place(url) == shown


def test_a_wrong_password_is_said(make_redis: Make) -> None:
    server = redis_server.start("--requirepass", "right")
    try:
        with pytest.raises(BackendError, match="refuses the user or password"):
            make_redis(url=server.tcp.replace("//", "//:wr0ng@"))
        with pytest.raises(BackendError, match="wants a password"):
            make_redis(url=server.tcp)
        assert make_redis(url=server.tcp.replace("//", "//default:right@") + "/3").ping()
    finally:
        server.remove()


def test_a_read_only_replica_is_said(make_redis: Make) -> None:
    server = redis_server.start("--replicaof", "127.0.0.1", "1")
    try:
        with pytest.raises(BackendError, match="read-only replica"):
            make_redis(url=server.url)
    finally:
        server.remove()


def test_a_full_server_is_said_and_nothing_is_half_written(make_redis: Make) -> None:
    server = redis_server.start()
    try:
        backend = make_redis(url=server.url)
        drive = Driver(backend)
        drive.inject("a")
        claim = drive.claim()
        with client.Redis.from_url(server.url) as raw_redis:
            raw_redis.config_set("maxmemory", 1)
            with pytest.raises(BackendError, match="out of memory"):
                drive.commit(answered(claim))
            raw_redis.config_set("maxmemory", 0)
        drive.commit(answered(claim))
    finally:
        server.remove()


def test_a_link_is_silent_about_the_password() -> None:
    assert "s3cret" not in repr(vars(Link("redis://:s3cret@localhost", "x:", 0))["place"])
