"""Organisms whose listeners start Buffers and Sequences, for the tests of these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from runtime.living import write
from runtime.stores import section

CODE = """
from xpipe import Items, RetryPolicy, SequenceStep

@dataclass
class Fan:
    target: str
    count: int = 0
    options: dict[str, Any] = field(default_factory=dict)

@dataclass
class Chain:
    steps: list[Any]
    n: int = 0

@dataclass
class Told:
    what: str
    code: str = ""
    text: str = ""
    total: int = 0
    codes: list[str] = field(default_factory=list)
    ns: list[int] = field(default_factory=list)
    listeners: list[str] = field(default_factory=list)
    unread: bool = False

def told(result):
    if isinstance(result, BufferComplete):
        codes = [one.code or "fine" for one in result.results]
        ns = [one.result.n for one in result.results if one.success]
        listeners = [one.listener for one in result.results]
        return respond(Told("complete", "", result.error, result.total, codes, ns, listeners, result.unread))
    if isinstance(result, Fault):
        return respond(Told(type(result).__name__, result.code, result.text))
    if isinstance(result, BufferDispatched):
        return respond(Told("dispatched", total=result.total))
    return respond(Told("sequence", ns=[result.result.n]))

async def fan(ask: Fan | BufferComplete | BufferDispatched | Fault, m: HandlerMetadata):
    if not isinstance(ask, Fan):
        return told(ask)
    items = [Ask(n) for n in range(ask.count)]
    if ask.target.startswith("all"):
        return HandlerResponse(Items(items), to=ask.target)
    return HandlerResponse(BufferStart(ask.target, items, **ask.options), to="system.buffer")

async def chain(ask: Chain | SequenceComplete | Fault | Answer, m: HandlerMetadata):
    if not isinstance(ask, Chain):
        return respond(ask) if isinstance(ask, Answer) else told(ask)
    steps = [SequenceStep(one[0], one[1], RetryPolicy(5, backoff=0.01) if one[2] else None)
             if isinstance(one, list) else one for one in ask.steps]
    return HandlerResponse(SequenceStart(steps, Ask(ask.n)), to="system.sequence")

UNDER_WAY = 0
MOST = 0

async def counted(ask: Ask, m: HandlerMetadata):
    global UNDER_WAY, MOST
    UNDER_WAY += 1
    MOST = max(MOST, UNDER_WAY)
    await asyncio.sleep(0)
    UNDER_WAY -= 1
    return respond(Answer(ask.n, str(MOST)))

async def echo(ask: Ask, m: HandlerMetadata):
    with (HERE / "handled").open("a") as file:
        file.write(f"{ask.n}\\n")
    return respond(Answer(ask.n))

async def gated(ask: Ask, m: HandlerMetadata):
    with (HERE / "begun").open("a") as file:
        file.write(f"{ask.n}\\n")
    while ask.n >= 10 and not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    return respond(Answer(ask.n))

async def picky(ask: Ask, m: HandlerMetadata):
    if ask.n % 2:
        raise ValueError(f"not {ask.n}")
    return respond(Answer(ask.n))

async def team_one(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 100))

def team_two(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 200))

async def plus(ask: Ask, m: HandlerMetadata):
    return respond(Ask(ask.n + 1))

async def flaky(ask: Ask, m: HandlerMetadata):
    tries = HERE / f"tries-{ask.n}"
    before = int(tries.read_text()) if tries.exists() else 0
    tries.write_text(str(before + 1))
    if before < 2:
        raise ConnectionError("not yet")
    return respond(Ask(ask.n + 1))

async def slow_at_first(ask: Ask, m: HandlerMetadata):
    if not (HERE / "seen").exists():
        (HERE / "seen").touch()
        await asyncio.sleep(60)
    return respond(Ask(ask.n + 1))

async def endless(ask: Ask, m: HandlerMetadata):
    (HERE / "begun").touch()
    await asyncio.sleep(60)
"""

NAMES = ("fan", "chain", "counted", "echo", "gated", "picky", "plus", "flaky", "slow_at_first", "endless")
GROUP = {"team.one": {"broadcast": True}, "team.two": {"broadcast": True}}


def organism_in(
    folder: Path, backend: str | dict[str, Any] = "memory", declared: dict[str, Any] | None = None, **sections: Any
) -> Path:
    """The organism in `folder`, on a backend of its own or with that section of it.

    `declared` are listeners without a handler, by name.
    """
    place = section(backend) if isinstance(backend, str) else backend
    listeners: dict[str, dict[str, Any]] = {**{name: {} for name in NAMES}, **GROUP}
    path = write(folder, CODE, listeners, backend=place, **sections)
    document = yaml.safe_load(path.read_text())
    document["listeners"] += [{"name": name, **options} for name, options in (declared or {}).items()]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def handled(folder: Path, name: str = "handled") -> list[int]:
    """The numbers that handlers wrote down, in their order."""
    path = folder / name
    return [int(line) for line in path.read_text().split()] if path.exists() else []
