"""An organism in which one message of many meets trouble, in every kind of orchestration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HANDLERS = '''
import asyncio, ctypes, os, signal, time
from dataclasses import dataclass
from pathlib import Path

from xpipe import BufferComplete, BufferStart, Fault, HandlerMetadata, HandlerResponse, Reject
from xpipe import SequenceComplete, SequenceStart

HERE = Path(__file__).parent
respond = HandlerResponse.respond


@dataclass
class Job:
    """`trouble` names what happens to the item `n` that is `guilty`; `shape` is how its conversation works."""

    trouble: str
    shape: str = "call"
    guilty: int = -1
    n: int = 0
    worker: bool = False
    inner: bool = False


@dataclass
class Done:
    n: int


class Unknown:
    pass


async def entry(given: Job | Done | BufferComplete | SequenceComplete, metadata: HandlerMetadata):
    if isinstance(given, Job):
        return begin(given)
    if isinstance(given, BufferComplete):
        assert [one.index for one in given.results] == list(range(given.total))
        bad = [f"{one.index}:{one.code}" for one in given.results if not one.success]
        if bad and metadata.own_name == "inner":
            return respond(Fault("partial", ", ".join(bad)))
        return respond(Done(given.successful) if not bad else Failed(given.successful, bad))
    return respond(given.result if isinstance(given, SequenceComplete) else given)


@dataclass
class Failed:
    successful: int
    bad: list[str]


def begin(job: Job) -> HandlerResponse:
    work = "heavy" if job.worker else "calm" if job.trouble in ("interrupted", "cancelled") else "work"
    items = [Job(job.trouble, "call", job.guilty, n, job.worker) for n in range(6)]
    if job.shape == "call":
        return HandlerResponse(items[max(job.guilty, 0)], to=work)
    if job.shape == "sequence":
        steps = ["pass.one", work, "pass.two"]
        return HandlerResponse(SequenceStart(steps, items[max(job.guilty, 0)]), to="system.sequence")
    if job.shape == "buffer" or job.inner:
        return HandlerResponse(BufferStart(work, items, max_in_flight=2), to="system.buffer")
    inner = [Job(job.trouble, "nested", job.guilty if n == 1 else -1, n, job.worker, True) for n in range(3)]
    return HandlerResponse(BufferStart("inner", inner), to="system.buffer")


inner = entry


async def passes(job: Job | Done, metadata: HandlerMetadata):
    return respond(job)


async def work(job: Job, metadata: HandlerMetadata):
    if job.n == job.guilty:
        mark("began")
        await trouble(job.trouble, metadata)
    return respond(Done(job.n))


def heavy(job: Job, metadata: HandlerMetadata):
    if job.n == job.guilty:
        mark("began")
        worker_trouble(job.trouble)
        if job.trouble == "not a payload":
            return respond(Unknown())
    return respond(Done(job.n))


async def trouble(name: str, metadata: HandlerMetadata):
    if name == "exception":
        raise ValueError("as it was asked to")
    if name == "fails twice" and metadata.attempt < 3:
        raise OSError("not yet")
    if name == "rejected":
        raise Reject("not this")
    if name == "timeout":
        await asyncio.sleep(600)
    if name in ("interrupted", "cancelled"):
        while not (HERE / "go").exists():
            await asyncio.sleep(0.01)


def worker_trouble(name: str) -> None:
    if name == "worker killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "worker exits":
        os._exit(3)
    if name == "segfault":
        ctypes.string_at(0)
    if name == "hangs":
        time.sleep(600)
    if name == "recursion":
        worker_trouble(name)


def mark(name: str) -> None:
    (HERE / name).touch()
'''


def write(folder: Path, backend: dict[str, Any]) -> Path:
    """The organism's files; the path of its YAML."""
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")

    def listener(name: str, handler: str = "", **options: Any) -> dict[str, Any]:
        return {"name": name, "handler": f"handlers.py:{handler or name}", **options}

    listeners = [
        listener("entry", timeout=0),
        listener("inner", timeout=0),
        listener("pass.one", "passes"),
        listener("pass.two", "passes"),
        listener("work", timeout="2s", retry={"max_attempts": 3, "backoff": "10ms", "on": ["OSError"]}),
        listener("calm", "work", timeout=0),
        listener("heavy", timeout="2s", cpu_bound=True),
    ]
    document = {"organism": "matrix", "backend": backend, "process_pool": {"workers": 2}, "listeners": listeners}
    path = folder / "organism.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path
