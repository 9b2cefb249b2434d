"""`xpipe dead retry` and `xpipe dead drop`: what they would do is shown first, and done only with --yes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

from xpipe.cli import dead_options, looking
from xpipe.cli.dead_options import parse_choice, parse_filter
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile
from xpipe.cli.pasting import resume_command
from xpipe.cli.voice import tell
from xpipe.core.errors import EXIT_FAULT, EXIT_OK

if TYPE_CHECKING:
    from xpipe.cli.location import Place
    from xpipe.cli.looking import Form
    from xpipe.inspection.dead_letters import LetterFilter

RETRY_EXAMPLES = """[bold]Examples[/bold]

  xpipe dead retry 3 4

  xpipe dead retry 3 4 --yes

  xpipe dead retry --listener greeter --code timeout --yes"""

DROP_EXAMPLES = """[bold]Examples[/bold]

  xpipe dead drop --older-than 7d

  xpipe dead drop --older-than 7d --yes

  xpipe dead drop --all --yes --json"""

Yes = Annotated[
    bool, option("--yes", "-y", help="Do it. Without this option, only show what would be done.", panel="Doing it")
]


class Change(NamedTuple):
    """What shall be done with which dead letters; every value is checked but that they are there."""

    place: Place
    which: LetterFilter
    yes: bool
    form: Form


@located
def retry(
    location: Location,
    organism: OrganismFile = None,
    numbers: dead_options.Numbers = None,
    all: dead_options.All = False,
    listener: dead_options.Listeners = None,
    code: dead_options.Codes = None,
    older_than: dead_options.OlderThan = None,
    newer_than: dead_options.NewerThan = None,
    yes: Yes = False,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """Send the messages of dead letters again; without --yes only show which.

    Each starts a new conversation, because its caller already has the fault. Prints their ids.

    A live run does the work, else the next `xpipe run --resume`.

    Exit codes: 0 fine, 1 one of them cannot be retried, 2 wrong options or number, 3 bad organism.yaml, 4 no backend.
    """
    form = looking.parse_form(None, json, jsonl)
    place, rest = find_place(location, [organism, *(numbers or ())], len(numbers or ()) + 1, changes=yes)
    which = parse_choice(rest, parse_filter(listener, code, older_than, newer_than), all)
    return _retry(Change(place, which, yes, form))


@located
def drop(
    location: Location,
    organism: OrganismFile = None,
    numbers: dead_options.Numbers = None,
    all: dead_options.All = False,
    listener: dead_options.Listeners = None,
    code: dead_options.Codes = None,
    older_than: dead_options.OlderThan = None,
    newer_than: dead_options.NewerThan = None,
    yes: Yes = False,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """Delete dead letters; without --yes only show which.

    Exit codes: 0 fine, 2 wrong options or number, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    form = looking.parse_form(None, json, jsonl)
    place, rest = find_place(location, [organism, *(numbers or ())], len(numbers or ()) + 1, changes=yes)
    which = parse_choice(rest, parse_filter(listener, code, older_than, newer_than), all)
    return _drop(Change(place, which, yes, form))


def _retry(change: Change) -> int:
    from xpipe.cli.dead_outcome import Outcome
    from xpipe.cli.dead_rows import retry_row
    from xpipe.inspection.dead_letters import choose, is_run, retry

    outcome, begun = Outcome("retry", change.yes, change.form), list[str]()
    with change.place.opened() as backend:
        for one in retry(backend, choose(backend, change.which), time.time(), dry_run=not change.yes):
            outcome.note(retry_row(one), one.view, one.problem)
            if one.conversation:
                begun.append(one.conversation)
        unserved = change.yes and outcome.count and not is_run(backend)
    outcome.tell(begun)
    if unserved:
        command = resume_command(change.place.file, change.place.overrides)
        organism = change.place.organism or "the organism"
        tell(f"xpipe: no run of {organism} is active; the messages wait for `{command}`", "warning")
    return EXIT_FAULT if outcome.problems else EXIT_OK


def _drop(change: Change) -> int:
    from xpipe.cli.dead_outcome import Outcome
    from xpipe.cli.dead_rows import letter_key
    from xpipe.cli.text import counted
    from xpipe.inspection.dead_letters import LetterFilter, choose, drop, letters

    outcome = Outcome("drop", change.yes, change.form)
    with change.place.opened() as backend:
        chosen = choose(backend, change.which)
        for view in letters(backend, LetterFilter(chosen)):
            outcome.note(letter_key(view), view)
        dropped = drop(backend, chosen) if change.yes else 0
    outcome.tell([f"dropped {counted(dropped, 'dead letter')}"])
    return EXIT_OK
