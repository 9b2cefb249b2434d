"""Several processes on one Redis: they agree, share the work, and one that is killed takes nothing with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import redis_server
from contract_kit import Driver, answered

from xpipe.backends.redis import RedisBackend
from xpipe.core.messages import PumpRecord, decode_message

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

HERE = Path(__file__).parent
CHAINS = [f"system.org.cli-{number}.a%2Eb" for number in range(200)]


def bind(url: str, prefix: str, number: int) -> list[str]:
    backend = RedisBackend(url, prefix)
    backend.open(None, 50)
    chains = CHAINS[number:] + CHAINS[:number]
    bound = {chain: backend.registry_set(chain, f"{chain}-of-{number}") for chain in chains}
    backend.close()
    return [bound[chain] for chain in CHAINS]


@pytest.fixture
def backend() -> Iterator[RedisBackend]:
    one = RedisBackend(redis_server.shared().tcp, redis_server.new_prefix())
    one.open("org", 50)
    yield one
    one.close()


@pytest.mark.parametrize("processes", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_that_bind_the_same_chains_at_once_agree(backend: RedisBackend, processes: int) -> None:
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(bind, redis_server.shared().tcp, backend._prefix, number) for number in range(processes)]
        answers = [job.result() for job in jobs]

    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == len(CHAINS)
    assert dict(zip(answers[0], CHAINS, strict=True)).items() <= backend.registry_list_all().items()


PUMP = """
import sys
from itertools import count
from contract_kit import Driver, answered, done
from xpipe.backends.redis import RedisBackend
from xpipe.core.messages import PumpRecord, decode_message

url, prefix, name = sys.argv[1:]
backend = RedisBackend(url, prefix)
backend.open(None, 50)
backend.enroll(PumpRecord(name, "host", 1, 1, 1.0))
drive = Driver(backend, name)
drive._numbers = (f"{name}-{number}" for number in count())

def step(claim):
    kind = decode_message(claim.message).kind
    if claim.listener == "a" and kind == "request":
        return done(claim, sends=[drive.send(claim, "b")])
    return answered(claim)

print("ready", flush=True)
steps = []
while True:
    advanced = drive.advance(*steps, most=5)
    steps = [step(claim) for claim in advanced.claims]
    if not steps and backend.load().in_flight == 0 and not backend.wait(name, 0.5) and backend.load().in_flight == 0:
        break
backend.retire(name)
"""


def start_pump(backend: RedisBackend, name: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(HERE.parent / "contracts"), *sys.path])
    command = [sys.executable, "-c", PUMP, redis_server.shared().tcp, backend._prefix, name]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def assert_answered_once(drive: Driver, ids: list[str]) -> None:
    drive.advance(most=0)
    outputs = Counter(event.conversation for event in drive.events if event.kind == "output")
    assert outputs == Counter(ids)
    assert Counter(event.conversation for event in drive.events if event.kind == "ended") == Counter(ids)
    backend = drive.backend
    totals = backend.totals()
    assert (totals.in_flight, totals.conversations_active, totals.threads) == (0, 0, 3 * len(ids))
    assert totals.slots == 4 * len(ids)
    for thread in backend.buffer_list_threads():
        ids_of_slots = [decode_message(slot).id for slot in backend.buffer_get_thread(thread)]
        assert len(set(ids_of_slots)) == len(ids_of_slots)


def test_pumps_in_several_processes_answer_every_conversation_once(backend: RedisBackend) -> None:
    drive = Driver(backend, "source")
    ids = drive.inject_many(300)

    pumps = [start_pump(backend, f"pump-{number}") for number in range(3)]

    for pump in pumps:
        assert pump.wait(60) == 0
    assert_answered_once(drive, ids)


@pytest.mark.parametrize("after", [0.05, *(pytest.param(one, marks=pytest.mark.slow) for one in (0.0, 0.01, 0.2))])
def test_a_pump_that_is_killed_loses_nothing_and_doubles_nothing(backend: RedisBackend, after: float) -> None:
    # given: two pumps at work, one of which is killed in the middle
    drive = Driver(backend, "source")
    ids = drive.inject_many(400)
    victim = start_pump(backend, "victim")
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"ready\n"
    until(lambda: backend.totals().slots > 410)
    time.sleep(after)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    survivor = start_pump(backend, "survivor")

    # when: it is buried
    released = backend.bury_pump("victim")
    assert released <= 5

    # then: the other one answers what is left
    assert survivor.wait(60) == 0
    assert_answered_once(drive, ids)
    assert [one.id for one in backend.pumps()] == ["source"]


def test_a_lease_that_was_taken_away_cannot_be_used(backend: RedisBackend) -> None:
    drive = Driver(backend, "slow")
    backend.enroll(PumpRecord("slow", "host", 1, 1, 1.0))
    drive.inject("a")
    claim = drive.claim()

    assert backend.bury_pump("slow") == 1

    assert not backend.renew("slow", 99.0)
    assert drive.advance(answered(claim), most=0).refused == {0: "stale"}
    other = Driver(backend, "quick")
    assert other.claim().deliveries == 1
