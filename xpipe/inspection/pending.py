"""What is under way now: a message that waits for its turn or runs. Nothing is recorded of it before it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xpipe.core.messages import Message
from xpipe.ports import SharedBackend
from xpipe.runtime.lease import is_alive

Doing = Literal["waits", "runs", "unknown"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that is still to be handled to its end.

    doing: runs if a process has claimed it; unknown if others of its listener wait, and nothing tells which ones.
    since: when it was sent, or tried last; again: when it is due to be tried again; in seconds since the epoch, 0.0 if
    that is not known or not so. seconds: how long ago `since` is. process: host:pid of the run that has claimed it, ""
    if it could be any of several.
    """

    message: Message
    doing: Doing
    since: float
    again: float
    seconds: float
    process: str


class Present:
    """What goes on in `backend` at `now`, in seconds since the epoch."""

    def __init__(self, backend: SharedBackend, now: float) -> None:
        self.now = now
        self._ready = frozenset(backend.ready_listeners())
        alive = [pump for pump in backend.pumps() if is_alive(pump)]
        self._processes = [f"{pump.host.partition('/')[0]}:{pump.pid}" for pump in alive]

    def pending(self, message: Message, tried: float, again: float) -> Pending:
        """What becomes of `message`, last `tried` and then due `again`, if it was tried at all."""
        since = tried or message.at
        doing = self._doing(message.to, again)
        process = self._processes[0] if doing == "runs" and len(self._processes) == 1 else ""
        seconds = max(0.0, self.now - since) if since else 0.0
        return Pending(message, doing, since, again if again > self.now else 0.0, seconds, process)

    def _doing(self, listener: str, again: float) -> Doing:
        if not self._processes or again > self.now:
            return "waits"
        return "unknown" if listener in self._ready else "runs"
