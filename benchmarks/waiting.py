"""Waiting: handlers that do, somebody for one answer, a run for something to do."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import roster
from benchmarks.case import CALIBRATION, Case, Demand, Measure, Side, side
from benchmarks.contestant import Work
from benchmarks.options import some

BACKENDS = ("memory", "sqlite", "redis", "manager")
NAP = 100.0
"""Milliseconds that a slow handler waits."""
ROUND_TRIPS = 3
"""What a message needs: it is put in, claimed, and its answer committed and told of."""
IDLE = 5.0
TEXT = 100

TIMES_THE_WAIT = Measure("times 100 ms", lambda one: 1_000 * one["seconds"] / NAP)
CPU_MILLISECONDS = Measure("CPU ms", lambda one: 1_000 * one["cpu"], 0)
LATENCY = Measure("ms to the answer", lambda one: 1_000 * one["alone"], 3)
CPU_PER_MESSAGE = Measure("CPU ms/message", lambda one: 1_000 * one["cpu"] / one["messages"], 3)
REDIS_CPU = Measure("Redis CPU ms/message", lambda one: 1_000 * one["redis_cpu"] / one["messages"], 3)
IN_COMMANDS = Measure("of it in commands", lambda one: 1_000 * one["in_commands"] / one["messages"], 3)
TRIPS_PER_MESSAGE = Measure("round trips/message", lambda one: one["round_trips"] / one["messages"], 1)
IDLE_CPU = Measure("CPU ms/s", lambda one: 1_000 * one["cpu"] / one["seconds"], 1)
IDLE_COMMANDS = Measure("Redis round trips/s", lambda one: one["round_trips"] / one["seconds"], 1)


def naps(messages: int) -> Work:
    """Messages whose handlers wait, all at once."""
    ours = {"organism": "nap", "to": "nap", "payload": {"milliseconds": NAP}, "warm_up": {"milliseconds": 1.0}}
    return {**ours, "own_hops": 1, "messages": messages, "hops": 1, "wait": NAP}


def echoes(messages: int, **more: object) -> Work:
    """Messages that are answered at once."""
    ours = {"organism": "echo", "to": "echo", "payload": {}, "fill": {"text": TEXT}, "own_hops": 1}
    return {**ours, "text": TEXT, "messages": messages, **more}


def _nappers(share: float) -> Sequence[Side]:
    everybody = (*(roster.xpipe(backend) for backend in BACKENDS), roster.BARE_ASYNCIO)
    return [side(one, naps(some(1_000, share))) for one in everybody]


def _askers(share: float) -> Sequence[Side]:
    others = [roster.xpipe(backend) for backend in BACKENDS if backend != "redis"]
    everybody = (roster.xpipe("redis"), roster.ROUND_TRIPS, roster.PORT_CALLS, *others)
    return [side(one, echoes(some(500, share), alone=ROUND_TRIPS)) for one in everybody]


def _idlers(share: float) -> Sequence[Side]:
    return [side(roster.xpipe(backend), echoes(1, idle=max(1.0, IDLE * share))) for backend in BACKENDS]


CASES = (
    Case(
        "slow-handlers",
        "1,000 async handlers at once that wait 100 ms",
        _nappers,
        (TIMES_THE_WAIT, CPU_MILLISECONDS, CALIBRATION),
        [Demand("xpipe, memory", TIMES_THE_WAIT, 1.5, 1.2)],
        "From the first message sent to the last answer.",
    ),
    Case(
        "latency",
        "One message alone, from send to answer",
        _askers,
        (LATENCY, CPU_PER_MESSAGE, REDIS_CPU, IN_COMMANDS, TRIPS_PER_MESSAGE, CALIBRATION),
        [Demand("xpipe, redis", LATENCY, 2, 1.5, over=(roster.ROUND_TRIPS.name,))],
        f"One listener; each message is sent when the one before is answered; the median of a run. Bare: {ROUND_TRIPS} "
        "round trips, one for each thing that the server has to know before the next: the message is there, it is "
        "claimed, its answer is committed. The round trips of xpipe are all it makes, before and after the answer.",
    ),
    Case(
        "idle",
        "A run that has nothing to do",
        _idlers,
        (IDLE_CPU, IDLE_COMMANDS, CALIBRATION),
        note="A run holds its lease and looks at what others may have left once a second; nothing else is asked in "
        "between.",
    ),
)
