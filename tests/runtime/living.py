"""Organisms on disk, driven through the embedding API: the real pump, real threads, real worker processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from xpipe import Organism, Output
from xpipe.ports import Load

T = TypeVar("T")

PRELUDE = """\
import asyncio, contextvars, functools, os, re, signal, sys, threading, time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xpipe import BufferComplete, BufferDispatched, BufferError, BufferStart, Fault
from xpipe import HandlerMetadata, HandlerResponse, SequenceComplete, SequenceError, SequenceStart

respond = HandlerResponse.respond
HERE = Path(__file__).parent


@dataclass
class Ask:
    n: int = 0
    text: str = ""


@dataclass
class Answer:
    n: int = 0
    text: str = ""


"""


def write(folder: Path, code: str, listeners: dict[str, dict[str, Any]], **sections: Any) -> Path:
    """An organism in `folder`: handlers.py with `code` below PRELUDE, and its YAML file.

    `listeners` gives the options of each; the handler of `a.b` is the function `a_b`, unless the options say otherwise.
    """
    (folder / "handlers.py").write_text(PRELUDE + code, encoding="utf-8")
    entries = [
        {"name": name, "handler": f"handlers.py:{name.replace('.', '_')}", **options}
        for name, options in listeners.items()
    ]
    document = {"organism": {"name": "living"}, "listeners": entries, **sections}
    path = folder / "organism.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def live(
    path: Path, scenario: Callable[[Organism], Awaitable[T]], *, workers: int | None = None, deadline: float = 30.0
) -> T:
    """What `scenario` returns, given the started organism of `path`; the organism is stopped in any case."""

    async def run() -> T:
        organism = Organism.load(path, workers=workers)
        async with asyncio.timeout(deadline), organism:
            return await scenario(organism)

    return asyncio.run(run())


def payload(organism: Organism, type: str = "Ask", **fields: Any) -> Any:
    """An instance of one of the organism's payload classes."""
    return organism.types.class_of(type)(**fields)


def count_looks(organism: Organism) -> list[Load]:
    """Grows with each look at how busy the backend is."""
    looks: list[Load] = []
    load = organism.backend.load

    def counted() -> Load:
        looks.append(load())
        return looks[-1]

    organism.backend.load = counted  # type: ignore[method-assign]
    return looks


async def ask(organism: Organism, to: str, type: str = "Ask", **fields: Any) -> list[Output]:
    """The outputs of a conversation that begins with a message to `to`."""
    return await organism.outputs(await organism.inject(to, payload(organism, type, **fields)))


async def answer(organism: Organism, to: str, type: str = "Ask", **fields: Any) -> Any:
    """The payload of the one response to a message to `to`."""
    outputs = await ask(organism, to, type, **fields)
    assert [output.kind for output in outputs] == ["response"], outputs
    return outputs[0].payload


async def fault(organism: Organism, to: str, type: str = "Ask", **fields: Any) -> Any:
    """The one fault that a message to `to` ends in."""
    outputs = await ask(organism, to, type, **fields)
    assert [output.kind for output in outputs] == ["fault"], outputs
    return outputs[0].payload


async def inject_many(organism: Organism, to: str, count: int, type: str = "Ask") -> list[str]:
    """`count` conversations, numbered in the field `n`, begun in one commit."""
    return await organism.inject_all(
        [organism.intake.injection("api", to, payload(organism, type, n=number)) for number in range(count)]
    )


async def until(condition: Callable[[], bool], deadline: float = 10.0) -> None:
    """Wait for `condition`; an AssertionError if it does not come about in time."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition did not come about in time"
        await asyncio.sleep(0.005)


def until_true(condition: Callable[[], bool], deadline: float = 10.0) -> None:
    """As `until`, outside of an event loop."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition did not come about in time"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether the process `pid` runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def assert_nothing_left(organism: Organism) -> None:
    """No message, conversation or join of `organism` is under way any more."""
    totals = organism.backend.totals()
    assert (totals.in_flight, totals.conversations_active, totals.joins) == (0, 0, 0), totals
    assert list(organism.backend.joins()) == []
    assert organism.pump.under_way == 0
