"""`xpipe run`: the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xpipe.cli import options
from xpipe.cli.organism_file import OrganismFile, find_file
from xpipe.cli.times import parse_time
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.sources import Send

EXAMPLES = """[bold]Examples[/bold]

  xpipe run

  xpipe run organism.yaml --send 'greeter={"name": "Ada"}'

  xpipe run --input orders.xml --out invoices.xml

  zcat events.gz | xpipe run --input - --format jsonl

  xpipe run --resume --input orders.xml

  xpipe run --serve --no-messages

  xpipe run --workers 4 --timeout 10m --json > result.json

  xpipe run --set listeners.analyse.concurrency=4 --set backend=memory"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run shall do; every value is checked. `out` is a file, or None for stdout."""

    file: str
    overrides: tuple[str, ...]
    messages: bool
    resume: bool
    serve: bool
    inputs: tuple[str, ...]
    sends: tuple[Send, ...]
    workers: int | None
    timeout: float | None
    grace: float
    json: bool
    details: bool
    out: Path | None
    format: str | None

    @property
    def data_on_stdout(self) -> bool:
        """The outputs go to stdout in a format for programs, so that nothing else may."""
        return self.format is not None and self.out is None


def run(
    organism: OrganismFile = None,
    input: options.Inputs = None,
    send: options.Sends = None,
    messages: options.Messages = True,
    resume: options.Resume = False,
    serve: options.Serve = False,
    workers: options.Workers = None,
    timeout: options.Timeout = None,
    grace: options.Grace = "5s",
    details: options.Details = False,
    json: options.Json = False,
    jsonl: options.JsonLines = False,
    out: options.Out = None,
    format: options.FormatName = None,
    overrides: options.Overrides = None,
) -> int:
    """Run an organism: send its messages, wait for the answers, and print a report.

    The run ends when all messages are handled; with --serve it waits for more.

    Exit codes: 0 fine, 1 a failure, 2 wrong options, 3 bad organism.yaml, 4 no backend, 5 timed out, 130/143 signal.
    """
    file = find_file(organism, changes=True)
    out = options.out_file(out, file, input or [])
    named = options.stream_format(format, out, jsonl)
    options.check_inputs(input or [])
    options.check_one_stdin(input or [], send or [])
    plan = Plan(
        file=file,
        overrides=options.parse_overrides(overrides),
        messages=messages and not resume,
        resume=resume,
        serve=serve,
        inputs=tuple(input or ()),
        workers=options.parse_workers(workers),
        timeout=options.parse_timeout(timeout),
        grace=parse_time("--grace", grace),
        json=json,
        details=details,
        out=Path(out) if out not in (None, "-") else None,
        format=options.choose_format(named, out, streams=serve and not json),
        sends=tuple(options.parse_sends(send or [])),
    )
    return _start(plan)


def _start(plan: Plan) -> int:
    if plan.json and plan.data_on_stdout:
        raise UsageError("--json and the outputs both go to stdout; add --out FILE, or omit one of them")
    if plan.details and (plan.json or plan.data_on_stdout):
        raise UsageError("--details changes the report, and stdout has data; omit one of them")
    from xpipe.cli.running import execute

    return execute(plan)
