"""The check that no test leaves anything behind sees what a test may leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import leftovers
import pytest
import redis
import redis_server


def test_a_process_that_runs_is_seen_and_one_that_has_ended_is_not() -> None:
    processes = leftovers.Processes()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        [line] = processes.left()
        assert line.startswith(f"process {child.pid}: ")
        assert leftovers.Processes().left() == []

        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.left() == []


def test_a_new_file_is_seen_wherever_it_is_and_what_tools_and_people_write_is_not(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "old.py").touch()
    files = leftovers.Files(tmp_path)
    (inner / "old.py").write_text("changed")
    (inner / "new.py").touch()
    (inner / "__pycache__").mkdir()
    (inner / "__pycache__" / "x.pyc").touch()
    assert files.left() == []

    (tmp_path / "new").mkdir()
    left = [inner / "state.db", tmp_path / "new" / "out.txt"]
    for path in left:
        path.touch()

    assert set(files.left()) == {f"file {path}" for path in left}
    files.accept()
    assert files.left() == []


def test_what_xpipe_leaves_in_the_temp_folder_is_seen(tmp_path: Path) -> None:
    shared = tmp_path / f"xpipe-{os.getuid()}-random"
    shared.mkdir()
    (tmp_path / "other").mkdir()
    assert leftovers.temporary(tmp_path) == []

    (shared / "hello.json").touch()
    (tmp_path / "xpipe-abc").mkdir()

    assert sorted(leftovers.temporary(tmp_path)) == [f"file {shared / 'hello.json'}", f"file {tmp_path / 'xpipe-abc'}"]


@pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)
def test_a_key_without_ttl_is_seen_among_those_of_an_organism_that_has_one() -> None:
    with redis.Redis.from_url(redis_server.shared().url) as connection:
        for prefix, ttl in (("with:", 600), ("with:out:", None)):
            connection.hset(f"{prefix}organism", "root", "system.org")
            connection.hset(f"{prefix}registry", "id", "chain")
            connection.set(f"{prefix}uuid:1", "system.org", ex=ttl)
            connection.set(f"{prefix}chain:system.org", "1")
        connection.set("foreign", "1")

        assert leftovers.lasting_keys() == ["key with:chain:system.org without TTL"]
        assert connection.dbsize() == 0
