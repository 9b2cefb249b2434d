"""concurrent.futures.ProcessPoolExecutor with two workers: `submit` for each item, or `map` in chunks."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from benchmarks.peers import burning
from benchmarks.referee import Referee

WORKERS = 2


def drive(referee: Referee) -> None:
    """work: items and milliseconds, chunk: map so many at once; or `data`: bytes there and back, messages times."""
    with ProcessPoolExecutor(WORKERS) as pool:
        if "data" in referee.work:
            _there_and_back(referee, pool)
        elif "chunk" in referee.work:
            burning.drive(referee, lambda items, each: _mapped(pool, items, each, referee.work["chunk"]))
        else:
            burning.drive(referee, lambda items, each: _submitted(pool, items, each))


def _submitted(pool: ProcessPoolExecutor, items: int, milliseconds: float) -> Iterable[burning.Burnt]:
    futures = [pool.submit(burning.burn, index, milliseconds) for index in range(items)]
    return (future.result() for future in futures)


def _mapped(pool: ProcessPoolExecutor, items: int, milliseconds: float, chunk: int) -> Iterable[burning.Burnt]:
    return pool.map(burning.burn, range(items), [milliseconds] * items, chunksize=chunk)


def mirror(data: bytes) -> bytes:
    """The work of a worker process."""
    return data


def _there_and_back(referee: Referee, pool: ProcessPoolExecutor) -> None:
    data, messages = b"x" * referee.work["data"], referee.work["messages"]
    pool.submit(mirror, data).result()
    referee.start()
    right = sum(pool.submit(mirror, data).result() == data for _ in range(messages))
    referee.stop()
    if right != messages:
        raise SystemExit(f"of {messages} payloads {right} came back as they were")
    referee.finish(messages=messages, hops=messages)
