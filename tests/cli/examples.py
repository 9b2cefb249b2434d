"""The examples at the end of each --help, and a folder in which they can be typed as they stand there."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis_server

from cli.bench import Bench
from xpipe.cli.app import XPIPE
from xpipe.cli.commands import make_group

HANDLERS = """
from dataclasses import dataclass
from pathlib import Path

from xpipe import HandlerMetadata, HandlerResponse


@dataclass
class Greeting:
    name: str


@dataclass
class Order:
    number: int


@dataclass
class Done:
    text: str


async def greet(greeting: Greeting, _metadata: HandlerMetadata) -> HandlerResponse[Done]:
    if Path(__file__).with_name("moody").exists():
        raise ValueError(f"not {greeting.name} again")
    return HandlerResponse.respond(Done(f"Hello, {greeting.name}!"))


async def analyse(order: Order, _metadata: HandlerMetadata) -> HandlerResponse[Done]:
    return HandlerResponse.respond(Done(f"order {order.number}"))
"""
ORGANISM = """organism: {name: examples}
backend: {type: sqlite, path: state/examples.db}
listeners:
  - {name: greeter, handler: 'handlers.py:greet'}
  - {name: analyse, handler: 'handlers.py:analyse'}
messages:
  - {to: greeter, payload: {name: Ada}}
"""
REDIS_URL = "redis://localhost:6379/0"
JQ = """#!{python}
import json, sys
text = sys.stdin.read()
if sys.argv[-1] == ".conversation":
    for line in text.splitlines():
        print(json.loads(line)["conversation"])
else:
    json.loads(text)
"""
DOT = "#!/bin/sh\nexec cat\n"


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    group = group or make_group(XPIPE, "xpipe")
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


def examples(command: Any) -> list[str]:
    """The examples of `command`, as they are typed."""
    title, *lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip()]
    assert title == "[bold]Examples[/bold]"
    return lines


def all_examples() -> list[str]:
    """Those of all commands, each once."""
    return list(dict.fromkeys(line for _, command in commands() for line in examples(command)))


def prepare(bench: Bench) -> dict[str, str]:
    """Make all that the examples speak of; what stands for the ids and the server in them."""
    folder = bench.folder
    (folder / "handlers.py").write_text(HANDLERS)
    (folder / "organism.yaml").write_text(ORGANISM)
    (folder / "orders.xml").write_text("<messages><Order><number>1</number></Order></messages>")
    (folder / "greeting.xml").write_text("<Greeting><name>Ada</name></Greeting>")
    (folder / "events.gz").write_bytes(gzip.compress(b'{"number": 2}\n{"number": 3}\n'))
    _install(folder / "bin")
    (folder / "moody").touch()
    sends = [word for name in "abcd" for word in ("--send", f'greeter={{"name": "{name}"}}')]
    assert bench.run("run", "organism.yaml", "--no-messages", *sends).returncode == 1
    (folder / "moody").unlink()
    ran = json.loads(bench.run("run", "organism.yaml", "--json").stdout)
    return {"cli-1": "yaml-1", "3f2a": ran["outputs"][0]["conversation"][:13]}


def prepare_unfinished(bench: Bench) -> dict[str, str]:
    """Two conversations that wait for a run; what stands for their ids."""
    sends = ['greeter={"name": "Eve"}', 'greeter={"name": "Mallory"}']
    first, second = bench.run("send", "organism.yaml", *sends).stdout.decode().split()
    return {"3f2a": first[:13], "70c1": second[:13]}


def prepare_redis(bench: Bench) -> dict[str, str]:
    """The same organism in Redis; its URL, and the variable with its prefix."""
    url, prefix = redis_server.shared().tcp, redis_server.new_prefix()
    backend = f"backend={{type: redis, redis_url: '{url}', redis_prefix: '{prefix}'}}"
    assert bench.run("run", "organism.yaml", "--set", backend).returncode == 0
    return {REDIS_URL: url, "XPIPE_REDIS_PREFIX": prefix}


def _install(folder: Path) -> None:
    """Put `xpipe` on the path, and stand-ins for the tools that are not there."""
    folder.mkdir()
    tools = {"xpipe": f'#!/bin/sh\nexec {sys.executable} -m xpipe "$@"\n'}
    tools |= {
        name: text
        for name, text in {"jq": JQ.format(python=sys.executable), "dot": DOT}.items()
        if not shutil.which(name)
    }
    for name, text in tools.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def path_with(folder: Path) -> str:
    """PATH with the tools of `folder` first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
