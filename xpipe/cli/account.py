"""What a run did, gathered before the organism is stopped; and the same as one JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING

from xpipe.assembly import Organism
from xpipe.cli.formats import SCHEMA_VERSION, encode_json
from xpipe.cli.harvest import Harvest
from xpipe.cli.rows import fault_row, thread_row
from xpipe.cli.totals import Totals
from xpipe.inspection import glance
from xpipe.inspection.glance import Overview
from xpipe.runtime.stats import FaultGroup, FaultRecord

if TYPE_CHECKING:
    from xpipe.cli.documents import FaultItem, TimingsRow

MOST_ROWS = 20
"""Threads that are listed one by one for people."""


@dataclass(frozen=True, slots=True)
class Timings:
    """When a run started and how long it took, in seconds."""

    started: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Account:
    """A run in figures. lasts: its state can be looked into after the run.

    faults: the first of them; groups: them by kind and origin, the largest group first.
    """

    totals: Totals
    timings: Timings
    faults: list[FaultRecord]
    groups: list[FaultGroup]
    overview: Overview
    unfinished: list[str]
    lasts: bool

    @property
    def hops_per_second(self) -> float:
        """The mean over the whole run."""
        return self.totals.hops / self.timings.seconds if self.timings.seconds > 0 else 0.0


def take_account(organism: Organism, harvest: Harvest, timings: Timings) -> Account:
    """The account of what `organism` has done so far."""
    since = timings.started.timestamp()
    buffers = {listener.name for listener in organism.topology if listener.buffer}
    overview = glance.overview(organism.backend, organism.pump.id, since, buffers, MOST_ROWS)
    left = unfinished(organism)
    return Account(
        totals=_totals(organism, harvest, len(left), overview),
        timings=timings,
        faults=organism.stats.faults,
        groups=sorted(organism.stats.groups.values(), key=lambda group: -group.count),
        overview=overview,
        unfinished=left[:MOST_ROWS],
        lasts=organism.backend.capabilities.persistent,
    )


def unfinished(organism: Organism) -> list[str]:
    """The conversations of this run that are not over, those included that others have begun for it to serve."""
    return [one.id for one in organism.backend.conversations(running=True, owner=organism.pump.id)]


def _totals(organism: Organism, harvest: Harvest, unfinished: int, overview: Overview) -> Totals:
    stats, stored = organism.stats, overview.totals
    return Totals(
        hops=stats.hops,
        messages=stats.hops + stored.in_flight,
        conversations=harvest.done + harvest.failed + harvest.cancelled + unfinished,
        done=harvest.done,
        failed=harvest.failed,
        cancelled=harvest.cancelled,
        unfinished=unfinished,
        outputs=harvest.outputs,
        fault_outputs=harvest.fault_outputs,
        faults=stats.fault_count,
        retries=stats.retries,
        late=stats.late,
        dropped=stats.dropped,
        unanswered=stats.unanswered,
        timeouts=stats.timeouts,
        workers_lost=stats.workers_lost,
        in_flight=stored.in_flight,
        threads=overview.threads.total,
        slots=overview.slots,
        buffers=stored.joins,
        dead_letters=overview.dead_letters,
        unheard=harvest.unheard,
    )


def write_document(to: IO[bytes], account: Account, harvest: Harvest, organism: Organism) -> None:
    """The run as one JSON document, an item a line."""
    to.write(b'{\n"schema_version": %d,\n' % SCHEMA_VERSION)
    _write_list(to, "outputs", (line.rstrip(b"\n") for line in harvest.lines()))
    _write_list(to, "faults", (encode_json(_fault(fault)) for fault in account.faults))
    backend, pump = organism.backend, organism.pump.id
    _write_list(to, "threads", (encode_json(thread_row(thread)) for thread in glance.threads(backend, pump)))
    _write_list(to, "registry", (encode_json(asdict(entry)) for entry in glance.registry(backend, pump)))
    to.write(b'"totals": ' + encode_json(asdict(account.totals)) + b",\n")
    to.write(b'"timings": ' + encode_json(_timings(account)) + b"\n}\n")


def _write_list(to: IO[bytes], name: str, items: Iterable[bytes]) -> None:
    to.write(b'"%s": [' % name.encode())
    for chunk in _separated(items):
        to.write(chunk)
    to.write(b"],\n")


def _separated(items: Iterable[bytes]) -> Iterator[bytes]:
    lead = b"\n"
    for item in items:
        yield lead + item
        lead = b",\n"
    if lead != b"\n":
        yield b"\n"


def _fault(fault: FaultRecord) -> FaultItem:
    return {**fault_row(fault), "conversation": fault.conversation, "thread": fault.thread}


def _timings(account: Account) -> TimingsRow:
    started = account.timings.started.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "started": started,
        "seconds": round(account.timings.seconds, 6),
        "hops_per_second": round(account.hops_per_second, 3),
    }
