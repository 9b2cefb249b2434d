"""One hop under way."""

from __future__ import annotations

from typing import Any

from xpipe.core.messages import Claim, Message, Step
from xpipe.core.organism import Listener
from xpipe.runtime.responses import Failure


class Hop:
    """A claimed message on its way through a handler. `over` once its step is decided; later results are refused.

    failure: what its handler was stopped for; number: that of its task in the pool; revoked: it was cancelled.
    """

    __slots__ = ("claim", "failure", "listener", "message", "number", "over", "revoked", "started", "task", "timer")

    def __init__(self, claim: Claim, message: Message) -> None:
        self.claim = claim
        self.message = message
        self.listener: Listener | None = None
        self.started = 0.0
        self.over = False
        self.revoked = False
        self.failure: Failure | None = None
        self.number = 0
        self.task: Any = None
        self.timer: Any = None

    def back(self) -> Step:
        """The step that hands the message back: the attempt does not count."""
        return Step(self.claim.thread, self.claim.fence, again=self.claim.attempt)
