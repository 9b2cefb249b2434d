"""The least one can do with redis-py: BLPOP, JSON, RPUSH, one after the other; and a round trip that does nothing."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import Any

import redis

from benchmarks.peers import ring
from benchmarks.referee import Referee

QUEUES = ("first", "second", "third")
WARM_UP = 20


def _client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["BENCH_REDIS"], socket_timeout=None)


def serve() -> None:
    """The worker: whatever is in a queue goes through its handler into the next one."""
    client, tally = _client(), ring.Tally()
    following: Any = dict(zip((name.encode() for name in QUEUES), (*QUEUES[1:], QUEUES[0]), strict=True))
    while True:
        answer: Any = client.blpop(list(reversed(QUEUES)))
        queue, data = answer
        parcel = tally.next(*json.loads(data))
        if parcel is not None:
            client.rpush(following[queue], json.dumps(parcel))


def drive(referee: Referee) -> None:
    """The ring, or with `alone` `messages` times so many round trips: the least that somebody who sends has to wait."""
    client = _client()
    if "alone" in referee.work:
        _round_trips(referee, client)
    else:
        ring.drive(referee, lambda *parcel: client.rpush(QUEUES[0], json.dumps(parcel)))


def _round_trips(referee: Referee, client: redis.Redis) -> None:
    text, trips, messages = "x" * referee.work["text"], referee.work["alone"], referee.work["messages"]
    for _ in range(WARM_UP):
        client.echo(text)
    referee.start()
    waits = []
    for _ in range(messages):
        began = time.perf_counter()
        for _ in range(trips):
            client.echo(text)
        waits.append(time.perf_counter() - began)
    referee.stop()
    referee.finish(messages=messages, hops=messages, alone=statistics.median(waits))


if __name__ == "__main__":
    serve()
