"""A server that may drop keys when its memory is full is told of, once, and used all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client
import redis_server
from cli.bench import Bench

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

SEND = ("--send", 'echo={"text": "hello"}')


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[redis_server.Server]:
    one = redis_server.start(*request.param)
    yield one
    one.remove()


def organism(bench: Bench, url: str) -> Path:
    return bench.organism("echo", extra=f"backend: {{type: redis, redis_url: '{url}'}}\n")


@pytest.mark.parametrize(
    "server", [("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")], indirect=True, ids=["allkeys-lru"]
)
def test_a_run_warns_of_a_server_that_may_evict(bench: Bench, server: redis_server.Server) -> None:
    file = organism(bench, server.tcp)

    run = bench.run("run", file, "--json", *SEND)

    told = run.stderr.decode()
    assert (run.returncode, len(json.loads(run.stdout)["outputs"])) == (0, 1)
    assert told.count("maxmemory-policy is allkeys-lru") == told.count("set `maxmemory-policy noeviction`") == 1, told
    assert server.tcp in told
    looked = bench.run("threads", file, "--json")
    assert (looked.returncode, looked.stderr.count(b"allkeys-lru")) == (0, 1)


@pytest.mark.parametrize(
    "server",
    [("--maxmemory", "100mb"), ("--maxmemory-policy", "volatile-ttl")],
    indirect=True,
    ids=["noeviction", "no limit"],
)
def test_a_server_that_never_evicts_is_no_reason_to_warn(bench: Bench, server: redis_server.Server) -> None:
    run = bench.run("run", organism(bench, server.tcp), *SEND)

    assert (run.returncode, run.stderr.count(b"maxmemory")) == (0, 0)


@pytest.mark.parametrize(
    "server", [("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")], indirect=True, ids=["allkeys-lru"]
)
def test_a_user_who_may_not_ask_is_served(bench: Bench, server: redis_server.Server) -> None:
    with client.Redis.from_url(server.url) as raw:
        raw.acl_setuser("me", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-info"])

    run = bench.run("run", organism(bench, server.tcp.replace("//", "//me:pw@")), *SEND)

    assert (run.returncode, run.stderr.count(b"maxmemory")) == (0, 0), run.stderr
