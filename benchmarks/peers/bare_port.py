"""What one message asks of xpipe's Redis backend, and nothing around it."""

from __future__ import annotations

import os
import statistics
import time

from benchmarks.referee import Referee
from benchmarks.scale.contents import LISTENER, PUMP, enroll, open_backend, step_after
from xpipe.core.messages import Injection
from xpipe.ports import SharedBackend
from xpipe.state import BackendConfig

WARM_UP = 20


def drive(referee: Referee) -> None:
    """work: messages, one after the other; text: how long the payload is."""
    backend = open_backend(BackendConfig("redis", redis_url=os.environ["BENCH_REDIS"]))
    enroll(backend)
    message = Injection("in", [LISTENER], "Ping", b"x" * referee.work["text"])
    for _ in range(WARM_UP):
        _converse(backend, message)
    referee.start()
    waits = [_converse(backend, message) for _ in range(referee.work["messages"])]
    referee.stop()
    referee.finish(messages=len(waits), hops=len(waits), alone=statistics.median(waits))


def _converse(backend: SharedBackend, message: Injection) -> float:
    """The seconds it takes."""
    began = time.perf_counter()
    backend.inject(PUMP, [message], time.time())
    [claim] = backend.advance(PUMP, [], {LISTENER: 1}, 1, time.time()).claims
    answered = backend.advance(PUMP, [step_after(claim)], {LISTENER: 1}, 1, time.time())
    if not answered.events:
        raise SystemExit("a message was not answered")
    return time.perf_counter() - began
