"""`xpipe gc`: the command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

from xpipe.cli import looking
from xpipe.cli.location import Location, find_place, located
from xpipe.cli.looking import option
from xpipe.cli.organism_file import OrganismFile
from xpipe.core.errors import EXIT_FAULT, EXIT_OK

if TYPE_CHECKING:
    from xpipe.cli.location import Place

EXAMPLES = """[bold]Examples[/bold]

  xpipe gc --dry-run

  xpipe gc --older-than 1h

  xpipe gc --older-than 0 --state done

  xpipe gc --backend redis --url redis://localhost:6379/0 --verify"""

STATES = ("done", "failed", "cancelled")
_WHAT = "What is collected"

OlderThan = Annotated[
    str | None,
    option(
        "--older-than",
        metavar="DURATION",
        help=r"Only what ended at least DURATION ago: 30s, 10m, 2h, 0 for all \[default: backend.retention, 24h].",
        panel=_WHAT,
    ),
]
States = Annotated[
    list[str] | None,
    option(
        "--state",
        metavar="STATE",
        values=STATES,
        help="Only conversations in this state: done, failed or cancelled. Repeatable.",
        panel=_WHAT,
    ),
]
Verify = Annotated[
    bool,
    option(
        "--verify",
        help="Read everything that is stored; report damaged records and keep them as dead letters.",
        panel=_WHAT,
    ),
]
DryRun = Annotated[
    bool, option("--dry-run", help="Show what would be collected without changing anything.", panel=_WHAT)
]


class GcPlan(NamedTuple):
    """What shall be collected; every value is checked. older_than: seconds, None for the retention of the backend."""

    place: Place
    older_than: float | None
    states: frozenset[str]
    dry_run: bool
    verify: bool
    json: bool


@located
def gc(
    location: Location,
    organism: OrganismFile = None,
    older_than: OlderThan = None,
    state: States = None,
    verify: Verify = False,
    dry_run: DryRun = False,
    json: looking.Json = False,
) -> int:
    """Remove finished, expired and orphaned state.

    That is finished conversations, dead letters, leases of lost runs, and orphaned records.

    Live work is never touched; runs may continue meanwhile.

    Exit codes: 0 fine, 1 damage found, 2 wrong options, 3 bad organism.yaml, 4 no backend or nothing in it.
    """
    age = looking.parse_age(older_than)
    states = looking.check_states(state or STATES, STATES)
    place, _ = find_place(location, [organism], 0, changes=not dry_run)
    return _collect(GcPlan(place, age, states, dry_run, verify, json))


def _collect(plan: GcPlan) -> int:
    from xpipe.cli.collection_report import facts, lines
    from xpipe.cli.emitting import Emitter
    from xpipe.inspection.collecting import Terms, collect, verify

    emitter = Emitter()
    older_than = plan.place.config.retention if plan.older_than is None else plan.older_than
    terms = Terms(time.time() - older_than, plan.states, plan.dry_run)
    with plan.place.opened() as backend:
        damaged = list(verify(backend, set_aside=not plan.dry_run)) if plan.verify else None
        collected = collect(backend, terms)
    if plan.json:
        emitter.json(facts(terms, older_than, collected, damaged))
    else:
        emitter.lines(lines(terms, collected, damaged))
    return EXIT_FAULT if damaged else EXIT_OK
