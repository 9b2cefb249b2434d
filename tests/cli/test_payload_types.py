"""One payload class with everything that was once lost, through every process that decodes it."""

from __future__ import annotations

import json

import pytest

from cli.bench import Bench

HANDLERS = """
from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from xpipe import HandlerMetadata, HandlerResponse


class Prio(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclass
class Maß:
    länge: int = 0


@dataclass
class Paket:
    type: str
    payload: dict[str, Any]
    prio: Prio
    größe: int = 0
    maße: list[Maß] = field(default_factory=list)
    gezählt: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.gezählt = ["made"]


@dataclass
class Told:
    text: str


def text(p: Paket) -> str:
    return f"{p.type} {p.payload} {p.prio.name} {p.größe} {[one.länge for one in p.maße]} {p.gezählt}"


async def take(p: Paket | Told, m: HandlerMetadata) -> HandlerResponse[Paket | Told]:
    if isinstance(p, Paket):
        p.gezählt.append("sent")
        return HandlerResponse(p, to="weigh")
    first = m.history[0].payload
    return HandlerResponse.respond(Told(f"{p.text} / {text(first)}"))


def weigh(p: Paket, m: HandlerMetadata) -> HandlerResponse[Told]:
    if m.attempt == 1 and p.größe == 8:
        raise ValueError("once more")
    return HandlerResponse.respond(Told(text(p)))
"""
ORGANISM = """
organism: parcels
backend: {type: sqlite, path: state.db}
process_pool: {workers: 1}
listeners:
  - {name: take, handler: "handlers.py:take"}
  - {name: weigh, handler: "handlers.py:weigh", cpu_bound: true, retry: {max_attempts: 2, backoff: 1ms, jitter: 0}}
  - {name: all, buffer: {target: weigh}}
"""
PARCEL = {"type": "order", "payload": {"id": 7}, "prio": 2, "größe": 7, "maße": [{"länge": 3}]}
SEEN = "order {'id': 7} HIGH 7 [3] ['made']"
SENT = SEEN.replace("['made']", "['made', 'sent']")


@pytest.fixture
def parcels(bench: Bench) -> Bench:
    (bench.folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    (bench.folder / "organism.yaml").write_text(ORGANISM, encoding="utf-8")
    return bench


def outputs(stdout: bytes) -> list[dict[str, object]]:
    return [json.loads(line)["payload"] for line in stdout.splitlines()]


def test_a_payload_arrives_whole_in_a_worker_in_the_history_and_after_a_retry(parcels: Bench) -> None:
    again = PARCEL | {"größe": 8}
    run = parcels.run(
        *("run", "organism.yaml", "--jsonl", "--send", f"take={json.dumps(PARCEL, ensure_ascii=False)}"),
        *("--send", f"weigh={json.dumps(again, ensure_ascii=False)}"),
    )

    texts = {str(one.get("text")) for one in outputs(run.stdout)}
    assert texts == {f"{SENT} / {SEEN}", SEEN.replace("7 [3]", "8 [3]")}, run.stderr


def test_so_it_does_as_an_item_of_a_buffer_and_from_a_file(parcels: Bench) -> None:
    (parcels.folder / "in.json").write_text(json.dumps({"to": "all", "payload": {"items": [PARCEL]}}), encoding="utf-8")

    run = parcels.run("run", "organism.yaml", "--jsonl", "--input", "in.json")

    [complete] = outputs(run.stdout)
    assert complete["results"][0]["result"]["payload"] == {"text": SEEN}, run.stderr  # type: ignore[index]  # JSON


def test_so_it_does_when_one_process_sends_and_others_look_and_resume(parcels: Bench) -> None:
    parcels.run("send", "organism.yaml", f"take={json.dumps(PARCEL, ensure_ascii=False)}")
    run = parcels.run("run", "organism.yaml", "--resume", "--jsonl")

    [output] = outputs(run.stdout)
    assert output == {"text": f"{SENT} / {SEEN}"}, run.stderr
    thread = json.loads(parcels.run("threads", "organism.yaml", "--jsonl").stdout.splitlines()[0])["thread"]
    traced = parcels.run("trace", "organism.yaml", thread, "--payloads", "--json").stdout.decode()
    assert '"größe":7' in traced.replace(" ", "").replace("\\u00f6", "ö").replace("\\u00df", "ß")
