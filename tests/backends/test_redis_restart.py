"""Redis is killed and started again in the middle of a run: the run goes on, or ends with one clear error."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import redis as client
import redis_server
from cli.bench import Bench, wait_until

pytestmark = pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)

PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always")
ITEMS = 300
GONE = "the organism's state is gone: the server was flushed, or restarted without persistence"
LOST = "has lost the latest changes; `xpipe run --resume` goes on with what is left"
AWAY = "no Redis server answers"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[redis_server.Server]:
    one = redis_server.start(*getattr(request, "param", ()))
    yield one
    one.remove()


persistent = pytest.mark.parametrize("server", [PERSISTENT], indirect=True, ids=["persistent"])


def start_run(
    bench: Bench, server: redis_server.Server, *options: str, seconds: float = 0.05
) -> subprocess.Popen[bytes]:
    """A run of ITEMS items, each of which leaves a mark when it begins; eight at a time."""
    organism = bench.organism("sleeper", extra=f"backend: {{type: redis, redis_url: '{server.tcp}'}}\n")
    organism.write_text(organism.read_text().replace("timeout: 0", "timeout: 0, concurrency: 8"))
    lines = [json.dumps({"text": f"began-{number}", "seconds": seconds}) for number in range(ITEMS)]
    (bench.folder / "in.jsonl").write_text("\n".join(lines))
    return bench.start("run", organism, "--input", "in.jsonl", "--json", *options)


def wait_for_item(bench: Bench, number: int) -> None:
    wait_until((bench.folder / f"began-{number}").exists)


def answers(stdout: bytes) -> Counter[str]:
    return Counter(output["conversation"] for output in json.loads(stdout)["outputs"])


def assert_one_error(process: subprocess.Popen[bytes], sentence: str) -> None:
    _, stderr = process.communicate(timeout=60)
    told = stderr.decode()
    assert (process.returncode, told.count(sentence)) == (4, 1), told
    assert "Traceback" not in told
    assert told.count("redis://") == 1, told


@persistent
@pytest.mark.parametrize("away", [0.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_a_run_goes_on_after_a_restart_that_has_kept_the_state(
    bench: Bench, server: redis_server.Server, away: float
) -> None:
    process = start_run(bench, server)
    wait_for_item(bench, 30)

    server.stop()
    timer = threading.Timer(away, server.restart)
    timer.start()

    stdout, stderr = process.communicate(timeout=60)
    timer.join()
    assert process.returncode == 0, stderr
    assert sorted(answers(stdout).values()) == [1] * ITEMS
    assert json.loads(stdout)["totals"]["in_flight"] == 0
    assert stderr.count(b"\n") < 10, stderr
    assert b"Traceback" not in stderr


def test_a_run_ends_with_one_error_after_a_restart_that_has_kept_nothing(
    bench: Bench, server: redis_server.Server
) -> None:
    process = start_run(bench, server)
    wait_for_item(bench, 30)

    server.restart()

    assert_one_error(process, GONE)


def test_a_run_that_waits_for_its_handlers_hears_of_a_restart_that_has_kept_nothing(
    bench: Bench, server: redis_server.Server
) -> None:
    process = start_run(bench, server, seconds=600)
    wait_for_item(bench, 7)

    server.restart()

    assert_one_error(process, GONE)


@pytest.mark.parametrize("seconds", [0.05, pytest.param(600, marks=pytest.mark.slow)])
def test_a_run_ends_with_one_error_after_a_restart_that_has_lost_the_latest_changes(
    bench: Bench, server: redis_server.Server, seconds: float
) -> None:
    # given: a snapshot, after which the run went on
    with client.Redis.from_url(server.tcp) as raw:
        process = start_run(bench, server, seconds=seconds)
        wait_until(lambda: raw.hlen("xp:pumps"))
        raw.save()
    wait_for_item(bench, 7)

    server.restart()

    assert_one_error(process, LOST)
    resumed = bench.run("run", "organism.yaml", "--resume", "--json", "--timeout", "20s")
    assert resumed.returncode in (0, 5), resumed.stderr


@pytest.mark.slow
def test_a_run_ends_with_one_error_when_the_server_stays_away(bench: Bench, server: redis_server.Server) -> None:
    process = start_run(bench, server)
    wait_for_item(bench, 30)

    server.stop()

    assert_one_error(process, AWAY)
