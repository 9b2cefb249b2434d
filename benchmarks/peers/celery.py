"""Celery, on Redis."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from celery import Celery, chord, group

from benchmarks.peers import burning, ring
from benchmarks.referee import Referee

_URL = os.environ["BENCH_REDIS"]

app = Celery("benchmark", broker=_URL, backend=_URL if os.environ.get("BENCH_RESULTS") else None)
app.conf.update(
    task_ignore_result=True,
    task_default_delivery_mode="transient",
    worker_prefetch_multiplier=128,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)

tally = ring.Tally()


@app.task
def first(*parcel: Any) -> None:
    _pass_on(second, parcel)


@app.task
def second(*parcel: Any) -> None:
    _pass_on(third, parcel)


@app.task
def third(*parcel: Any) -> None:
    _pass_on(first, parcel)


@app.task(ignore_result=False)
def burn(index: int, milliseconds: float) -> burning.Burnt:
    return burning.burn(index, milliseconds)


@app.task(ignore_result=False)
def collect(answers: list[burning.Burnt]) -> list[burning.Burnt]:
    return answers


def _pass_on(task: Any, parcel: tuple[Any, ...]) -> None:
    following = tally.next(*parcel)
    if following is not None:
        task.delay(*following)


def drive(referee: Referee) -> None:
    """The ring, or with `items` a fan-out: a group, with BENCH_CHORD one that a task collects."""
    if "items" in referee.work:
        burning.drive(referee, _chord if os.environ.get("BENCH_CHORD") else _group)
    else:
        ring.drive(referee, first.delay)


def _group(items: int, milliseconds: float) -> Iterable[burning.Burnt]:
    answers: list[burning.Burnt] = group(burn.s(index, milliseconds) for index in range(items))().get()
    return answers


def _chord(items: int, milliseconds: float) -> Iterable[burning.Burnt]:
    answers: list[burning.Burnt] = chord(burn.s(index, milliseconds) for index in range(items))(collect.s()).get()
    return answers
