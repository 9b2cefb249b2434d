"""Dead letters as JSON has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpipe.cli.rows import fault_row
from xpipe.cli.times import iso
from xpipe.inspection.dead_letters import LetterView, Retrial
from xpipe.inspection.slots import slot_view

if TYPE_CHECKING:
    from xpipe.cli.dead_documents import LetterKey, LetterRow, RetryRow


def letter_key(view: LetterView) -> LetterKey:
    """Which dead letter is meant."""
    return {
        "number": view.number,
        "conversation": view.conversation,
        "listener": view.listener,
        "code": view.fault.code,
    }


def retry_row(one: Retrial) -> RetryRow:
    """What became of trying one again."""
    return {**letter_key(one.view), "retried_as": one.conversation, "problem": one.problem or None}


def letter_row(view: LetterView) -> LetterRow:
    """All of a dead letter; `given_up` is when, and `told` whether anybody has got its fault."""
    message = slot_view(0, view.letter.message)
    return {
        "number": view.number,
        "conversation": view.conversation,
        "thread": view.letter.thread,
        "listener": view.listener,
        "kind": message.kind,
        "from": message.sender,
        "type": message.type,
        "payload": message.payload,
        "problem": message.problem or None,
        "attempts": view.letter.attempts,
        "given_up": iso(view.letter.at),
        "told": view.letter.told,
        "fault": fault_row(view.fault),
    }
