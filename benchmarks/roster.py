"""Who takes part, how each is started, and why so. One worker process each, if a case does not say otherwise.

The settings are those that the peer's documentation names for many short tasks; they stand below the tables.
"""

from __future__ import annotations

import sys

from benchmarks.contestant import Contestant
from benchmarks.peers.xpipe import BATCH, ORGANISMS

_XPIPE = (
    f"**xpipe**: one process takes the messages in ({BATCH} in one commit, as `xpipe run` does), runs the pump and "
    "takes the outputs, by the embedding API; default settings, Python's garbage collector as `xpipe run` sets it, the "
    "organisms of `benchmarks/organisms`."
)
_TWO_PUMPS = "**two pumps**: `xpipe run --serve` in a second process beside the one that takes the messages in."
_CELERY = (
    "**Celery**: `celery worker --concurrency {workers} --without-gossip --without-mingle --without-heartbeat`, "
    "prefork (the default, and the one for work that needs the CPU), worker_prefetch_multiplier 128 (its guide on "
    "optimizing asks for 64 or 128 when there are many short tasks), transient messages, no rate limits, no events, "
    "results {results}."
)
_DRAMATIQ = (
    "**Dramatiq**: `dramatiq --processes {workers} --threads {threads}` ({why}), default middleware, results {results}."
)
_HUEY = (
    "**Huey{on}**: `huey_consumer -k {kind} -w {workers} -q -n` ({why}; no line of log for each task, no periodic "
    "ones), results {results}."
)
_KEPT = {"BENCH_RESULTS": "1"}


def xpipe(backend: str, name: str = "", **variables: str) -> Contestant:
    """xpipe with its state in `backend`; `variables`: what else the organism's YAML asks for."""
    return Contestant(
        name or f"xpipe, {backend}",
        "benchmarks.peers.xpipe",
        _XPIPE,
        redis=backend == "redis",
        variables={"BENCH_BACKEND": backend, **variables},
    )


def two_pumps(organism: str) -> Contestant:
    """As `xpipe("redis")`, and a second process that serves the same organism."""
    served = ("-m", "xpipe", "run", str(ORGANISMS / organism / "organism.yaml"), "--serve", "--no-messages")
    return Contestant(
        "two pumps",
        "benchmarks.peers.xpipe",
        _TWO_PUMPS,
        workers=((sys.executable, *served),),
        redis=True,
        variables={"BENCH_BACKEND": "redis"},
    )


def _peer(name: str, module: str, settings: str, *worker: str, **variables: str) -> Contestant:
    return Contestant(
        name,
        f"benchmarks.peers.{module}",
        settings,
        workers=((sys.executable, "-m", *worker),),
        works=False,
        redis=True,
        needs=module,
        variables=variables,
    )


def celery(workers: int = 1, results: str = "", **variables: str) -> Contestant:
    """Celery; `results`: how they are collected, "group" or "chord", "" for none."""
    quiet = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    return _peer(
        f"Celery {results}".strip(),
        "celery",
        _CELERY.format(workers=workers, results="in Redis" if results else "ignored"),
        *("celery", "-A", "benchmarks.peers.celery", "worker", "--concurrency", str(workers), *quiet),
        **(_KEPT if results else {}),
        **({"BENCH_CHORD": "1"} if results == "chord" else {}),
        **variables,
    )


def dramatiq(workers: int = 1, results: bool = False) -> Contestant:
    """Dramatiq: threads for what waits for Redis, processes for what needs a CPU."""
    threads, why = (1, "for work that needs the CPU") if results else (8, "the default number of threads")
    kept = "in Redis" if results else "none"
    return _peer(
        "Dramatiq",
        "dramatiq",
        _DRAMATIQ.format(workers=workers, threads=threads, why=why, results=kept),
        *("dramatiq", "benchmarks.peers.dramatiq", "--processes", str(workers), "--threads", str(threads)),
        **(_KEPT if results else {}),
    )


def huey(workers: int = 1, results: bool = False) -> Contestant:
    """Huey on Redis: a thread for what waits for Redis, processes for what needs a CPU."""
    kind, why = ("process", "for work that needs the CPU") if results else ("thread", "the default kind")
    kept = "in Redis, notify_result" if results else "not stored"
    return _peer(
        "Huey",
        "huey",
        _HUEY.format(on="", kind=kind, workers=workers, why=why, results=kept),
        *_huey_consumer(kind, workers),
        **(_KEPT if results else {}),
    )


def huey_on_sqlite() -> Contestant:
    """Huey on its SQLite storage."""
    settings = _HUEY.format(on=" on SQLite", kind="thread", workers=1, why="the default kind", results="not stored")
    durable = " SqliteHuey(fsync=False): its faster setting; xpipe syncs at checkpoints (synchronous NORMAL)."
    return Contestant(
        "Huey, SQLite",
        "benchmarks.peers.huey",
        settings + durable,
        workers=((sys.executable, "-m", *_huey_consumer("thread", 1)),),
        works=False,
        needs="huey",
    )


def _huey_consumer(kind: str, workers: int) -> tuple[str, ...]:
    return "huey.bin.huey_consumer", "benchmarks.peers.huey.app", "-k", kind, "-w", str(workers), "-q", "-n"


BARE_ASYNCIO = Contestant(
    "bare asyncio pump",
    "benchmarks.peers.bare_asyncio",
    "**bare asyncio pump**: a queue and a task for each message; it neither checks nor stores anything.",
)
BARE_REDIS = Contestant(
    "bare Redis loop",
    "benchmarks.peers.bare_redis",
    "**bare Redis loop**: BLPOP, JSON, RPUSH with redis-py and hiredis, one after the other; what it works on when it "
    "ends is lost.",
    workers=((sys.executable, "-m", "benchmarks.peers.bare_redis"),),
    works=False,
    redis=True,
)
ROUND_TRIPS = Contestant(
    "bare round trips",
    "benchmarks.peers.bare_redis",
    "**bare round trips**: ECHO of the same text with redis-py and hiredis.",
    redis=True,
)
PORT_CALLS = Contestant(
    "its three calls alone",
    "benchmarks.peers.bare_port",
    "**its three calls alone**: inject, advance (claim), advance (commit the answer) of xpipe's Redis backend, one "
    "after the other, without pump, handler and codec.",
    redis=True,
)
SUBMIT = Contestant(
    "ProcessPoolExecutor.submit",
    "benchmarks.peers.executor",
    "**ProcessPoolExecutor**: concurrent.futures with two worker processes, kept warm, as everybody's are.",
)
MAP = Contestant("ProcessPoolExecutor.map", "benchmarks.peers.executor", SUBMIT.settings)
