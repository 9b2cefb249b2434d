"""Dead letters as JSON has them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from xpipe.cli.looking import iso
from xpipe.cli.rows import slot_row
from xpipe.inspection.dead_letters import LetterView
from xpipe.inspection.slots import slot_view


def letter_key(view: LetterView) -> dict[str, Any]:
    """Which dead letter is meant."""
    return {
        "number": view.number,
        "conversation": view.conversation,
        "listener": view.listener,
        "code": view.fault.code,
    }


def letter_row(view: LetterView) -> dict[str, Any]:
    """All of a dead letter; `given_up` is when, and `told` whether anybody has got its fault."""
    message = slot_row(slot_view(0, view.letter.message))
    return {
        "number": view.number,
        "conversation": view.conversation,
        "thread": view.letter.thread,
        "listener": view.listener,
        **{name: message[name] for name in ("kind", "from", "type", "payload", "problem")},
        "attempts": view.letter.attempts,
        "given_up": iso(view.letter.at),
        "told": view.letter.told,
        "fault": asdict(view.fault),
    }
