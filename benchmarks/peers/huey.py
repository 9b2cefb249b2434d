"""Huey: on Redis, or on its SQLite storage where there is no Redis."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from huey import RedisHuey, SqliteHuey

from benchmarks.peers import burning, ring
from benchmarks.referee import Referee

_FANS_OUT = bool(os.environ.get("BENCH_RESULTS"))
_URL = os.environ.get("BENCH_REDIS")

if _URL:
    app = RedisHuey("benchmark", url=_URL, results=_FANS_OUT, notify_result=_FANS_OUT)
else:
    app = SqliteHuey("benchmark", filename=f"{os.environ['BENCH_STATE']}/huey.db", results=False, fsync=False)

tally = ring.Tally()


@app.task()
def first(*parcel: Any) -> None:
    _pass_on(second, parcel)


@app.task()
def second(*parcel: Any) -> None:
    _pass_on(third, parcel)


@app.task()
def third(*parcel: Any) -> None:
    _pass_on(first, parcel)


@app.task()
def burn(index: int, milliseconds: float) -> burning.Burnt:
    return burning.burn(index, milliseconds)


def _pass_on(task: Any, parcel: tuple[Any, ...]) -> None:
    following = tally.next(*parcel)
    if following is not None:
        task(*following)


def drive(referee: Referee) -> None:
    """The ring, or with `items` a fan-out."""
    if "items" in referee.work:
        burning.drive(referee, _fan_out)
    else:
        ring.drive(referee, first)


def _fan_out(items: int, milliseconds: float) -> Iterable[burning.Burnt]:
    answers: list[burning.Burnt] = burn.map((index, milliseconds) for index in range(items)).get(blocking=True)
    return answers
