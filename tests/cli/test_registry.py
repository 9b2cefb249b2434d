"""`xpipe registry`: which thread id stands for which call chain."""

from __future__ import annotations

import pytest
import redis_server

from cli.bench import Bench
from cli.stored import Stored, in_redis

ECHO = 'echo={"text": "hello"}'


def test_every_pair_is_shown_the_root_first(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO, ECHO)

    rows = stored.jsonl("registry")

    assert rows[0]["chain"] == "system.bench"
    assert [row["kind"] for row in rows] == ["root", *["thread"] * 4]
    pairs = {(one["uuid"], one["chain"]) for one in ran["registry"]}
    assert {(row["uuid"], row["chain"]) for row in rows} == pairs
    assert stored.json("registry")["registry"] == rows


def test_the_table_has_a_pair_a_line_with_whole_ids(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(ECHO)

    head, *rows, blank, count = stored.text("registry").splitlines()

    assert head.split() == ["thread", "kind", "call", "chain"]
    assert [row.split() for row in rows] == [
        [row["uuid"], row["kind"], row["chain"]] for row in stored.jsonl("registry")
    ]
    assert (blank, count) == ("", "3 pairs")


def test_a_limit_shows_the_first_pairs(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(*[ECHO] * 30)
    assert stored.text("registry").splitlines()[-1] == "the first 50 pairs; --limit N or --limit all shows more"
    assert len(stored.jsonl("registry")) == 61
    assert len(stored.jsonl("registry", "--limit", "3")) == 3


@pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)
def test_half_a_pair_is_an_orphan_which_gc_removes(bench: Bench) -> None:
    import redis

    stored = in_redis(bench)
    stored.organism("echo")
    stored.run(ECHO)
    [thread] = [row for row in stored.jsonl("registry") if row["chain"].endswith(".echo")]
    client = redis.Redis.from_url(redis_server.shared().tcp)
    assert client.delete(f"{stored.options[-1]}uuid:{thread['uuid']}") == 1

    assert {"uuid": "", "chain": thread["chain"], "kind": "orphan"} in stored.jsonl("registry")
    assert "1 orphan: `xpipe gc` removes them" in stored.text("registry")
    assert "would collect:\n  1 orphan: " in stored.text("gc", "--dry-run")
    assert "collected:\n  1 orphan: " in stored.text("gc")
    assert all(row["kind"] != "orphan" for row in stored.jsonl("registry"))
