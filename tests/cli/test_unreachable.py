"""A run that serves ends with one sentence when its backend stays away: whoever started it can start it again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis_server

from cli.bench import Bench
from cli.stored import SQLITE

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[redis_server.Server]:
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    one = redis_server.start()
    yield one
    one.remove()


def serve(bench: Bench, section: str) -> subprocess.Popen[bytes]:
    """A run that serves, and has answered."""
    organism = bench.organism("echo", extra=section)
    process = bench.start("run", organism, "--serve", "--format", "jsonl")
    sent = bench.run("send", organism, 'echo={"text": "there?"}', "--wait")
    assert sent.returncode == 0, sent.stderr
    return process


def assert_ended_with(process: subprocess.Popen[bytes], sentence: str) -> None:
    _, stderr = process.communicate(timeout=100)
    told = stderr.decode()
    assert (process.returncode, told.count(sentence)) == (4, 1), told
    assert sentence in told.splitlines()[-1]
    assert "Traceback" not in told


def test_a_run_that_serves_ends_when_its_redis_server_stays_away(bench: Bench, server: redis_server.Server) -> None:
    process = serve(bench, f"backend: {{type: redis, redis_url: '{server.tcp}'}}\n")

    server.stop()

    assert_ended_with(process, "no Redis server answers")


def test_a_run_that_serves_ends_when_the_folder_of_its_state_file_is_removed(bench: Bench) -> None:
    process = serve(bench, SQLITE)

    shutil.rmtree(bench.folder / "state")

    assert_ended_with(process, "the state file was removed or replaced while it was in use")


def test_a_run_that_serves_ends_when_its_state_file_stays_locked(bench: Bench) -> None:
    process = serve(bench, SQLITE)

    with closing(sqlite3.connect(bench.folder / "state" / "bench.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert_ended_with(process, "other processes have kept it locked for too long")
