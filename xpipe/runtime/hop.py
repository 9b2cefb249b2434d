"""One hop under way, and what is kept of it."""

from __future__ import annotations

import time
from typing import Any

from xpipe.core.messages import Claim, HopRecord, Message, Step, encode_hop
from xpipe.core.organism import Listener
from xpipe.runtime.current import Where
from xpipe.runtime.responses import Failure

MAX_ATTEMPTS = 100
"""Attempts at one message that are kept."""


class Hop:
    """A claimed message on its way through a handler. `over` once its step is decided; later results are refused.

    started: when its handler began, by the monotonic clock; worker: the process it ran in, 0 for that of the pump;
    code: that of the fault it ended with; failure: what its handler was stopped for; number: that of its task in the
    pool; revoked: it was cancelled.
    """

    __slots__ = (
        "claim",
        "code",
        "failure",
        "listener",
        "message",
        "number",
        "over",
        "revoked",
        "started",
        "task",
        "timer",
        "worker",
    )

    def __init__(self, claim: Claim, message: Message) -> None:
        self.claim = claim
        self.message = message
        self.listener: Listener | None = None
        self.started = 0.0
        self.worker = 0
        self.code = ""
        self.over = False
        self.revoked = False
        self.failure: Failure | None = None
        self.number = 0
        self.task: Any = None
        self.timer: Any = None

    def back(self) -> Step:
        """The step that hands the message back: the attempt does not count."""
        return Step(self.claim.thread, self.claim.fence, again=self.claim.attempt)

    def where(self) -> Where:
        """The hop that this is."""
        message, claim = self.message, self.claim
        return Where(message.conversation, claim.thread, claim.listener, message.hop, message.attempt)

    def record(self, step: Step, host: str, pid: int) -> bytes:
        """What is kept of this hop, which ends now with `step` in the process `pid`; b"" for nothing."""
        message = self.message
        if message.attempt > MAX_ATTEMPTS:
            return b""
        ended = time.time()
        began = ended - (time.monotonic() - self.started) if self.started else 0.0
        again = (step.due or ended) if step.again else 0.0
        place = f"{host}:{self.worker or pid}"
        listener, answered = self.claim.listener, step.answer is not None
        return encode_hop(
            HopRecord(message.id, listener, message.attempt, began, ended, place, self.code, again, answered)
        )
