"""`xpipe cancel`: the command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import looking
from xpipe.cli.errors import explain
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile
from xpipe.cli.voice import tell
from xpipe.core.errors import EXIT_OK, EXIT_USAGE, UsageError

if TYPE_CHECKING:
    from xpipe.cli.documents import CancelRow
    from xpipe.cli.location import Place
    from xpipe.cli.looking import Form
    from xpipe.ports import SharedBackend

EXAMPLES = """[bold]Examples[/bold]

  xpipe cancel 3f2a

  xpipe cancel 3f2a 70c1 --reason 'sent by mistake'

  xpipe threads --state active --jsonl | jq -r .conversation | xpipe cancel -"""

Conversations = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONVERSATION",
        help="Conversations to cancel, by id or unique prefix; - reads ids from stdin, one a line.",
        show_default=False,
    ),
]
Reason = Annotated[
    str, option("--reason", metavar="TEXT", help="Reason, as it stands in the fault `cancelled`.", panel="Cancelling")
]


@located
def cancel(
    location: Location,
    organism: OrganismFile = None,
    conversations: Conversations = None,
    reason: Reason = "it was asked for",
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """End conversations, with all their waiting and running work.

    The last output of each is the fault `cancelled`. Runs stop working on it.

    Exit codes: 0 fine, 2 wrong options, or an id that is unknown or over, 3 bad organism.yaml, 4 no backend.
    """
    form = looking.parse_form(None, json, jsonl)
    given = conversations or []
    place, ids = find_place(location, [organism, *given], len(given) + 1, changes=True)
    if not ids:
        raise UsageError("no conversation; pass its id or a unique prefix, or - to read ids from stdin")
    from xpipe.inspection.plain import is_utf8

    if not is_utf8(reason):
        raise UsageError("--reason is not valid UTF-8; correct it")
    return _cancel(place, list(_read(ids)), reason, form)


def _read(ids: Sequence[str]) -> Iterator[str]:
    """`ids`, and in the place of - those on stdin. Raises UsageError."""
    if ids.count("-") > 1:
        raise UsageError("- is given twice, but stdin can be read only once")
    for id in ids:
        if id == "-":
            yield from _from_stdin()
        else:
            yield id


def _from_stdin() -> list[str]:
    try:
        with open(0, encoding="utf-8", errors="surrogateescape", closefd=False) as stdin:
            return [id for line in stdin if (id := line.strip())]
    except OSError as error:
        raise UsageError(f"- cannot be read: {error.strerror}; pass ids, or write them to stdin") from None


def _cancel(place: Place, ids: Sequence[str], reason: str, form: Form) -> int:
    from xpipe.cli.emitting import Emitter
    from xpipe.core.messages import cancelled

    emitter, problems = Emitter(), 0
    ended: dict[str, bool] = {}
    fault = cancelled(reason)
    with place.opened() as backend:
        for id in ids:
            try:
                _end(backend, id, fault, ended)
            except UsageError as error:
                problems += 1
                tell(explain(error), "error")
    rows: Iterator[CancelRow] = ({"conversation": id, "cancelled": whether} for id, whether in ended.items())
    if form.json:
        emitter.json({}, "conversations", rows)
    elif form.jsonl:
        emitter.jsonl(rows)
    else:
        emitter.lines(f"cancelled {id}" for id, whether in ended.items() if whether)
    if not ids:
        tell("xpipe: no ids on stdin; nothing was cancelled", "warning")
    return EXIT_USAGE if problems else EXIT_OK


def _end(backend: SharedBackend, prefix: str, fault: bytes, ended: dict[str, bool]) -> None:
    """Cancel the conversation that `prefix` begins, and note in `ended` whether that was done. Raises UsageError."""
    from xpipe.inspection.lookup import find_conversation

    id = find_conversation(backend, prefix)
    if id in ended:
        return
    ended[id] = backend.cancel(id, fault, time.time())
    if not ended[id]:
        raise UsageError(f"the conversation {id} has already ended; `xpipe outputs` shows its outputs")
