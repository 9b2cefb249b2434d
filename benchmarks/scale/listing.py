"""The registry by its index, against what one does without: KEYS, and a GET for each key."""

from __future__ import annotations

from typing import Any

import redis

from benchmarks.errors import Failed
from benchmarks.report import Bar, Column, Table
from benchmarks.scale.contents import CROWD_PREFIX, Crowd
from benchmarks.talk import tell
from benchmarks.timing import Sample, Timed, interleaved, timed

TIMES_AS_FAST = 20.0
COLUMNS = (Column("how"), Column("pairs"), Column("seconds", 3), Column("times as fast"))

Pairs = list[tuple[str, str]]


def registry_against_keys(crowd: Crowd, repeats: int) -> Table:
    """Both ways list the same pairs."""
    tell("registry_list_all against KEYS and GET")
    with redis.Redis.from_url(crowd.url) as client:
        ways = {
            "KEYS and one GET per key": lambda: timed(lambda: _keys_and_gets(client)),
            "registry_list_all": lambda: timed(lambda: [*crowd.backend.registry_list_all().items()]),
        }
        runs = interleaved(ways, repeats)
    _check(crowd, runs)
    by_keys, by_index = (Sample.of(one.seconds for one in way) for way in runs.values())
    faster = by_keys.over(by_index)
    rows = [
        (name, crowd.pairs, spent, by_keys.over(spent)) for name, spent in zip(runs, (by_keys, by_index), strict=True)
    ]
    bar = Bar("registry_list_all, times as fast as KEYS and GET", faster.median, TIMES_AS_FAST, at_least=True)
    return Table("Listing the registry on Redis", COLUMNS, rows, [bar], crowd.description)


def _keys_and_gets(client: Any) -> Pairs:
    head = f"{CROWD_PREFIX}uuid:".encode()
    return [(name[len(head) :].decode(), client.get(name).decode()) for name in client.keys(head + b"*")]


def _check(crowd: Crowd, runs: dict[str, list[Timed[Pairs]]]) -> None:
    found = [set(one.result) for way in runs.values() for one in way]
    if any(one != found[0] for one in found) or len(found[0]) != crowd.pairs:
        counts = sorted({len(one) for one in found})
        raise Failed(f"the ways of listing the registry differ, or miss some of {crowd.pairs} pairs: {counts}")
