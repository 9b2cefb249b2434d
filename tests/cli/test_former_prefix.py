"""The default prefix was `xpipe:` once: an organism that is still there is not begun anew under `xp:`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import redis_server

from cli.bench import Bench

REFUSED = (
    b"system.bench is not here, but under 'xpipe:', the default prefix of earlier versions; "
    b'pass redis_prefix: "xpipe:" to keep using it, or redis_prefix: "xp:" to start over'
)


@pytest.fixture
def url() -> str:
    if redis_server.binary() is None:
        pytest.skip(redis_server.NO_SERVER)
    return redis_server.shared().url


def organism(bench: Bench, url: str, prefix: str = "") -> Path:
    given = f", redis_prefix: '{prefix}'" if prefix else ""
    return bench.organism("echo", extra=f"backend: {{type: redis, redis_url: '{url}'{given}}}\n")


SEND = ("--send", 'echo={"text": "one"}')


@pytest.mark.parametrize(
    "command",
    [("run", *SEND), ("run", "--resume"), ("threads",), ("send", 'echo={"text": "one"}'), ("gc",), ("outputs",)],
)
def test_an_organism_under_the_former_prefix_is_reported(bench: Bench, url: str, command: Sequence[str]) -> None:
    assert bench.run("run", organism(bench, url, "xpipe:"), *SEND).returncode == 0
    name, *options = command

    found = bench.run(name, organism(bench, url), *options)

    assert (found.returncode, found.stdout) == (4, b"")
    assert REFUSED in found.stderr
    assert b"Traceback" not in found.stderr


def test_a_command_without_a_file_reports_it_too(bench: Bench, url: str) -> None:
    assert bench.run("run", organism(bench, url, "xpipe:"), *SEND).returncode == 0

    found = bench.run("threads", "--backend", "redis", "--url", url)
    given = bench.run("threads", "--backend", "redis", "--url", url, "--prefix", "xpipe:")

    assert found.returncode == 4
    assert REFUSED in found.stderr
    assert given.returncode == 0


def test_an_explicit_prefix_is_used_and_one_in_use_stays(bench: Bench, url: str) -> None:
    assert bench.run("run", organism(bench, url, "xpipe:"), *SEND).returncode == 0

    anew = bench.run("run", organism(bench, url, "xp:"), *SEND)
    then = bench.run("run", organism(bench, url), *SEND)

    assert (anew.returncode, then.returncode) == (0, 0), anew.stderr + then.stderr


def test_another_organism_under_the_former_prefix_is_ignored(bench: Bench, url: str) -> None:
    file = organism(bench, url, "xpipe:")
    file.write_text(file.read_text().replace("{name: bench}", "{name: other}"))
    assert bench.run("run", file, *SEND).returncode == 0

    assert bench.run("run", organism(bench, url), *SEND).returncode == 0
