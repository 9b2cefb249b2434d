"""Organisms that give messages up, and what `xpipe dead` says of that."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from cli.stored import Stored

MOODY = """

async def moody(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    if not Path("mended").exists():
        raise ValueError(f"cannot do {ask.text}")
    return HandlerResponse.respond(Told(f"done {ask.text}"))


async def sulk(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse:
    from xpipe import Fault

    return HandlerResponse.respond(Fault("sulking", "not today"))


async def forget_sulk(ask: Ask, metadata: HandlerMetadata) -> HandlerResponse | None:
    return HandlerResponse(BufferStart("sulk", [Ask("this")], collect=False), to="system.buffer")
"""
BROKEN, MOODY_ONE, MOODY_TWO = 'broken={"text": "this"}', 'moody={"text": "one"}', 'moody={"text": "two"}'


def dead(stored: Stored, command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return stored.bench.run("dead", command, "organism.yaml", *arguments, **variables)


def listed(stored: Stored, *options: str) -> list[dict[str, Any]]:
    """The rows of `dead list`."""
    found = dead(stored, "list", *options, "--json")
    assert (found.returncode, found.stderr) == (0, b""), found
    document = json.loads(found.stdout)
    assert document["schema_version"] == 1
    rows: list[dict[str, Any]] = document["dead_letters"]
    return rows


def numbers(stored: Stored, *options: str) -> list[int]:
    return [row["number"] for row in listed(stored, *options)]


def make(stored: Stored, *names: str) -> None:
    """An organism with the listeners `names`, some of which fail until the file mended is there."""
    handlers = stored.bench.folder / "handlers.py"
    handlers.write_text(handlers.read_text() + MOODY)
    stored.organism(*names)


def mend(stored: Stored) -> None:
    (stored.bench.folder / "mended").touch()
