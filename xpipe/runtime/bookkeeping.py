"""What a pump counts, and the faults it notes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import Step, decode_message
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced
from xpipe.runtime.hop import Hop
from xpipe.runtime.stats import FaultRecord, Stats

log = logging.getLogger("xpipe.pump")


class Bookkeeping:
    """Keeps `stats`."""

    def __init__(self, types: PayloadTypes) -> None:
        self.stats = Stats()
        self._types = types

    def count(self, advanced: Advanced, steps: Sequence[Step], hops: Sequence[Hop]) -> None:
        """What `advanced` says of the `steps` of `hops`."""
        stats = self.stats
        stats.late += advanced.late
        stats.unanswered += advanced.unanswered
        for position, (step, hop) in enumerate(zip(steps, hops, strict=True)):
            if position in advanced.refused:
                continue
            if step.dropped:
                stats.dropped += step.dropped
                log.warning("%s answered a call that has its answer; the second one is dropped", hop.claim.listener)
            if step.again:
                stats.retries += 1
                continue
            stats.hops += 1
            stats.of(hop.claim.listener).done += 1

    def note_failure(self, hop: Hop, step: Step) -> None:
        """Note the fault that `step` carries, if it began here."""
        if step.dead is not None:
            self.note(hop, self._types.decode("Fault", step.dead.fault))

    def note_own_fault(self, hop: Hop, step: Step) -> None:
        """Note the fault that a handler ended its thread with by answering (R13)."""
        if step.dead is None and step.answer is not None:
            self.note(hop, self._types.decode("Fault", decode_message(step.answer.message).payload))

    def note(self, hop: Hop, fault: Fault) -> None:
        """Note `fault`, which ended `hop`."""
        self.stats.of(hop.claim.listener).faults += 1
        self.stats.note(
            FaultRecord(
                hop.message.conversation,
                hop.claim.thread,
                fault.code,
                fault.text,
                fault.origin,
                fault.hop,
                fault.attempt,
                fault.retryable,
                fault.traceback,
            )
        )
