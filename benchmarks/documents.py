"""Files in and out: `xpipe run --input FILE --out FILE`, whole processes."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.calibration import look
from benchmarks.case import CALIBRATION, MESSAGES_PER_SECOND, PEAK, SECONDS, Case, Measure, Side
from benchmarks.child import run
from benchmarks.contestant import Outcome
from benchmarks.errors import Failed
from benchmarks.options import some
from benchmarks.peers.xpipe import ORGANISMS
from benchmarks.waiting import TEXT

ECHO = str(ORGANISMS / "echo" / "organism.yaml")
CPU_PER_MESSAGE = Measure("CPU ms/message", lambda one: 1_000 * one["cpu"] / one["messages"], 3)

Command = Callable[[str, str, str], Sequence[str]]
"""What reads one file and writes another, in the format named."""


def _xpipe(source: str, target: str, form: str) -> Sequence[str]:
    return "-m", "xpipe", "run", ECHO, "--input", source, "--out", target, "--format", form


def _bare(source: str, target: str, _form: str) -> Sequence[str]:
    return "-m", "benchmarks.peers.bare_xml", source, target


def _write(file: Path, form: str, messages: int) -> None:
    text = "x" * TEXT
    numbers = range(messages)
    if form == "xml":
        lines = [f"<Call><number>{number}</number><text>{text}</text></Call>" for number in numbers]
        lines = ["<messages>", *lines, "</messages>"]
    else:
        lines = [json.dumps({"to": "echo", "payload": {"number": number, "text": text}}) for number in numbers]
    file.write_text("\n".join(lines) + "\n")


def _go(command: Command, form: str, messages: int, wrapper: Sequence[str]) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="xpipe") as folder:
        source, target = Path(folder, f"in.{form}"), Path(folder, f"out.{form}")
        _write(source, form, messages)
        before = look()
        ran = run(*wrapper, sys.executable, *command(str(source), str(target), form))
        speed = before.and_then(look())
        _check(target.read_text(), messages)
    took = {"seconds": ran.seconds, "cpu": ran.cpu, "peak": ran.peak}
    return {**took, "messages": messages, "calibration": speed.wall, "calibration_cpu": speed.cpu}


def _check(written: str, messages: int) -> None:
    # Both forms write the text of each message once.
    if written.count("x" * TEXT) != messages:
        raise Failed(f"of {messages} messages {written.count('x' * TEXT)} were written")


def _sides(share: float) -> Sequence[Side]:
    messages = some(20_000, share)
    settings = "**bare lxml**: iterparse, and a new element for each, in one loop; nothing is checked or stored."
    return [
        Side("xpipe, XML", partial(_go, _xpipe, "xml", messages), is_xpipe=True),
        Side("xpipe, JSON Lines", partial(_go, _xpipe, "jsonl", messages), is_xpipe=True),
        Side("bare lxml", partial(_go, _bare, "xml", messages), settings),
    ]


CASES = (
    Case(
        "xml",
        "20,000 messages from a file, through one listener, into a file",
        _sides,
        (MESSAGES_PER_SECOND, SECONDS, CPU_PER_MESSAGE, PEAK, CALIBRATION),
        note="Whole processes, from start to exit, memory backend.",
    ),
)
