"""Threads, slots and outputs as JSON has them."""

from __future__ import annotations

from typing import Any

from xpipe.cli.looking import iso
from xpipe.inspection.outputs import OutputView
from xpipe.inspection.slots import SlotView
from xpipe.ports import ThreadRecord


def thread_row(thread: ThreadRecord) -> dict[str, Any]:
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


def slot_row(slot: SlotView) -> dict[str, Any]:
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


def output_row(output: OutputView) -> dict[str, Any]:
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
