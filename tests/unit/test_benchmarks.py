"""`python -m benchmarks`: its command line, its tables, and what it takes a child's memory to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis_server

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the package `benchmarks` is."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_the_cases_are_listed_with_what_they_are() -> None:
    listed = python("-m", "benchmarks", "--list")

    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["scale", "startup", "workers"]
    assert all(len(line.split()) > 3 for line in listed.stdout.splitlines())


def test_an_unknown_case_is_a_usage_error_that_names_those_there_are() -> None:
    refused = python("-m", "benchmarks", "speed")

    assert refused.returncode == 2
    assert "no such case: speed; there are scale, startup, workers" in refused.stderr


def test_the_peak_memory_of_a_child_is_its_own_and_not_that_of_who_measures() -> None:
    measured = python(
        "-c",
        "from benchmarks.child import run; import sys; ballast = bytearray(b'x') * 200_000_000;"
        "print(run(sys.executable, '-c', 'print(1)').peak)",
    )

    assert 1 < float(measured.stdout) < 100


def test_a_child_that_fails_is_named_with_what_it_said() -> None:
    failed = python("-c", "from benchmarks.child import run_xpipe; run_xpipe('threads', '--backend', 'nothing')")

    assert "benchmarks.errors.Failed" in failed.stderr
    assert "exit code 2: xpipe: there is no backend 'nothing'" in failed.stderr


@pytest.mark.slow
@pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)
def test_the_case_scale_fills_four_tables_and_writes_the_same_as_json(tmp_path: Path) -> None:
    done = python("-m", "benchmarks", "scale", "--quick", "--repeats", "1", "--json", str(tmp_path / "scale.json"))

    # Whether a bar is met at this size, on whatever machine this is, is not what is tested.
    assert done.returncode in (0, 1), done.stderr
    written = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))
    tables = written["cases"]["scale"]
    assert [len(table["rows"]) for table in tables] == [2, 11, 6, 4]
    assert all(table["bars"] for table in tables)
    assert all(f"### {table['title']}" in done.stdout for table in tables)
    assert {"processor", "cores", "memory", "system"} <= written["machine"].keys()
    assert written["versions"]["redis-server"] in done.stdout
