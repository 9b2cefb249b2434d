"""One hop under way."""

from __future__ import annotations

from typing import Any

from xpipe.core.messages import Claim, Message
from xpipe.core.organism import Listener


class Hop:
    """A claimed message on its way through a handler. `over` once its step is decided; later results are refused."""

    __slots__ = ("claim", "expired", "listener", "message", "over", "started", "task", "timer")

    def __init__(self, claim: Claim, message: Message) -> None:
        self.claim = claim
        self.message = message
        self.listener: Listener | None = None
        self.started = 0.0
        self.over = False
        self.expired = False
        self.task: Any = None
        self.timer: Any = None
