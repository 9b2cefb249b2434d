"""However much comes in, or is fanned out, a run takes no more memory than for a tenth of it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from cli.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HANDLERS = '''
from dataclasses import dataclass
from pathlib import Path

from xpipe import BufferComplete, HandlerMetadata, HandlerResponse, Items

HERE = Path(__file__).parent


@dataclass
class Line:
    n: int


@dataclass
class Fan:
    file: str


@dataclass
class Sum:
    successful: int
    n: int


def note_peak(name) -> None:
    """Tell the test how much memory this process has taken at most so far, in KiB."""
    status = Path("/proc/self/status").read_text()
    (HERE / f"peak-{name}").write_text(status.partition("VmHWM:")[2].split()[0])


async def echo(line: Line, metadata: HandlerMetadata) -> HandlerResponse:
    if line.n % 5_000 == 0:
        note_peak(line.n)
    return HandlerResponse.respond(line)


async def fan(asked: Fan | BufferComplete, metadata: HandlerMetadata) -> HandlerResponse:
    if isinstance(asked, Fan):
        return HandlerResponse(Items(items_from=asked.file), to="echo-all")
    note_peak("end")
    return HandlerResponse.respond(Sum(asked.successful, sum(one.result.n for one in asked.results)))
'''
ORGANISM = """
organism: {name: flat}
listeners:
  - {name: echo, handler: "flat.py:echo"}
  - {name: fan, handler: "flat.py:fan", timeout: 0}
  - {name: echo-all, buffer: {target: echo, max_in_flight: 16}}
"""
FEW_THREADS = "backend: {type: %s, max_threads: 2000}\n"
"""What is over is kept until there are so many threads: a run takes memory for them, whatever comes in."""


@pytest.fixture
def organism(bench: Bench) -> Path:
    (bench.folder / "flat.py").write_text(HANDLERS, encoding="utf-8")
    return bench.folder / "organism.yaml"


def lines(count: int) -> Iterator[bytes]:
    return (b'{"to": "echo", "payload": {"n": %d}}\n' % n for n in range(count))


def peak(folder: Path, name: object) -> int:
    return int((folder / f"peak-{name}").read_text())


def feed(stream: IO[bytes], count: int) -> None:
    with stream:
        stream.writelines(lines(count))


def run(bench: Bench, organism: Path, *arguments: object, fed: int = 0) -> list[dict[str, object]]:
    """The outputs of a run to its end; `fed` lines come by stdin."""
    out = bench.folder / "out.jsonl"
    with out.open("wb") as stdout:
        process = bench.start(
            "run", organism, *arguments, "--format", "jsonl", stdout=stdout, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        feeding = threading.Thread(target=feed, args=(process.stdin, fed))
        feeding.start()
        assert process.wait(timeout=500) == 0
        feeding.join()
    return [json.loads(line) for line in out.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("backend", "count", "by_stdin"), [("memory", 200_000, True), ("sqlite, path: state.db", 50_000, False)]
)
def test_very_many_lines_of_input_run_in_the_memory_that_a_tenth_of_them_takes(
    bench: Bench, organism: Path, backend: str, count: int, by_stdin: bool
) -> None:
    organism.write_text(ORGANISM + FEW_THREADS % backend)
    if not by_stdin:
        (bench.folder / "in.jsonl").write_bytes(b"".join(lines(count)))

    outputs = run(bench, organism, "--input", "-" if by_stdin else "in.jsonl", fed=count if by_stdin else 0)

    assert sorted(one["payload"]["n"] for one in outputs) == list(range(count))  # type: ignore[index]  # a mapping
    assert peak(bench.folder, count - 5_000) < 1.25 * peak(bench.folder, count // 10)


def test_a_hundred_thousand_items_of_a_buffer_take_memory_for_their_results_only(bench: Bench, organism: Path) -> None:
    count = 100_000
    organism.write_text(ORGANISM + "backend: {type: sqlite, path: state.db}\n")
    (bench.folder / "items.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(count)))

    [output] = run(bench, organism, "--send", 'fan={"file": "items.jsonl"}')

    assert output["payload"] == {"successful": count, "n": sum(range(count))}
    running = peak(bench.folder, count - 10_000)
    assert running < 1.5 * peak(bench.folder, 10_000)
    assert peak(bench.folder, "end") - running < count  # One BufferComplete holds all results: up to 1 KiB for each.
