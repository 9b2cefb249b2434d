"""Messages that go through handlers that do nothing: what xpipe itself takes, beside its peers and bare loops."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import roster
from benchmarks.case import (
    CALIBRATION,
    COMMANDS_PER_HOP,
    CPU_PER_HOP,
    HOPS_PER_SECOND,
    IN_COMMANDS_PER_HOP,
    MESSAGES_PER_SECOND,
    MILLISECONDS_PER_HOP,
    REDIS_CPU_PER_HOP,
    ROUND_TRIPS_PER_HOP,
    Case,
    Demand,
    Side,
    side,
)
from benchmarks.contestant import Contestant, Work
from benchmarks.options import some

TEXT = 100
PEERS = ("Celery", "Dramatiq", "Huey")
PAYLOADS = {"1 KiB": (1 << 10, 1_000), "100 KiB": (100 << 10, 200), "5 MiB": (5 << 20, 5)}
"""How long the text is, and how many messages there are."""
NOTE = (
    "A hop is one handler call. A message of xpipe takes five: its answer comes back through the listeners that "
    "called, typed, stored and committed hop by hop; a message of the others takes three, its answer goes nowhere. "
    "messages/s are whole chains."
)
_IN_MEMORY = (HOPS_PER_SECOND, MESSAGES_PER_SECOND, CPU_PER_HOP, CALIBRATION)
_ON_REDIS = (
    *_IN_MEMORY[:-1],
    REDIS_CPU_PER_HOP,
    IN_COMMANDS_PER_HOP,
    ROUND_TRIPS_PER_HOP,
    COMMANDS_PER_HOP,
    CALIBRATION,
)


def chain(messages: int, text: int = TEXT) -> Work:
    """Messages for a chain of three listeners."""
    ours = {"organism": "chain", "to": "first", "payload": {}, "fill": {"text": text}, "own_hops": 5}
    return {**ours, "text": text, "messages": messages, "hops": 3}


def rally(conversations: int, hops: int) -> Work:
    """Conversations of so many hops, an odd number."""
    ours = {"organism": "rally", "to": "server", "payload": {"length": hops}, "own_hops": hops}
    return {**ours, "text": 0, "messages": conversations, "hops": hops}


def _sides(contestants: Sequence[Contestant], work: Work) -> Sequence[Side]:
    return [side(one, work) for one in contestants]


def _in_memory() -> list[Contestant]:
    return [roster.xpipe("memory"), roster.BARE_ASYNCIO]


def _on_redis() -> list[Contestant]:
    return [roster.xpipe("redis"), roster.BARE_REDIS, roster.celery(), roster.dramatiq(), roster.huey()]


def _payload_sides(share: float) -> Sequence[Side]:
    ours = [roster.xpipe(backend) for backend in ("memory", "sqlite", "redis", "manager")]
    return [
        side(one, chain(some(messages, share), text), f"{name}: {one.name}")
        for name, (text, messages) in PAYLOADS.items()
        for one in (*ours, roster.BARE_REDIS, roster.dramatiq(), roster.huey())
    ]


CASES = (
    Case(
        "chain-memory",
        "A chain of three in memory",
        lambda share: _sides(_in_memory(), chain(some(10_000, share))),
        _IN_MEMORY,
        [Demand("xpipe, memory", HOPS_PER_SECOND, 0.35, 1.0, over=("bare asyncio pump",))],
        NOTE,
    ),
    Case(
        "chain-redis",
        "A chain of three on Redis",
        lambda share: _sides(_on_redis(), chain(some(3_000, share))),
        _ON_REDIS,
        [
            Demand("xpipe, redis", HOPS_PER_SECOND, 5, 10, over=PEERS),
            Demand("xpipe, redis", HOPS_PER_SECOND, 2, 4, over=("bare Redis loop",)),
            Demand("xpipe, redis", CPU_PER_HOP, 0.1, 0.05),
            Demand("xpipe, redis", ROUND_TRIPS_PER_HOP, 0.05, 0.02),
        ],
        f"{NOTE} Round trips: how often the server has read from a connection (INFO stats); commands: INFO "
        "commandstats, with those that scripts call; what Redis takes beside them is scripts, and the network. "
        "CPU of a peer's worker is that of its worker process alone, without who sends; xpipe's process sends, too.",
    ),
    Case(
        "chain-sqlite",
        "A chain of three on SQLite",
        lambda share: _sides([roster.xpipe("sqlite"), roster.huey_on_sqlite()], chain(some(3_000, share))),
        _IN_MEMORY,
        [Demand("xpipe, sqlite", HOPS_PER_SECOND, 3, 10, over=("Huey, SQLite",))],
        NOTE,
    ),
    Case(
        "chain-manager",
        "A chain of three in a manager process",
        lambda share: _sides([roster.xpipe("manager")], chain(some(3_000, share))),
        _IN_MEMORY,
        note=f"{NOTE} CPU: of this process and the manager's.",
    ),
    Case(
        "conversations",
        "100 conversations of 101 hops at once",
        lambda share: _sides(
            [*_in_memory(), roster.xpipe("sqlite"), roster.xpipe("manager"), *_on_redis()],
            rally(some(100, share), 101),
        ),
        _ON_REDIS,
        note="Two listeners that play a ball to and fro; the tasks of the peers send each other on.",
    ),
    Case(
        "payloads",
        "A chain of three with larger payloads",
        _payload_sides,
        (MILLISECONDS_PER_HOP, CPU_PER_HOP, REDIS_CPU_PER_HOP, CALIBRATION),
        note=NOTE,
    ),
)
