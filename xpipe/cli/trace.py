"""`xpipe trace`: the command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from xpipe.cli import looking
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile
from xpipe.cli.pasting import resume_command
from xpipe.cli.voice import tell
from xpipe.core.errors import UsageError

if TYPE_CHECKING:
    from xpipe.cli.documents import AttemptRecord, TracedCallRow
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.trace_view import TraceView
    from xpipe.inspection.tracing import Trace
    from xpipe.ports import SharedBackend

EXAMPLES = """[bold]Examples[/bold]

  xpipe trace

  xpipe trace cli-1

  xpipe trace 3f2a --payloads

  xpipe trace 3f2a --follow

  xpipe trace cli-1 --json | jq '.calls[] | {to, state, ran_seconds}'"""

CALLS = 20
"""Calls of one call that are shown to people, unless they ask for more."""

Id = Annotated[
    str | None,
    typer.Argument(
        metavar="ID",
        help="Conversation, by unique prefix of its id or of a thread's id, or by initiator such as cli-1 "
        "\\[default: the newest; with --follow the newest that runs].",
        show_default=False,
    ),
]
Payloads = Annotated[
    bool,
    option(
        "--payloads",
        help="Show payloads: in full with --json, at the end with --follow.",
        panel=looking.SHOWING,
    ),
]
Follow = Annotated[
    bool,
    option("--follow", "-f", help="Print events as they happen, until the conversation ends.", panel=looking.SHOWING),
]
Limit = Annotated[str | None, looking.limit("calls of each call", CALLS)]


@located
def trace(
    location: Location,
    organism: OrganismFile = None,
    id: Id = None,
    payloads: Payloads = False,
    follow: Follow = False,
    limit: Limit = None,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """Show one conversation as a call tree: waits, runs, retries and results.

    Exit codes: 0 fine, 2 wrong options or id, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    from xpipe.cli.emitting import Emitter

    form = looking.parse_form(limit, json, jsonl)
    most = CALLS if limit is None and form.most is not None else form.most
    if follow and json:
        raise UsageError("--follow does not work with --json; pass --jsonl instead, or neither")
    if follow and jsonl and payloads:
        raise UsageError("--follow --jsonl prints attempts, which have no payloads; omit --payloads")
    place, rest = find_place(location, [organism, id], 1)
    emitter = Emitter()
    with place.opened() as backend:
        conversation = _find(backend, rest[0] if rest else None, follow)
        if follow:
            command = resume_command(place.file, place.overrides)
            _follow(emitter, backend, conversation, jsonl, Watch(backend, conversation, command))
            if jsonl:
                return 0
        found = _trace(backend, conversation)
        if json:
            emitter.json(_facts(found), "calls", _rows(found, payloads))
        elif jsonl:
            emitter.jsonl(_rows(found, payloads))
        else:
            emitter.lines(_lines(emitter, found, payloads, most))
    return 0


def _find(backend: SharedBackend, prefix: str | None, running: bool) -> str:
    from xpipe.inspection.lookup import find_conversation, newest_conversation

    if prefix is not None:
        return find_conversation(backend, prefix)
    newest = newest_conversation(backend, running)
    if newest is None:
        raise UsageError("no conversation: nothing has run yet, or all was collected; start with `xpipe run`")
    return newest


def _trace(backend: SharedBackend, id: str) -> Trace:
    from xpipe.inspection.tracing import trace_of

    conversation = backend.conversation(id)
    if conversation is None:
        raise UsageError(f"the conversation {id} no longer exists: it has been collected")
    return trace_of(backend, conversation)


def _facts(found: Trace) -> dict[str, object]:
    from xpipe.cli.trace_rows import conversation_row

    return {"conversation": conversation_row(found)}


def _rows(found: Trace, payloads: bool) -> Iterator[TracedCallRow]:
    from xpipe.cli.trace_rows import call_rows

    return call_rows(found, payloads)


def _lines(emitter: Emitter, found: Trace, payloads: bool, most: int | None) -> Iterator[str]:
    return _view(emitter, found, payloads, most).lines()


def _view(emitter: Emitter, found: Trace, payloads: bool = False, most: int | None = None) -> TraceView:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.trace_view import TraceView

    return TraceView(Printer(Medium.of(emitter.stdout.number)), found, payloads, most)


def _follow(emitter: Emitter, backend: SharedBackend, id: str, jsonl: bool, watch: Watch) -> None:
    from xpipe.cli.trace_rows import attempt_record
    from xpipe.cli.trace_view import attempt_line
    from xpipe.inspection.tracing import follow

    if jsonl:
        records: Iterator[AttemptRecord] = (attempt_record(id, hop) for hop in follow(backend, id, watch.look))
        emitter.jsonl(records, at_once=True)
        return
    found = _trace(backend, id)
    view = _view(emitter, found)
    if not found.conversation.ended:
        emitter.lines([*view.head(), "", *view.under_way()])
    emitter.lines(map(attempt_line, follow(backend, id, watch.look)), at_once=True)
    emitter.lines([""])


class Watch:
    """Tells when nobody runs a conversation that is followed. command: the one that goes on with it."""

    def __init__(self, backend: SharedBackend, conversation: str, command: str) -> None:
        self._backend = backend
        self._conversation = conversation
        self._command = command
        self._served = True

    def look(self) -> None:
        """See whether somebody runs it."""
        from xpipe.inspection.dead_letters import is_run

        before, self._served = self._served, is_run(self._backend)
        if before and not self._served and self._is_running():
            tell(f"xpipe: no run works on this conversation; continue it with `{self._command}`", "warning")

    def _is_running(self) -> bool:
        """The run that has just ended may have brought it to its end."""
        known = self._backend.conversation(self._conversation)
        return known is not None and not known.ended
