"""The organism that is killed: calls, Sequences, a Buffer of CPU-bound items, a group. Each document has an id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

HANDLERS = '''
import asyncio
from dataclasses import dataclass

from xpipe import BufferComplete, BufferStart, HandlerMetadata, HandlerResponse, SequenceComplete, SequenceStart

respond = HandlerResponse.respond


@dataclass
class Count:
    id: int


@dataclass
class Chain:
    id: int


@dataclass
class Spread:
    id: int
    items: int


@dataclass
class Question:
    id: int


@dataclass
class Number:
    n: int


@dataclass
class Answer:
    id: int
    result: int


def asked(metadata: HandlerMetadata):
    """The document, read from the thread's history: what a killed run has recorded must be there."""
    return metadata.history[0].payload.id


async def counter(message: Count | Number, metadata: HandlerMetadata):
    if isinstance(message, Count):
        return HandlerResponse(Number(message.id), to="adder")
    replies = [slot for slot in metadata.history if slot.kind == "response"]
    if len(replies) < 3:
        return HandlerResponse(Number(message.n), to="adder")
    return respond(Answer(asked(metadata), message.n))


async def chainer(message: Chain | SequenceComplete, metadata: HandlerMetadata):
    if isinstance(message, Chain):
        return HandlerResponse(SequenceStart(["adder", "waiter", "adder"], Number(message.id)), to="system.sequence")
    return respond(Answer(asked(metadata), message.result.n))


async def spreader(message: Spread | BufferComplete, metadata: HandlerMetadata):
    if isinstance(message, Spread):
        items = [Number(message.id + n) for n in range(message.items)]
        return HandlerResponse(BufferStart("cruncher", items), to="system.buffer")
    return respond(Answer(asked(metadata), sum(one.result.n for one in message.results)))


async def group_quick(question: Question, metadata: HandlerMetadata):
    return respond(Answer(question.id, question.id * 5))


async def group_calling(message: Question | Number, metadata: HandlerMetadata):
    if isinstance(message, Question):
        return HandlerResponse(Number(message.id), to="waiter")
    return respond(Answer(asked(metadata), message.n * 5 + 1))


async def group_slow(question: Question, metadata: HandlerMetadata):
    await asyncio.sleep(0.2)  # So that the other answers may have been printed and confirmed by then.
    return respond(Answer(question.id, question.id * 5 + 2))


def adder(number: Number, metadata: HandlerMetadata):
    return respond(Number(number.n + 1))


async def waiter(number: Number, metadata: HandlerMetadata):
    await asyncio.sleep(0.001)
    return respond(Number(number.n * 2))


def cruncher(number: Number, metadata: HandlerMetadata):
    return respond(Number(number.n * 3 + sum(range(1000)) - 499500))
'''

_PLAIN = ("counter", "chainer", "spreader", "adder", "waiter")
_GROUP = ("group.quick", "group.calling", "group.slow")
"""Each of them answers for itself: a document for the group has so many outputs."""


def write_organism(folder: Path, backend: dict[str, object]) -> Path:
    """The organism on `backend`; on the memory one without workers. Its file."""
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    in_worker = backend["type"] != "memory"
    listeners = [{"name": name, "handler": f"handlers.py:{name}"} for name in _PLAIN]
    listeners += (
        {"name": name, "handler": f"handlers.py:{name.replace('.', '_')}", "broadcast": True} for name in _GROUP
    )
    listeners.append({"name": "cruncher", "handler": "handlers.py:cruncher", "cpu_bound": in_worker})
    organism = {"organism": {"name": "mortal"}, "backend": backend, "listeners": listeners}
    file = folder / "organism.yaml"
    file.write_text(json.dumps(organism | {"process_pool": {"workers": 1}}), encoding="utf-8")  # YAML reads JSON.
    return file


def document(id: int) -> dict[str, object]:
    """The document `id`: one in eight is a fan-out to some tens of items, one in eight has several answers."""
    if id % 8 == 3:
        return {"to": "spreader", "payload": {"id": id, "items": 20 + id % 5}}
    if id % 8 == 6:
        return {"to": "group", "payload": {"id": id}}
    return {"to": "chainer" if id % 3 == 1 else "counter", "payload": {"id": id}}


def answers_to(ids: Iterable[int]) -> list[int]:
    """The documents `ids`, each as often as it has answers."""
    return [id for id in ids for _ in (_GROUP if document(id)["to"] == "group" else "1")]


def write_documents(file: Path, ids: range) -> None:
    """Append the documents `ids` to `file`."""
    with file.open("a", encoding="utf-8") as lines:
        lines.writelines(f"{json.dumps(document(id))}\n" for id in ids)
