"""How much there is to look at, and how it gets there: by the port's own verbs inject, advance and registry_set."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.errors import Failed
from benchmarks.options import Size
from benchmarks.talk import tell
from xpipe.core.messages import (
    REQUEST,
    RESPONSE,
    SELF,
    Answer,
    Claim,
    Injection,
    Message,
    PumpRecord,
    Step,
    decode_message,
    encode_message,
)
from xpipe.ports import SharedBackend
from xpipe.state import BackendConfig
from xpipe.state.factory import make_backend

ORGANISM = "crowd"
LISTENER = "work"
PUMP = "benchmark"
BATCH = 500
PAYLOAD = b"x" * 100
SLOTS_PER_THREAD = 10_000
CROWD_PREFIX = "crowd:"
CROWD_SLOTS = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """pairs, threads: what one Redis holds; listed, registered: the numbers of threads that commands are given."""

    pairs: int
    threads: int
    listed: Sequence[int]
    registered: Sequence[int]


def sizes(size: Size) -> Sizes:
    """How much of everything."""
    if size is Size.QUICK:
        return Sizes(10_000, 1_000, (100, 1_000, 10_000), (1_000, 10_000))
    most = (1_000_000,) if size is Size.FULL else ()
    return Sizes(100_000, 10_000, (100, 10_000, 100_000), (10_000, 100_000, *most))


def open_backend(config: BackendConfig) -> SharedBackend:
    """The backend of `config` with the organism in it that everything here belongs to."""
    backend = make_backend(config)
    backend.open(ORGANISM, SLOTS_PER_THREAD)
    return backend


def converse(backend: SharedBackend, conversations: int, slots: int = 1) -> None:
    """Have conversations of two threads each, an initiator with one slot and one with `slots`; over and delivered."""
    now = time.time()
    enroll(backend)
    for done in range(0, conversations, BATCH):
        messages = [Injection("in", [LISTENER], "Ping", PAYLOAD)] * min(BATCH, conversations - done)
        ids = backend.inject(PUMP, messages, now)
        _answer_all(backend, slots)
        backend.delivered(dict.fromkeys(ids, 1))
    backend.retire(PUMP)


def enroll(backend: SharedBackend) -> None:
    """Make PUMP known, for an hour."""
    backend.enroll(PumpRecord(PUMP, socket.gethostname(), os.getpid(), 0, time.time() + 3_600))


def _answer_all(backend: SharedBackend, slots: int) -> None:
    steps: list[Step] = []
    while True:
        advanced = backend.advance(PUMP, steps, {LISTENER: BATCH}, BATCH, time.time())
        if advanced.refused:
            raise Failed(f"steps were refused while filling a backend: {advanced.refused}")
        steps = [step_after(claim, slots) for claim in advanced.claims]
        if not steps:
            return


def step_after(claim: Claim, slots: int = 1) -> Step:
    """Write the other `slots` into the own thread, handle those too, and answer with the last."""
    message = decode_message(claim.message)
    call = message.call if message.kind == REQUEST else claim.call
    if message.kind == REQUEST and slots > 1:
        own = [_follows(message, SELF, LISTENER, f"{call}.{at}", "") for at in range(1, slots)]
        return Step(claim.thread, claim.fence, call=call, own=own)
    if message.kind == SELF and message.id != f"{call}.{slots - 1}":
        return Step(claim.thread, claim.fence, call=call)
    answer = _follows(message, RESPONSE, claim.caller, f"{call}-r", call)
    return Step(claim.thread, claim.fence, answer=Answer(call, answer))


def _follows(message: Message, kind: str, to: str, id: str, call: str) -> bytes:
    return encode_message(Message(id, kind, message.conversation, LISTENER, to, "Ping", PAYLOAD, call, message.hop + 1))


@dataclass(frozen=True, slots=True)
class Crowd:
    """A Redis backend at `url` with `pairs` pairs in its registry and `threads` threads of CROWD_SLOTS slots."""

    url: str
    pairs: int
    threads: int
    backend: SharedBackend

    @property
    def description(self) -> str:
        """What is in it, for a note below a table."""
        return (
            f"Redis on a Unix socket holds {self.pairs:,} registry pairs: {self.threads:,} conversations that are "
            f"over, each an initiator of one slot and a thread of {CROWD_SLOTS} slots (filled by inject and advance, "
            f"{BATCH} at once), the others bound from outside (registry_set)."
        )


@contextmanager
def crowd_in(url: str, pairs: int, threads: int) -> Iterator[Crowd]:
    """Fill the empty Redis at `url`; what is not a thread or the root is bound from outside."""
    tell(f"filling Redis: {pairs:,} registry pairs, {threads:,} threads of {CROWD_SLOTS} slots")
    backend = open_backend(BackendConfig("redis", redis_url=url, redis_prefix=CROWD_PREFIX))
    try:
        converse(backend, threads, CROWD_SLOTS)
        for number in range(pairs - 2 * threads - 1):
            backend.registry_set(f"system.{ORGANISM}.bound-{number}", str(uuid.uuid4()))
        yield Crowd(url, pairs, threads, backend)
    finally:
        backend.close()
