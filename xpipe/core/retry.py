"""When a message whose handler failed is tried again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import SupportsFloat

from xpipe.core.durations import is_duration

RETRIED = ("exception", "timeout", "worker_lost", "no_thread")
"""The codes of the faults that may pass if the same message is tried again."""
ASKED_AGAIN, REJECTED = "retries_exhausted", "rejected"
"""The codes of the faults of handlers that raised Retry once too often, and of those that raised Reject."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and when. Durations are in seconds.

    The pause after a failed attempt begins at `backoff` and doubles up to `max_backoff`; `jitter` is the part of it
    that is left to chance, 0 to 1. on: fault codes and names of exception classes that are retried, all of RETRIED if
    empty; never: those that are not, whatever `on` says.
    """

    max_attempts: int = 3
    backoff: float = 1.0
    max_backoff: float = 60.0
    jitter: float = 0.5
    on: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def retries(self, attempt: int, names: Sequence[str]) -> bool:
        """Whether a failure in `attempt`, from 1, is tried again; `names` are its code and its exception's classes."""
        if attempt >= self.max_attempts or any(name in self.never for name in names):
            return False
        return any(name in (self.on or RETRIED) for name in names)

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """The pause after `attempt`; `random` gives a number from 0 up to 1."""
        whole = min(self.max_backoff, self.backoff * 2.0 ** min(attempt - 1, 60))
        return whole * (1.0 - self.jitter * random())


WORKER_LOST = RetryPolicy(max_attempts=3, backoff=0.0, on=("worker_lost",))
"""For listeners without a policy: the death of a worker may be no fault of the message."""
ASKED = RetryPolicy(max_attempts=10, backoff=1.0)
"""For handlers that raise Retry at listeners without a policy."""


class Retry(Exception):
    """Raised by a handler: try this message again, after `after` seconds, or when the listener's policy says.

    A negative `after` is now. Counts against its max_attempts (10 without a policy); then the fault
    `retries_exhausted` tells `reason`. Raises TypeError or ValueError when `after` is no number of seconds, or more
    than 36,500 days.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the handler asked to be tried again")
        self.after = None if after is None else pause_of(after)


def pause_of(after: object) -> float:
    """The seconds that the `after` of a Retry means, never negative: `reset - now` may be over by the time it is
    computed. Raises TypeError and ValueError."""
    if isinstance(after, timedelta):
        after = after.total_seconds()
    if isinstance(after, bool) or not isinstance(after, SupportsFloat):
        raise TypeError(f"the after of a Retry is a {type(after).__name__}; give a number of seconds, or a timedelta")
    try:
        seconds = float(after)
    except OverflowError:
        seconds = math.inf
    if not (math.isfinite(seconds) and is_duration(max(0.0, seconds))):
        raise ValueError("the after of a Retry is not from 0 to 36,500 days; give the seconds until the next attempt")
    return max(0.0, seconds)


class Reject(Exception):
    """Raised by a handler: this message cannot be handled, now or ever. The fault `rejected` tells `reason`."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the handler rejected the message")
