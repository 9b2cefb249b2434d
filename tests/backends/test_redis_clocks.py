"""Hosts whose clocks are far apart agree on who holds a lease: it ends by the clock of the server."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import redis_server
from redis_kit import Make

from xpipe.backends.redis import RedisBackend
from xpipe.core.messages import PumpRecord
from xpipe.runtime.lease import is_alive

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

HOUR = 3_600
HOST = """
import sys, time
url, prefix, ahead, verb, seconds = sys.argv[1:]
real = time.time
time.time = lambda: real() + float(ahead)

from xpipe.backends.redis import RedisBackend
from xpipe.core.messages import PumpRecord
from xpipe.runtime.lease import is_alive

backend = RedisBackend(url, prefix)
backend.open(None, 50)
expires = time.time() + float(seconds)
if verb == "enroll":
    backend.enroll(PumpRecord("far", "elsewhere", 1, 1, expires))
elif verb == "renew":
    assert backend.renew("far", expires)
else:
    print(*(pump.id for pump in backend.pumps() if is_alive(pump)))
backend.close()
"""
"""Another host, whose clock is ahead or behind."""


def on_host(backend: RedisBackend, ahead: int, verb: str, seconds: float = 0) -> str:
    command = [sys.executable, "-c", HOST, redis_server.shared().url, backend._prefix, str(ahead), verb, str(seconds)]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def backend(make_redis: Make) -> RedisBackend:
    return make_redis()


def far(backend: RedisBackend) -> PumpRecord:
    [pump] = backend.pumps()
    return pump


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_pump_whose_clock_is_an_hour_off_lives_as_long_as_its_lease(backend: RedisBackend, ahead: int) -> None:
    on_host(backend, ahead, "enroll", 60)

    assert is_alive(far(backend))
    assert far(backend).expires == pytest.approx(time.time() + 60, abs=30)


@pytest.mark.parametrize("ahead", [HOUR, pytest.param(-HOUR, marks=pytest.mark.slow)])
def test_a_pump_whose_clock_is_an_hour_off_is_dead_when_its_lease_is_over(backend: RedisBackend, ahead: int) -> None:
    on_host(backend, ahead, "enroll", -1)
    assert not is_alive(far(backend))

    on_host(backend, ahead, "renew", 60)
    assert is_alive(far(backend))
    on_host(backend, ahead, "renew", -1)

    assert not is_alive(far(backend))


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_one_whose_clock_is_an_hour_off_sees_who_lives(backend: RedisBackend, ahead: int) -> None:
    backend.enroll(PumpRecord("near", "here", 1, 1, time.time() + 60))
    backend.enroll(PumpRecord("gone", "here", 1, 1, time.time() - 1))

    assert on_host(backend, ahead, "look") == "near"
