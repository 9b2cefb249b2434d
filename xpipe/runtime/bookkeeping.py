"""What a pump counts, and the faults it notes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from logging import DEBUG, WARNING

from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import FAULT, REQUEST, Step, decode_message
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced
from xpipe.runtime.current import current
from xpipe.runtime.hop import Hop
from xpipe.runtime.stats import FaultRecord, Stats

log = logging.getLogger("xpipe.pump")


class Bookkeeping:
    """Keeps `stats`, and how many messages are in flight: what the backend has last said and what was sent since."""

    def __init__(self, types: PayloadTypes, most_in_flight: int) -> None:
        self.stats = Stats()
        self._types = types
        self._most_in_flight = most_in_flight
        self._in_flight = 0

    def room(self) -> int:
        """How many more messages may be in flight; below 0 when there are too many."""
        return self._most_in_flight - self._in_flight

    def note_sends(self, step: Step) -> None:
        """`step` is going to be committed."""
        self._in_flight += len(step.sends)

    def count(self, advanced: Advanced, steps: Sequence[Step], hops: Sequence[Hop], left: Iterable[Step]) -> None:
        """What `advanced` says of the `steps` of `hops`; `left` are those that are still to be committed."""
        stats = self.stats
        self._in_flight = advanced.in_flight + sum(len(step.sends) for step in left)
        stats.late += advanced.late
        stats.unanswered += advanced.unanswered
        told, refused = log.isEnabledFor(DEBUG), advanced.refused
        for position, (step, hop) in enumerate(zip(steps, hops, strict=True)):
            if refused and position in refused:
                continue
            if told:
                tell_step(hop, step)
            if step.dropped:
                stats.dropped += step.dropped
                name = hop.claim.listener
                tell_of(hop, WARNING, "%s answered a call that has its answer; the second one is dropped", name)
            if step.again:
                stats.retries += 1
            else:
                stats.hops += 1
                stats.of(hop.claim.listener).done += 1

    def note_failure(self, hop: Hop, step: Step) -> None:
        """Note the fault that `step` ends its thread with, if it does and the fault began here."""
        fault = self._fault_of(step) if step.failed else None
        if fault is None:
            return
        hop.code = fault.code
        is_bad_item = hop.message.kind == REQUEST and hop.message.type == "Fault"  # B10
        if is_bad_item or (hop.message.kind != FAULT and fault.origin == hop.claim.listener):
            self.note(hop, fault)

    def note_fault(self, hop: Hop, step: Step) -> None:
        """Note the fault that `step` ends its thread with."""
        fault = self._fault_of(step)
        if fault is not None:
            self.note(hop, fault)

    def _fault_of(self, step: Step) -> Fault | None:
        data = step.dead.fault if step.dead else step.answer and decode_message(step.answer.message).payload
        fault: Fault | None = self._types.decode("Fault", data) if data else None
        return fault

    def note(self, hop: Hop, fault: Fault) -> None:
        """Note `fault`, which ended `hop`."""
        hop.code = fault.code
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
                fault.causes,
            )
        )


def tell_claim(hop: Hop) -> None:
    """Tell in the log that `hop` begins."""
    message = hop.message
    tell_of(hop, DEBUG, "claimed a %s %s from %s", message.kind, message.type, message.sender)


def tell_step(hop: Hop, step: Step) -> None:
    """Tell in the log how `hop` has ended."""
    if step.again:
        tell_of(hop, DEBUG, "failed with %s; attempt %d follows", hop.code or "a fault", step.again)
    elif hop.code:
        tell_of(hop, DEBUG, "ended with the fault %s", hop.code)
    else:
        answered = "answered" if step.answer is not None else "no answer"
        tell_of(hop, DEBUG, "done: %s, messages sent: %d", answered, len(step.sends) + len(step.own))


def tell_of(hop: Hop, level: int, text: str, *values: object) -> None:
    """Write a record for the hop that it is about, wherever this runs."""
    token = current.set(hop)
    try:
        log.log(level, text, *values)
    finally:
        current.reset(token)
