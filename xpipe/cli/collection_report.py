"""What was collected, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from xpipe.cli.text import counted, number, size, visible
from xpipe.inspection.collecting import Collected, Terms
from xpipe.ports import Damage


def facts(terms: Terms, older_than: float, collected: Collected, damaged: Sequence[Damage] | None) -> dict[str, Any]:
    """The document of `gc --json`; `damaged` is null when nothing was verified."""
    return {
        "dry_run": terms.dry_run,
        "older_than_seconds": older_than,
        "collected": {
            "conversations": {state: collected.conversations[state] for state in sorted(terms.states)},
            "threads": collected.threads,
            "slots": collected.slots,
            "bytes": collected.bytes,
            "undelivered_outputs": collected.unprinted,
            "dead_pumps": collected.dead_pumps,
            "handed_back": collected.handed_back,
            "dead_letters": collected.dead_letters,
            "orphans": [
                {"kind": kind, "lacks": lacks, "count": count}
                for (kind, lacks), count in sorted(collected.orphans.items())
            ],
        },
        "kept": {"running": collected.running, "over": collected.kept},
        "damaged": None if damaged is None else [asdict(one) for one in damaged],
    }


def lines(terms: Terms, collected: Collected, damaged: Sequence[Damage] | None) -> Iterator[str]:
    """The same for people."""
    if damaged is not None:
        yield from _damages(damaged)
    if collected.is_empty:
        yield "nothing to collect"
    else:
        yield "would collect:" if terms.dry_run else "collected:"
        yield from (f"  {line}" for line in _collected(terms, collected))
    yield from _kept(collected)


def _collected(terms: Terms, collected: Collected) -> Iterator[str]:
    ended = collected.conversations
    if ended:
        states = ", ".join(f"{number(ended[state])} {state}" for state in sorted(ended))
        yield f"{counted(ended.total(), 'conversation')} ({states})"
        freed = f"{counted(collected.threads, 'thread')}, {counted(collected.slots, 'slot')}, {size(collected.bytes)}"
        yield f"  {freed}"
    if collected.unprinted:
        how = "; `xpipe outputs --undelivered` shows them" if terms.dry_run else ""
        yield f"  {counted(collected.unprinted, 'output')} that no run had printed{how}"
    if collected.dead_letters:
        yield counted(collected.dead_letters, "dead letter")
    if collected.dead_pumps:
        freed = "" if terms.dry_run else f", {counted(collected.handed_back, 'message')} handed back"
        yield f"{counted(collected.dead_pumps, 'lease')} of runs that are gone{freed}"
    for (kind, lacks), count in sorted(collected.orphans.items()):
        yield visible(f"{counted(count, f'orphan: {kind}', f'orphans: {kind}')} without {lacks}")


def _kept(collected: Collected) -> Iterator[str]:
    parts = []
    if collected.running:
        parts.append(f"{number(collected.running)} running")
    if collected.kept:
        parts.append(f"{number(collected.kept)} over")
    if parts:
        yield f"kept: {counted(collected.running + collected.kept, 'conversation')} ({', '.join(parts)})"


def _damages(damaged: Sequence[Damage]) -> Iterator[str]:
    for one in damaged:
        where = f"{one.key}: " if one.key else ""
        done = "; set aside: a dead letter keeps it" if one.set_aside else ""
        yield visible(f"damaged: {where}{one.problem}{done}")
    if not damaged:
        yield "verified: nothing is damaged"
