"""What the README says of the backends is true."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
import redis_server

from cli.bench import Bench, wait_until

README = Path(__file__).parents[2] / "README.md"


def rows() -> dict[str, list[str]]:
    """The table of backends: the cells of each type."""
    table = README.read_text("utf-8").partition("## Backends")[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {re.findall(r"`(\w+)`", row[0])[0]: row for row in cells}


def settings(kind: str) -> str:
    if kind == "redis":
        if redis_server.binary() is None:
            pytest.skip(redis_server.NO_SERVER)
        url, prefix = redis_server.shared().url, redis_server.new_prefix()
        return f"backend: {{type: redis, redis_url: '{url}', redis_prefix: '{prefix}'}}\n"
    path = ", path: state.db" if kind == "sqlite" else ""
    return f"backend: {{type: {kind}{path}}}\n"


@pytest.mark.parametrize("kind", ["memory", "manager", "sqlite", "redis"])
def test_a_killed_run_goes_on_where_the_table_says_so(bench: Bench, kind: str) -> None:
    organism = bench.organism("waiter", extra=settings(kind))
    process = bench.start("run", organism, "--send", 'waiter={"text": "began"}')
    wait_until(lambda: (bench.folder / "began").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (bench.folder / "go").touch()

    resumed = bench.run("run", organism, "--resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    answers = [one["payload"] for one in json.loads(resumed.stdout)["outputs"]]
    assert rows()[kind][3] == ("yes" if answers == [{"text": "waited"}] else "no")


@pytest.mark.parametrize("kind", ["memory", "manager", "sqlite", "redis"])
def test_others_can_look_in_where_the_table_says_so(bench: Bench, kind: str) -> None:
    organism = bench.organism("sleeper", extra=settings(kind))
    process = bench.start("run", organism, "--send", 'sleeper={"text": "began", "seconds": 600}', "--grace", "0")
    wait_until(lambda: (bench.folder / "began").exists())

    looked = bench.run("threads", organism, "--json")

    process.terminate()
    process.communicate()
    assert (looked.returncode == 0) == (rows()[kind][4] != "nobody")


def test_the_table_names_every_backend() -> None:
    assert list(rows()) == ["memory", "manager", "sqlite", "redis"]
