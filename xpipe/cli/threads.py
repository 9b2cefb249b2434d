"""`xpipe threads`: the command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from xpipe.cli import looking
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile

if TYPE_CHECKING:
    from xpipe.cli.documents import CallRow, SlotRecord, ThreadRow
    from xpipe.cli.emitting import Emitter
    from xpipe.cli.location import Place
    from xpipe.cli.looking import Form
    from xpipe.inspection.listing import ThreadFilter
    from xpipe.ports import SharedBackend

EXAMPLES = """[bold]Examples[/bold]

  xpipe threads

  xpipe threads --state failed --older-than 10m

  xpipe threads 3f2a

  xpipe threads --tree --limit 100

  xpipe threads --backend redis --url redis://localhost:6379/0 --jsonl"""

STATES = ("active", "waiting", "done", "failed")
_WHICH = "Which threads"

Id = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="Show this thread and its messages, by id or unique prefix.", show_default=False),
]
States = Annotated[
    list[str] | None,
    option(
        "--state",
        metavar="STATE",
        values=STATES,
        help="Only threads in this state: active, waiting, done or failed. Repeatable.",
        panel=_WHICH,
    ),
]
Listeners = Annotated[
    list[str] | None,
    option("--listener", "-l", metavar="NAME", help="Only threads of this listener. Repeatable.", panel=_WHICH),
]
Conversation = Annotated[
    str | None,
    option(
        "--conversation",
        "-c",
        metavar="ID",
        help="Only threads of this conversation, by id or unique prefix.",
        panel=_WHICH,
    ),
]
OlderThan = Annotated[
    str | None,
    option(
        "--older-than",
        metavar="DURATION",
        help="Only threads idle for at least DURATION: 30s, 10m, 2h, 1d.",
        panel=_WHICH,
    ),
]
Tree = Annotated[bool, option("--tree", help="Show the call trees of their conversations.", panel=looking.SHOWING)]


class Query(NamedTuple):
    """Which threads are asked for; every value is checked but the ids."""

    id: str | None
    states: frozenset[str]
    listeners: frozenset[str]
    conversation: str | None
    before: float | None
    tree: bool

    def filter(self, backend: SharedBackend) -> ThreadFilter:
        """The filter, its conversation looked up. Raises UsageError."""
        from xpipe.inspection.listing import ThreadFilter
        from xpipe.inspection.lookup import find_conversation

        prefix = self.conversation if self.id is None else self.id
        conversation = None if prefix is None else find_conversation(backend, prefix)
        return ThreadFilter(self.states, self.listeners, conversation, self.before)


@located
def threads(
    location: Location,
    organism: OrganismFile = None,
    id: Id = None,
    state: States = None,
    listener: Listeners = None,
    conversation: Conversation = None,
    older_than: OlderThan = None,
    tree: Tree = False,
    limit: looking.Limit = None,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """Show threads, the newest first, or one thread with its messages.

    A thread is active (a message for it waits or runs), waiting (for answers), done or failed.

    Exit codes: 0 fine, 2 wrong options or id, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    form = looking.parse_form(limit, json, jsonl)
    age = looking.parse_age(older_than)
    before = None if age is None else time.time() - age
    states = looking.check_states(state or [], STATES)
    place, rest = find_place(location, [organism, id], 1)
    query = Query(rest[0] if rest else None, states, frozenset(listener or ()), conversation, before, tree)
    return _show(place, query, form)


def _show(place: Place, query: Query, form: Form) -> int:
    from xpipe.cli.emitting import Emitter
    from xpipe.inspection.lookup import check_listeners

    emitter = Emitter()
    with place.opened() as backend:
        check_listeners(backend, query.listeners, place.listeners)
        if query.id is not None and not query.tree:
            _show_one(emitter, backend, query.id, form)
        elif form.json or form.jsonl:
            _emit(emitter, backend, query, form)
        else:
            _draw(emitter, backend, query, form)
    return 0


def _emit(emitter: Emitter, backend: SharedBackend, query: Query, form: Form) -> None:
    name, rows = ("calls", _calls(backend, query)) if query.tree else ("threads", _threads(backend, query))
    if form.json:
        emitter.json({}, name, islice(rows, form.most))
    else:
        emitter.jsonl(islice(rows, form.most))


def _threads(backend: SharedBackend, query: Query) -> Iterator[ThreadRow]:
    from xpipe.cli.rows import thread_row
    from xpipe.inspection.listing import newest_threads

    return map(thread_row, newest_threads(backend, query.filter(backend)))


def _calls(backend: SharedBackend, query: Query) -> Iterator[CallRow]:
    from xpipe.cli.rows import call_row
    from xpipe.inspection.listing import calls

    return map(call_row, calls(backend, query.filter(backend)))


def _draw(emitter: Emitter, backend: SharedBackend, query: Query, form: Form) -> None:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.thread_tables import Tables

    tables = Tables(Printer(Medium.of(emitter.stdout.number)), backend.root(), time.time())
    which = query.filter(backend)
    emitter.lines(tables.tree(backend, which, form.most) if query.tree else tables.newest(backend, which, form.most))


def _show_one(emitter: Emitter, backend: SharedBackend, prefix: str, form: Form) -> None:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.rows import slot_row, thread_row
    from xpipe.cli.thread_view import ThreadView
    from xpipe.inspection.lookup import find_thread
    from xpipe.inspection.slots import slots_of

    thread = find_thread(backend, prefix)
    start = 0 if form.most is None else max(0, thread.slots - form.most)
    slots = slots_of(backend, thread.thread, start)
    if form.json:
        emitter.json({"thread": thread_row(thread)}, "slots", map(slot_row, slots))
    elif form.jsonl:
        records: Iterator[SlotRecord] = ({"thread": thread.thread, **slot_row(slot)} for slot in slots)
        emitter.jsonl(records)
    else:
        printer = Printer(Medium.of(emitter.stdout.number))
        emitter.lines(ThreadView(printer, thread, time.time()).lines(slots, start))
