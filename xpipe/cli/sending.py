"""`xpipe send` from its plan to its exit code."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from xpipe.assembly.sender import Sender
from xpipe.cli.console import Medium, Printer
from xpipe.cli.errors import exit_code_of_signal
from xpipe.cli.formats import SCHEMA_VERSION, encode_json, json_line, output_record
from xpipe.cli.harvest import unwritable
from xpipe.cli.loading import load_organism
from xpipe.cli.logs import taken_in
from xpipe.cli.outlet import Descriptor, claim_open_stdout, claim_stdout
from xpipe.cli.pasting import command_line, resume_command
from xpipe.cli.rendering import output_lines
from xpipe.cli.send import SendPlan
from xpipe.cli.text import counted, visible
from xpipe.cli.voice import tell
from xpipe.core.durations import format_duration
from xpipe.core.errors import EXIT_FAULT, EXIT_OK, EXIT_UNFINISHED, PayloadError
from xpipe.core.messages import Injection
from xpipe.runtime.happenings import Ending, Output, Unheard

SOURCE = "send"
"""The name of the initiators."""


def execute(plan: SendPlan) -> int:
    """Send what `plan` says, and tell what came of it; the exit code."""
    stdout = claim_open_stdout() if plan.wait else claim_stdout()
    with taken_in():
        return _execute(plan, stdout)


def _execute(plan: SendPlan, stdout: Descriptor) -> int:
    definition = load_organism(plan.file, plan.overrides)
    sender = Sender(definition, plan.wait)
    injections = [_injection(sender, plan, at) for at in range(len(plan.sends))]
    deadline = time.monotonic() + plan.timeout if plan.timeout is not None else math.inf
    with sender, _orderly_end():
        if not sender.is_served():
            waits = f"the messages wait for `{resume_command(plan.file, plan.overrides)}`"
            tell(f"xpipe: no run of {definition.name} is active; {waits}", "warning")
        if not _wait_for_room(sender, plan, deadline):
            return EXIT_UNFINISHED
        conversations = sender.inject(injections)
        if not plan.wait:
            _print_ids(plan, stdout, conversations)
            return EXIT_OK
        return Answers(plan, stdout, sender, conversations).collect(deadline)


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM ends the waiting as Ctrl-C does: what has not been answered is named."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        raise SystemExit(exit_code_of_signal(number))

    earlier = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _wait_for_room(sender: Sender, plan: SendPlan, deadline: float) -> bool:
    if sender.has_room():
        return True
    full = "its backend is full (limits.in_flight or backend.max_threads)"
    tell(f"xpipe: {plan.file}: {full}; waiting for capacity", "warning")
    if sender.wait_for_room(deadline):
        return True
    timeout = format_duration(plan.timeout or 0.0)
    hint = "send again when runs have finished or printed more"
    tell(f"xpipe: no capacity within {timeout}; nothing was sent; {hint}", "error")
    return False


def _injection(sender: Sender, plan: SendPlan, at: int) -> Injection:
    send = plan.sends[at]
    payload = sender.intake.inbound.decode_value(send.payload, send.to, "", send.where)
    return sender.intake.injection(SOURCE, send.to, payload)


def _print_ids(plan: SendPlan, stdout: Descriptor, conversations: list[str]) -> None:
    version = {"schema_version": SCHEMA_VERSION}
    if plan.json:
        stdout.write(encode_json({**version, "conversations": conversations}) + b"\n")
    elif plan.jsonl:
        stdout.write(b"".join(encode_json({**version, "conversation": one}) + b"\n" for one in conversations))
    else:
        stdout.write("".join(f"{one}\n" for one in conversations).encode())


class Answers:
    """What the conversations answer, printed as it comes or, with --json, at the end."""

    def __init__(self, plan: SendPlan, stdout: Descriptor, sender: Sender, conversations: list[str]) -> None:
        self._plan = plan
        self._stdout = stdout
        self._sender = sender
        self._conversations = conversations
        self._left = set(conversations)
        self._lines: list[bytes] = []
        self._counts: Counter[str] = Counter()
        self._faults = 0

    def collect(self, deadline: float) -> int:
        """Wait for the ends of all; the exit code."""
        try:
            for happening in self._sender.happenings(self._conversations, deadline):
                match happening:
                    case Output():
                        self._take(happening)
                    case Ending():
                        self._left.discard(happening.conversation)
                    case Unheard():
                        self._faults += 1
                        fault = visible(f"{happening.fault.origin}: {happening.fault.code}: {happening.fault.text}")
                        tell(
                            f"xpipe: a fault reached nobody, in conversation {happening.conversation}: {fault}", "error"
                        )
        finally:
            self._finish()
        if self._left:
            return EXIT_UNFINISHED
        return EXIT_FAULT if self._faults else EXIT_OK

    def _take(self, output: Output) -> None:
        types = self._sender.intake.types
        try:
            line = json_line(output, types)
        except PayloadError as error:
            output = unwritable(output, error)
            line = json_line(output, types)
        self._faults += output.kind == "fault"
        if self._plan.json:
            self._lines.append(line)
        elif self._plan.jsonl:
            self._stdout.write(output_record(line))
        else:
            printer = Printer(Medium.of(self._stdout.number))
            self._write(output_lines(printer, json.loads(line)))
        self._counts[output.conversation] += 1

    def _write(self, lines: Iterator[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self._stdout.write(text.encode("utf-8", "backslashreplace"))

    def _finish(self) -> None:
        if self._plan.json:
            self._stdout.write(self._document())
        if self._left:
            waited = f" within {format_duration(self._plan.timeout)}" if self._plan.timeout else ""
            ids = ", ".join(sorted(self._left))
            number = counted(len(self._left), "conversation")
            later = command_line("outputs", self._plan.file, overrides=self._plan.overrides)
            tell(f"xpipe: {number} not finished{waited}: {ids}; see `{later}` later", "error")
        if not self._stdout.broken:
            self._sender.confirm(dict(self._counts))

    def _document(self) -> bytes:
        head = b'{\n"schema_version": %d,\n"conversations": ' % SCHEMA_VERSION + encode_json(self._conversations)
        return head + b',\n"outputs": [' + b",\n".join([b"", *self._lines])[1:] + b"]\n}\n"
