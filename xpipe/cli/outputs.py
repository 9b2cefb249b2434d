"""`xpipe outputs`: the command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import looking
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile
from xpipe.cli.times import ago

if TYPE_CHECKING:
    from xpipe.cli.console import Printer
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.location import Place
    from xpipe.cli.looking import Form
    from xpipe.inspection.outputs import OutputView

EXAMPLES = """[bold]Examples[/bold]

  xpipe outputs

  xpipe outputs 3f2a --json

  xpipe outputs --undelivered --jsonl"""

Conversation = Annotated[
    str | None,
    typer.Argument(metavar="CONVERSATION", help="Only this conversation, by id or unique prefix.", show_default=False),
]
Undelivered = Annotated[
    bool, option("--undelivered", help="Only outputs that no run has printed.", panel=looking.SHOWING)
]


@located
def outputs(
    location: Location,
    organism: OrganismFile = None,
    conversation: Conversation = None,
    undelivered: Undelivered = False,
    limit: looking.Limit = None,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """Show the outputs of conversations, the oldest first.

    This does not deliver them: `xpipe run --resume` still prints what no run has printed.

    Exit codes: 0 fine, 2 wrong options or id, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    form = looking.parse_form(limit, json, jsonl)
    place, rest = find_place(location, [organism, conversation], 1)
    return _show(place, rest[0] if rest else None, undelivered, form)


def _show(place: Place, prefix: str | None, undelivered: bool, form: Form) -> int:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.outlet import claim_open_stdout
    from xpipe.inspection.lookup import find_conversation
    from xpipe.inspection.outputs import outputs as find_outputs

    emitter = Emitter(claim_open_stdout())
    with place.opened() as backend:
        conversation = None if prefix is None else find_conversation(backend, prefix)
        found = find_outputs(backend, conversation, undelivered)
        if form.json or form.jsonl:
            _emit(emitter, found, form)
        else:
            printer = Printer(Medium.of(emitter.stdout.number))
            emitter.lines(_lines(printer, found, form.most, _nothing(conversation, undelivered)))
    return 0


def _emit(emitter: Emitter, found: Iterator[OutputView], form: Form) -> None:
    from xpipe.cli.rows import output_row

    rows = map(output_row, islice(found, form.most))
    if form.json:
        emitter.json({}, "outputs", rows)
    else:
        emitter.jsonl(rows)


def _lines(printer: Printer, found: Iterator[OutputView], most: int | None, nothing: str) -> Iterator[str]:
    from xpipe.cli.text import counted, number

    shown, now = 0, time.time()
    for output in islice(found, most):
        shown += 1
        yield from _output(printer, output, now)
    if not shown:
        yield nothing
    elif next(found, None) is not None:
        yield f"the oldest {number(shown)}; --limit N or --limit all shows more"
    else:
        yield counted(shown, "output")


def _output(printer: Printer, output: OutputView, now: float) -> Iterator[str]:
    from xpipe.cli.rendering import folded, output_lines
    from xpipe.cli.rows import output_row
    from xpipe.cli.text import visible

    first, *payload = output_lines(printer, dict(output_row(output)))
    ended = output.conversation.ended
    when = f"{ago(now - ended)} ago" if ended else "still running"
    yield first
    yield "  " + printer.styled(when if output.delivered else f"{when}, not delivered", "dim")
    if output.slot.problem:
        payload = list(folded(printer, [visible(output.slot.problem)], 2))
    yield from payload
    yield ""


def _nothing(conversation: str | None, undelivered: bool) -> str:
    if undelivered:
        return "No undelivered outputs; leave out --undelivered to see all."
    if conversation is not None:
        return f"the conversation {conversation} has no outputs yet; `xpipe threads` shows its progress"
    return "No outputs: nothing has ended yet, or it has been collected; start with `xpipe run`."
