"""A process that is killed in the middle of its commits loses nothing and doubles nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlite_kit
from sqlite_kit import finish, opened

from xpipe.core.messages import decode_message

PATHS = os.pathsep.join(path for path in sys.path if path)


def start(path: Path, name: str) -> subprocess.Popen[str]:
    """A process that is about to open `path` and to commit until it is killed."""
    process = subprocess.Popen(
        [sys.executable, sqlite_kit.__file__, str(path), name],
        env=os.environ | {"PYTHONPATH": PATHS},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def kill_after(seconds: float, *victims: subprocess.Popen[str]) -> None:
    time.sleep(seconds)  # Where in its commit this finds the process is the point of the test.
    for victim in victims:
        assert victim.poll() is None
        victim.kill()
        victim.communicate()


def check_whole(path: Path) -> None:
    backend = opened(path)
    assert backend.verify() == []
    backend.close()


def check_every_message_is_there_once(path: Path) -> None:
    backend = opened(path)
    for conversation in finish(backend):
        assert (conversation.state, conversation.outputs) == ("done", 1)
    assert backend.verify() == []
    for thread in backend.threads():
        ids = [decode_message(slot).id for slot in backend.buffer_get_thread(thread.thread)]
        assert len(ids) == len(set(ids)) == thread.slots
    assert backend.totals().in_flight == 0
    backend.close()


def kill_often(path: Path, times: int) -> None:
    for number in range(times):
        victim = start(path, f"pump-{number}")
        kill_after(random.uniform(0.02, 0.25), victim)
        check_whole(path)


@pytest.mark.slow
def test_a_file_survives_kills_in_the_middle_of_commits(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    kill_often(path, 15)

    check_every_message_is_there_once(path)


def test_a_process_goes_on_while_others_are_killed_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    steady = start(path, "steady")

    for number in range(3):
        kill_after(random.uniform(0.05, 0.2), start(path, f"victim-{number}"))

    kill_after(0.1, steady)
    check_whole(path)
    check_every_message_is_there_once(path)


@pytest.mark.slow
def test_a_file_survives_kills_while_it_is_made(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"{number}.db"
        kill_after(random.uniform(0.0, 0.02), start(path, "one"), start(path, "two"))
        check_whole(path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_file_survives_a_hundred_kills(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"{number}.db"
        kill_often(path, 20)
        check_every_message_is_there_once(path)
