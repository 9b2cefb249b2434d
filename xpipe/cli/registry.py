"""`xpipe registry`: the command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from xpipe.cli import looking
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.organism_file import OrganismFile
from xpipe.cli.text import counted

if TYPE_CHECKING:
    from xpipe.cli.console import Printer
    from xpipe.cli.location import Place
    from xpipe.cli.looking import Form
    from xpipe.ports import RegistryRecord

EXAMPLES = """[bold]Examples[/bold]

  xpipe registry

  xpipe registry --backend redis --url redis://localhost:6379/0 --jsonl

  xpipe registry --jsonl | grep '"orphan"'"""


@located
def registry(
    location: Location,
    organism: OrganismFile = None,
    limit: looking.Limit = None,
    json: looking.Json = False,
    jsonl: looking.JsonLines = False,
) -> int:
    """List thread ids with their call chains.

    The root comes first. An orphan is half of a pair; `xpipe gc` removes it.

    Exit codes: 0 fine, 2 wrong options, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    form = looking.parse_form(limit, json, jsonl)
    place, _ = find_place(location, [organism], 0)
    return _show(place, form)


def _show(place: Place, form: Form) -> int:
    from xpipe.cli.console import Medium, Printer
    from xpipe.cli.emitting import Emitter

    emitter = Emitter()
    with place.opened() as backend:
        pairs = backend.registry_entries()
        rows = (asdict(pair) for pair in islice(pairs, form.most))
        if form.json:
            emitter.json({}, "registry", rows)
        elif form.jsonl:
            emitter.jsonl(rows)
        else:
            emitter.lines(_table(Printer(Medium.of(emitter.stdout.number)), pairs, form.most))
    return 0


def _table(printer: Printer, pairs: Iterator[RegistryRecord], most: int | None) -> Iterator[str]:
    from xpipe.cli.layout import Column

    columns = (Column("thread", whole=True), Column("kind"), Column("call chain"))
    shown = list(islice(pairs, most))
    yield printer.table(columns, [(one.uuid or "-", one.kind, one.chain or "-") for one in shown])
    yield ""
    yield _count(shown, more=next(pairs, None) is not None)


def _count(shown: Iterable[RegistryRecord], more: bool) -> str:
    kinds = [one.kind for one in shown]
    orphans = kinds.count("orphan")
    told = f", {counted(orphans, 'orphan')}: `xpipe gc` removes them" if orphans else ""
    if more:
        return f"the first {counted(len(kinds), 'pair')}{told}; --limit N or --limit all shows more"
    return f"{counted(len(kinds), 'pair')}{told}"
