"""What a run has done, as counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of a run. messages: those given to a listener, done or not; buffers: those that still wait for items.

    conversations: those of the run, whether it has begun them, taken them over, or been sent them.
    """

    hops: int
    messages: int
    conversations: int
    done: int
    failed: int
    cancelled: int
    unfinished: int
    outputs: int
    fault_outputs: int
    faults: int
    retries: int
    late: int
    dropped: int
    unanswered: int
    timeouts: int
    workers_lost: int
    in_flight: int
    threads: int
    slots: int
    buffers: int
    dead_letters: int
    unheard: int
