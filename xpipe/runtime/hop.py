"""One hop under way, and what is kept of it."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import msgspec

from xpipe.core.messages import Claim, HopRecord, Message, Step, encode_hop
from xpipe.core.organism import Listener
from xpipe.runtime.current import Where
from xpipe.runtime.responses import Failure

MAX_ATTEMPTS = 100
"""Attempts at one message that are kept."""


class Place:
    """Where a pump runs. process: its host and pid."""

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self.process = f"{self._host}:{os.getpid()}"

    def of_worker(self, pid: int) -> str:
        """The process `pid` of the same host."""
        return f"{self._host}:{pid}"


class Hop(msgspec.Struct, eq=False):
    """A claimed message on its way through a handler. `over` once its step is decided; later results are refused.

    started: when its handler began, by the monotonic clock; worker: the process it ran in, 0 for that of the pump;
    code: that of the fault it ended with; failure: what its handler was stopped for; number: that of its task in the
    pool; revoked: it was cancelled.
    """

    claim: Claim
    message: Message
    listener: Listener | None = None
    started: float = 0.0
    worker: int = 0
    code: str = ""
    over: bool = False
    revoked: bool = False
    failure: Failure | None = None
    number: int = 0
    task: Any = None
    timer: Any = None

    def back(self) -> Step:
        """The step that hands the message back: the attempt does not count."""
        return Step(self.claim.thread, self.claim.fence, again=self.claim.attempt)

    def where(self) -> Where:
        """The hop that this is."""
        message, claim = self.message, self.claim
        return Where(message.conversation, claim.thread, claim.listener, message.hop, message.attempt)

    def record(self, step: Step, place: Place) -> bytes:
        """What is kept of this hop, which ends now with `step` in the pump at `place`; b"" for nothing."""
        message = self.message
        if message.attempt > MAX_ATTEMPTS:
            return b""
        ended = time.time()
        began = ended - (time.monotonic() - self.started) if self.started else 0.0
        again = (step.due or ended) if step.again else 0.0
        process = place.of_worker(self.worker) if self.worker else place.process
        listener, answered = self.claim.listener, step.answer is not None
        return encode_hop(
            HopRecord(message.id, listener, message.attempt, began, ended, process, self.code, again, answered)
        )
