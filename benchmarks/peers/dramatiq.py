"""Dramatiq, on Redis."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers import burning, ring
from benchmarks.referee import Referee

broker = RedisBroker(url=os.environ["BENCH_REDIS"])
if os.environ.get("BENCH_RESULTS"):
    broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS"])))
dramatiq.set_broker(broker)

tally = ring.Tally()


@dramatiq.actor
def first(*parcel: Any) -> None:
    _pass_on(second, parcel)


@dramatiq.actor
def second(*parcel: Any) -> None:
    _pass_on(third, parcel)


@dramatiq.actor
def third(*parcel: Any) -> None:
    _pass_on(first, parcel)


@dramatiq.actor(**({"store_results": True} if os.environ.get("BENCH_RESULTS") else {}))
def burn(index: int, milliseconds: float) -> burning.Burnt:
    return burning.burn(index, milliseconds)


def _pass_on(task: Any, parcel: tuple[Any, ...]) -> None:
    following = tally.next(*parcel)
    if following is not None:
        task.send(*following)


def drive(referee: Referee) -> None:
    """The ring, or with `items` a fan-out."""
    if "items" in referee.work:
        burning.drive(referee, _fan_out)
    else:
        ring.drive(referee, first.send)


def _fan_out(items: int, milliseconds: float) -> Iterable[burning.Burnt]:
    group = dramatiq.group(burn.message(index, milliseconds) for index in range(items)).run()
    answers: Iterable[burning.Burnt] = group.get_results(block=True, timeout=600_000)
    return answers
