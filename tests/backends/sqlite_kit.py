"""Pumps on a state file, in other processes too."""

from __future__ import annotations

import itertools
import multiprocessing
import sqlite3
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

from contract_kit import SLOTS, Driver, answered, done, kind

from xpipe.backends.sqlite import SQLiteBackend
from xpipe.core.messages import Claim, ConversationRecord, PumpRecord, Step

ROOM = dict.fromkeys(("a", "b", "buffer"), 50)


def opened(path: Path | str) -> SQLiteBackend:
    backend = SQLiteBackend(path)
    backend.open("org", SLOTS)
    return backend


def change(path: Path, *statements: str) -> None:
    """What somebody else does to the file."""
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def processes(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def step_of(drive: Driver, claim: Claim, random: Random) -> Step:
    """`a` asks `b`, or three of `b` through `buffer`, and answers with what comes back; `b` may think twice."""
    what = kind(claim.message)
    if claim.listener == "a" and what == "request":
        return done(claim, sends=[drive.send(claim, random.choice(["b", "buffer"]))])
    if claim.listener == "buffer" and what == "request":
        sends = [drive.send(claim, "b", f"{index}.b", index) for index in range(3)]
        return done(claim, join=drive.join(claim, 3), sends=sends)
    if claim.listener == "b" and what == "request" and random.random() < 0.2:
        return done(claim, own=[drive.own(claim)])
    return answered(claim)


def serve(drive: Driver, random: Random) -> None:
    """Handle what is there until nothing is in flight anywhere."""
    steps: list[Step] = []
    while steps or drive.backend.load().in_flight:
        advanced = drive.advance(*steps, room=ROOM, most=20)
        assert advanced.refused == {}
        steps = [step_of(drive, claim, random) for claim in advanced.claims]


def join_in(path: str, name: str, others: int, conversations: int) -> list[tuple[str, str]]:
    """A process's part: enroll, wait for the others, inject and serve; the events it was told of."""
    backend = opened(path)
    backend.enroll(PumpRecord(name, "here", 1, 1, 0.0))
    while len(backend.pumps()) < others:
        time.sleep(0.001)
    drive, random = Driver(backend, name), Random(name)
    for _ in range(conversations // 10):
        drive.inject_many(10)
        serve_a_little(drive, random)
    serve(drive, random)
    drive.advance(most=0)
    backend.close()
    return [(event.conversation, event.kind) for event in drive.events]


def serve_a_little(drive: Driver, random: Random) -> None:
    claims = drive.advance(room=ROOM, most=5).claims
    drive.advance(*[step_of(drive, claim, random) for claim in claims], most=0)


def bind(path: str, name: str, others: int, chains: list[str]) -> list[str]:
    """A process's part: ask for an id of its own for each chain; what they are bound to."""
    backend = opened(path)
    backend.enroll(PumpRecord(name, "here", 1, 1, 0.0))
    while len(backend.pumps()) < others:
        time.sleep(0.001)
    bound = [backend.registry_set(chain, f"{name}-{number}") for number, chain in enumerate(chains)]
    backend.close()
    return bound


def open_at(path: str, start: float) -> bytes:
    """A process's part: open the file, which may not be there, at the time `start`; the secret."""
    while time.time() < start:
        pass
    backend = opened(path)
    secret = backend.secret()
    backend.close()
    return secret


def finish(backend: SQLiteBackend) -> list[ConversationRecord]:
    """Bury who was at work, and see everything through; the conversations."""
    for pump in backend.pumps():
        backend.bury_pump(pump.id)
    serve(Driver(backend, "survivor"), Random(0))
    return list(backend.conversations())


def work_for_ever(path: str, name: str) -> None:
    """Open, say so, and commit until killed."""
    sys.stdout.write("go\n")
    sys.stdout.flush()
    backend = opened(path)
    backend.enroll(PumpRecord(name, "here", 1, 1, 0.0))
    drive, random = Driver(backend, name), Random()
    numbers = itertools.count()
    steps: list[Step] = []
    while True:
        if backend.load().in_flight < 60:
            drive.inject_many(random.randint(1, 10), source=f"{name}.{next(numbers) % 3}")
        advanced = drive.advance(*steps, room=ROOM, most=random.randint(1, 40))
        steps = [step_of(drive, claim, random) for claim in advanced.claims]


if __name__ == "__main__":
    work_for_ever(*sys.argv[1:])
