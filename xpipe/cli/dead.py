"""`xpipe dead`: its commands, and those of them that only look."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from xpipe.cli import dead_options, looking
from xpipe.cli.commands import Entry, Group, show_help
from xpipe.cli.dead_options import parse_filter, parse_number
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.organism_file import OrganismFile
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.looking import Form
    from xpipe.inspection.dead_letters import LetterFilter
    from xpipe.ports import SharedBackend


EXAMPLES = """[bold]Examples[/bold]

  xpipe dead list

  xpipe dead show 3

  xpipe dead retry 3 --yes"""

LIST_EXAMPLES = """[bold]Examples[/bold]

  xpipe dead list

  xpipe dead list --listener greeter --newer-than 1h

  xpipe dead list --backend redis --url redis://localhost:6379/0 --jsonl"""

SHOW_EXAMPLES = """[bold]Examples[/bold]

  xpipe dead show 3

  xpipe dead show 3 --json"""


def root(context: typer.Context) -> None:
    """List dead letters (messages that failed for good), retry them, or drop them."""
    if context.invoked_subcommand is None:
        raise typer.Exit(show_help(context))


@located
def list_letters(
    location: Location,
    organism: OrganismFile = None,
    listener: dead_options.Listeners = None,
    code: dead_options.Codes = None,
    older_than: dead_options.OlderThan = None,
    newer_than: dead_options.NewerThan = None,
    limit: looking.Limit = None,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """List dead letters, the newest last: messages that failed for good, and why.

    `told` says whether the fault has reached a caller or an output. Numbers are never reused.

    Exit codes: 0 fine, 2 wrong options, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    form = looking.parse_form(limit, json, jsonl)
    which = parse_filter(listener, code, older_than, newer_than)
    place, _ = find_place(location, [organism], 0)
    from xpipe.cli.emitting import Emitter

    emitter = Emitter()
    with place.opened() as backend:
        if form.json or form.jsonl:
            _emit(emitter, backend, which, form)
        else:
            _draw(emitter, backend, which, form)
    return 0


def _emit(emitter: Emitter, backend: SharedBackend, which: LetterFilter, form: Form) -> None:
    from collections import deque

    from xpipe.cli.dead_rows import letter_row
    from xpipe.inspection.dead_letters import letters

    found = letters(backend, which)
    rows = map(letter_row, found if form.most is None else deque(found, form.most))
    if form.json:
        emitter.json({}, "dead_letters", rows)
    else:
        emitter.jsonl(rows)


def _draw(emitter: Emitter, backend: SharedBackend, which: LetterFilter, form: Form) -> None:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.dead_view import LetterViews
    from xpipe.inspection.dead_letters import letters

    views = LetterViews(Printer(Medium.of(emitter.stdout.number)), time.time())
    total = backend.totals().dead_letters
    emitter.lines(views.newest(letters(backend, which), which, form.most, total))


@located
def show(
    location: Location,
    organism: OrganismFile = None,
    number: dead_options.Number = None,
    json: looking.Json = False,
) -> int:
    """Show one dead letter: its conversation, its payload, and the fault with its traceback.

    Exit codes: 0 fine, 2 wrong options or number, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    place, rest = find_place(location, [organism, number], 1)
    if not rest:
        raise UsageError("no dead letter; pass its number, as `xpipe dead list` shows it")
    wanted = parse_number(rest[0])
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.emitting import Emitter
    from xpipe.inspection.dead_letters import find_letter

    emitter = Emitter()
    with place.opened() as backend:
        view = find_letter(backend, wanted)
    if json:
        from xpipe.cli.dead_rows import letter_row

        emitter.json({"dead_letter": letter_row(view)})
    else:
        from xpipe.cli.dead_view import LetterViews

        emitter.lines(LetterViews(Printer(Medium.of(emitter.stdout.number)), time.time()).whole(view))
    return 0


COMMANDS = {
    "list": Entry("xpipe.cli.dead", "list_letters", examples="LIST_EXAMPLES"),
    "show": Entry("xpipe.cli.dead", "show", examples="SHOW_EXAMPLES"),
    "retry": Entry("xpipe.cli.dead_changes", "retry", examples="RETRY_EXAMPLES"),
    "drop": Entry("xpipe.cli.dead_changes", "drop", examples="DROP_EXAMPLES"),
}
GROUP = Group(root, COMMANDS, EXAMPLES)
