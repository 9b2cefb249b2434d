"""Threads, slots, faults and outputs as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpipe.cli.times import iso
from xpipe.inspection.listing import Call
from xpipe.inspection.outputs import OutputView
from xpipe.inspection.slots import SlotView
from xpipe.ports import ThreadRecord

if TYPE_CHECKING:
    from xpipe.cli.documents import CallRow, FaultRow, OutputRow, SlotRow, ThreadRow
    from xpipe.core.payloads import Fault
    from xpipe.runtime.stats import FaultRecord


def thread_row(thread: ThreadRecord) -> ThreadRow:
    """A thread; `touched` is when something last happened in it."""
    return {
        "thread": thread.thread,
        "conversation": thread.conversation,
        "chain": thread.chain,
        "listener": thread.listener,
        "state": thread.state,
        "slots": thread.slots,
        "bytes": thread.bytes,
        "touched": iso(thread.touched),
        "from": thread.last_from,
        "to": thread.last_to,
    }


def call_row(call: Call) -> CallRow:
    """A thread in a call tree."""
    return {**thread_row(call.thread), "caller": call.caller, "depth": call.depth}


def slot_row(slot: SlotView) -> SlotRow:
    """A slot; `problem` says why there is no payload, else it is null."""
    return {
        "index": slot.index,
        "kind": slot.kind,
        "from": slot.sender,
        "to": slot.to,
        "type": slot.type,
        "payload": slot.payload,
        "problem": slot.problem or None,
    }


def fault_row(fault: Fault | FaultRecord) -> FaultRow:
    """A fault."""
    return {
        "code": fault.code,
        "text": fault.text,
        "origin": fault.origin,
        "hop": fault.hop,
        "attempt": fault.attempt,
        "retryable": fault.retryable,
        "traceback": fault.traceback,
        "causes": list(fault.causes),
    }


def output_row(output: OutputView) -> OutputRow:
    """An output as `run --json` has it, whether a run has printed it, and when its conversation began and ended.

    retried_from: the conversation whose dead letter that one has tried again, else null.
    """
    return {
        "conversation": output.conversation.id,
        "kind": output.slot.kind,
        "from": output.slot.sender,
        "type": output.slot.type,
        "payload": output.slot.payload,
        "problem": output.slot.problem or None,
        "delivered": output.delivered,
        "started": iso(output.conversation.started),
        "ended": iso(output.conversation.ended),
        "retried_from": output.conversation.retried_from or None,
    }
