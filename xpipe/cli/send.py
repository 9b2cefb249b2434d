"""`xpipe send`: the command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import options
from xpipe.cli.organism_file import OrganismFile, find_file, is_file
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.sources import Send

EXAMPLES = """[bold]Examples[/bold]

  xpipe send 'greeter={"name": "Ada"}'

  xpipe send organism.yaml greeter=@greeting.xml --wait --timeout 30s --json"""

Messages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="LISTENER=PAYLOAD...",
        help="Send PAYLOAD (XML or JSON) to LISTENER; @FILE reads it from a file, - from stdin.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the answers and print them.", show_default=False)]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="Maximum time to wait, then exit with 5; the messages stay queued.",
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
        help="Print JSON Lines: conversations, or with --wait outputs as they arrive.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What shall be sent; every value is checked."""

    file: str
    overrides: tuple[str, ...]
    sends: tuple[Send, ...]
    wait: bool
    timeout: float | None
    json: bool
    jsonl: bool


def send(
    organism: OrganismFile = None,
    messages: Messages = None,
    wait: Wait = False,
    timeout: Timeout = None,
    json: Json = False,
    jsonl: JsonLines = False,
    overrides: options.Overrides = None,
) -> int:
    """Send messages to an organism that another process runs, now or later.

    Needs a shared backend: sqlite, redis, or the manager of a run. Prints the ids of the conversations, or with --wait
    the answers.

    Exit codes: 0 fine, 1 a fault or a payload that does not fit, 2 wrong options, 3 bad organism.yaml, 4 no backend,
    5 timed out, 130 interrupted.
    """
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait; add it, or omit --timeout")
    if json and jsonl:
        raise UsageError("--json and --jsonl exclude each other; pass only one")
    file, texts = _split([word for word in (organism, *(messages or ())) if word is not None])
    if not texts:
        raise UsageError("nothing to send; pass LISTENER=PAYLOAD")
    options.check_one_stdin([], texts, "")
    sends = tuple(options.parse_sends(texts, ""))
    given = options.parse_overrides(overrides)
    plan = SendPlan(find_file(file, changes=True), given, sends, wait, options.parse_timeout(timeout), json, jsonl)
    from xpipe.cli.sending import execute

    return execute(plan)


def _split(words: list[str]) -> tuple[str | None, list[str]]:
    """The organism file, if the first of `words` is one, and the messages. A message may end in .yaml, as a file does:
    `greeter=@greeting.yaml`."""
    if words and is_file(words[0]) and ("=" not in words[0] or os.path.exists(words[0])):
        return words[0], words[1:]
    return None, words
