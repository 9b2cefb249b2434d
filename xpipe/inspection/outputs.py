"""What conversations have come to: the replies that reached their initiators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xpipe.core.messages import DAMAGED, FAULT, RESPONSE, ConversationRecord
from xpipe.inspection.slots import SlotView, slots_of
from xpipe.ports import SharedBackend

_OUTPUTS = (RESPONSE, FAULT, DAMAGED)


@dataclass(frozen=True, slots=True)
class OutputView:
    """One output. delivered: a run has printed it."""

    conversation: ConversationRecord
    slot: SlotView
    delivered: bool


def outputs(backend: SharedBackend, conversation: str | None = None, undelivered: bool = False) -> Iterator[OutputView]:
    """The outputs of `conversation`, or of all, oldest conversations first; only those no run has printed if asked."""
    for record in backend.conversations(unsettled=undelivered):
        if conversation not in (None, record.id):
            continue
        if record.outputs > (record.delivered if undelivered else 0):
            yield from (one for one in _outputs_of(backend, record) if not (undelivered and one.delivered))


def _outputs_of(backend: SharedBackend, record: ConversationRecord) -> Iterator[OutputView]:
    seen = 0
    for slot in slots_of(backend, record.id):
        if seen < record.outputs and slot.kind in _OUTPUTS:
            yield OutputView(record, slot, seen < record.delivered)
            seen += 1
        if seen == record.outputs:
            return
