"""Runs whose state stays, to be looked into."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from typing import Any

import redis_server

from cli.bench import Bench, wait_until

SQLITE = "backend: {type: sqlite, path: state/bench.db}\n"
STATE_FILE = "state/bench.db"


def rows(stdout: bytes) -> list[dict[str, Any]]:
    """The rows in JSON Lines, without the schema_version that each of them has."""
    found = [json.loads(line) for line in stdout.splitlines()]
    assert {row.pop("schema_version") for row in found} <= {1}
    return found


@dataclass
class Stored:
    """An organism in `bench` that keeps its state in the backend `settings`; `options` say where without its file."""

    bench: Bench
    settings: str
    options: tuple[str, ...]

    def organism(self, *names: str, more: str = "") -> None:
        """Make organism.yaml with the listeners `names`."""
        self.bench.organism(*names, extra=self.settings + more)

    def run(self, *sends: str) -> dict[str, Any]:
        """Send to the organism what `sends` say, and wait; the document of the run."""
        options = [word for send in sends for word in ("--send", send)]
        run = self.bench.run("run", "organism.yaml", "--json", "--workers", "1", *options)
        assert run.returncode in (0, 1), run.stderr
        document: dict[str, Any] = json.loads(run.stdout)
        return document

    def look(self, command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """The command on organism.yaml, ended well."""
        looked = self.bench.run(command, "organism.yaml", *arguments, **variables)
        assert (looked.returncode, looked.stderr) == (0, b""), looked
        return looked

    def text(self, command: str, *arguments: str) -> str:
        """What the command prints for people."""
        return self.look(command, *arguments).stdout.decode()

    def json(self, command: str, *arguments: str) -> dict[str, Any]:
        """The document that the command prints."""
        document: dict[str, Any] = json.loads(self.look(command, *arguments, "--json").stdout)
        assert document["schema_version"] == 1
        return document

    def jsonl(self, command: str, *arguments: str) -> list[dict[str, Any]]:
        """The rows that the command prints."""
        return rows(self.look(command, *arguments, "--jsonl").stdout)

    def kill_a_run(self, name: str, *sends: str, outputs: int = 0) -> None:
        """Start a run with `sends`; kill it when the handler told the name `name` runs and `outputs` wait in vain."""
        options = [word for send in sends for word in ("--send", send)]
        process = self.bench.start("run", "organism.yaml", *options)
        wait_until(lambda: (self.bench.folder / name).exists())
        wait_until(lambda: not outputs or len(self.jsonl("outputs", "--undelivered")) == outputs)
        process.send_signal(signal.SIGKILL)
        process.communicate()


def in_sqlite(bench: Bench) -> Stored:
    return Stored(bench, SQLITE, ("--backend", "sqlite", "--path", STATE_FILE))


def in_redis(bench: Bench) -> Stored:
    url, prefix = redis_server.shared().tcp, redis_server.new_prefix()
    settings = f"backend: {{type: redis, redis_url: '{url}', redis_prefix: '{prefix}'}}\n"
    return Stored(bench, settings, ("--backend", "redis", "--url", url, "--prefix", prefix))


KINDS = {"sqlite": in_sqlite, "redis": in_redis}
