"""`xpipe send`: the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import options
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.sources import Send

EXAMPLES = """[bold]Examples[/bold]

  xpipe send organism.yaml 'greeter={"name": "Ada"}'

  xpipe send organism.yaml greeter=@greeting.xml --wait --timeout 30s --json"""

Messages = Annotated[
    list[str],
    typer.Argument(
        metavar="LISTENER=PAYLOAD...",
        help="Send PAYLOAD, XML or JSON text, to LISTENER; @FILE or - reads it from there.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the answers and print them.", show_default=False)]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Wait this long at most, then end with exit code 5; the messages stay.",
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document: conversations, and outputs with --wait.", show_default=False),
]
JsonLines = Annotated[
    bool,
    typer.Option(
        "--jsonl",
        help="Print a JSON object a line: a conversation, or with --wait an output as it comes.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What shall be sent; every value is checked."""

    file: Path
    overrides: tuple[str, ...]
    sends: tuple[Send, ...]
    wait: bool
    timeout: float | None
    json: bool
    jsonl: bool


def send(
    organism: options.OrganismFile,
    messages: Messages,
    wait: Wait = False,
    timeout: Timeout = None,
    json: Json = False,
    jsonl: JsonLines = False,
    overrides: options.Overrides = None,
) -> int:
    """Send messages to an organism that runs elsewhere, now or later.

    It needs a backend that others can reach: sqlite, redis, or the manager of a run. Prints the ids of the
    conversations, or with --wait what they answered.

    Exit codes: 0 fine, 1 a fault or a payload that does not fit, 2 wrong options, 3 bad organism.yaml, 4 no backend,
    5 out of time, 130 interrupted.
    """
    if timeout is not None and not wait:
        raise UsageError("--timeout bounds the waiting; add --wait, or leave it out")
    if json and jsonl:
        raise UsageError("--json is one document and --jsonl one a line; leave one of them out")
    options.check_one_stdin([], messages, "")
    sends = tuple(options.parse_sends(messages, ""))
    given = options.parse_overrides(overrides)
    plan = SendPlan(organism, given, sends, wait, options.parse_timeout(timeout), json, jsonl)
    from xpipe.cli.sending import execute

    return execute(plan)
