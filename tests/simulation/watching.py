"""A memory backend whose callers may die around a commit, and that is watched: what its answers may never be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from simulation.plans import FANS
from simulation.virtual import Stuck
from xpipe.backends.memory import InMemoryBackend
from xpipe.core.messages import MORE, Claim, PumpRecord, Step, claimed_message
from xpipe.core.payloads import BUFFER
from xpipe.ledger.records import Thread
from xpipe.ports import Advanced
from xpipe.runtime.primitives.buffer_state import BufferState

MOST_AT_ONCE = 20_000
"""Commits at one moment; with more of them time would never pass."""
PROMPT = 1.0
"""Seconds within which a living pump sees to what is due."""


class Crash(BaseException):
    """The process of a pump is gone."""


@dataclass
class Lease:
    """A message of the thread of `chain` is in the hands of `pump`."""

    pump: str
    fence: int
    chain: str


class WatchedBackend(InMemoryBackend):
    """doomed: what happens to a pump at its next commit: its process dies `before` or `after`, or it commits `twice`.

    wrong: what must not have happened; handled: the ids of the messages of each thread in the order of their claims;
    failed: how many slots a thread had when it failed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self.doomed: dict[str, str] = {}
        self.wrong: list[str] = []
        self.handled: dict[str, list[str]] = {}
        self.failed: dict[str, int] = {}
        self._leases: dict[str, Lease] = {}
        self._down: set[str] = set()
        self._changed = 0.0
        self._moment, self._commits = 0.0, 0

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        self._check_time_passes(now)
        moment = self.doomed.pop(pump, "")
        if moment == "before":
            self.goes_down(pump)
            raise Crash
        self._check_prompt(now)
        advanced = self._commit(pump, finished, room, most, now)
        if moment == "twice":
            self._commit(pump, finished, {}, 0, now)
        if moment == "after":
            self.goes_down(pump)
            raise Crash
        return advanced

    def _commit(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        lawful = [self._give_back(pump, step) for step in finished]
        advanced = super().advance(pump, finished, room, most, now)
        stale = {at for at, reason in advanced.refused.items() if reason == "stale"}
        if stale != {at for at, one in enumerate(lawful) if not one}:
            self.wrong.append(f"of the steps {lawful} of {pump}, True for those it may commit, {stale} were refused")
        for at, step in enumerate(finished):
            if step.failed and at not in advanced.refused:
                self.failed.setdefault(step.thread, self.buffer_thread_len(step.thread))
        for claim in advanced.claims:
            self._take(pump, claim)
        due = self._store_due()
        if 0.0 < due <= now:
            self.wrong.append(f"at {now} something was left to wait that was due at {due}")
        return advanced

    def _give_back(self, pump: str, step: Step) -> bool:
        """Whether `pump` may commit `step`; the leases that end with that."""
        lease = self._leases.get(step.thread)
        if lease is None or (lease.pump, lease.fence) != (pump, step.fence):
            return False
        del self._leases[step.thread]
        if step.cancels:
            self._end_below(lease.chain)
        return True

    def _end_below(self, chain: str) -> None:
        self._leases = {id: one for id, one in self._leases.items() if not one.chain.startswith(f"{chain}.")}

    def _take(self, pump: str, claim: Claim) -> None:
        if claim.thread in self._leases:
            self.wrong.append(f"two messages of {claim.chain} side by side: {self._leases[claim.thread]} and {pump}")
        self._leases[claim.thread] = Lease(pump, claim.fence, claim.chain)
        message = claimed_message(claim)
        handled = self.handled.setdefault(claim.thread, [])
        if message.kind != MORE and message.id not in handled[-1:]:
            handled.append(message.id)

    def _check_time_passes(self, now: float) -> None:
        self._moment, self._commits = now, self._commits + 1 if now == self._moment else 0
        if self._commits > MOST_AT_ONCE:
            raise Stuck(f"something is done over and over again at {now}")

    def _check_prompt(self, now: float) -> None:
        """Time-outs and delays are seen to at once, unless a pump has just died and nobody knows yet."""
        due = self._store_due()
        if due and not self._down and now > max(due, self._changed) + PROMPT:
            self.wrong.append(f"what was due at {due} was not seen to before {now}")

    def _store_due(self) -> float:
        """When something is due next, by looking at everything."""
        expiries = [join.terms.expires for join in self._store.joins.values() if join.terms.expires]
        return min([*expiries, *(thread.due for thread in self._store.threads.values() if thread.due)], default=0.0)

    def goes_down(self, pump: str) -> None:
        """The process of `pump` dies."""
        self._down.add(pump)

    def enroll(self, pump: PumpRecord) -> None:
        super().enroll(pump)
        self._changed = self._clock()

    def bury_pump(self, pump: str) -> int:
        self._down.discard(pump)
        self._changed = self._clock()
        self._leases = {id: one for id, one in self._leases.items() if one.pump != pump}
        return super().bury_pump(pump)

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        self._end_below(self.registry_get_chain(conversation) or "")
        return super().cancel(conversation, fault, now)

    def check_counts(self) -> None:
        """What must hold between any two commits. Raises AssertionError."""
        store = self._store
        below: dict[str, list[Thread]] = {}
        for thread in store.threads.values():
            if thread.parent is not None and thread.pending:
                below.setdefault(thread.parent.id, []).append(thread)
        for thread in store.threads.values():
            inside = below.get(thread.id, [])
            assert thread.pending == len(thread.mailbox or ()) + len(inside), f"pending of {thread.chain}"
            assert thread.mailbox != [], thread.chain
            if thread.state and thread.listener in (BUFFER, *FANS):
                self._check_buffer(thread, inside)
        assert store.in_flight == sum(len(thread.mailbox or ()) for thread in store.threads.values()), "in flight"
        for conversation in store.conversations.values():
            assert bool(conversation.ended) == (store.threads[conversation.id].pending == 0), "over when quiet"

    def _check_buffer(self, thread: Thread, inside: Sequence[Thread]) -> None:
        """It waits for exactly the items under way, no more than it allows; afterwards none is left if it says so."""
        join, state = thread.join, msgspec.msgpack.decode(thread.state, type=BufferState)
        if join is not None and join.open and state.collect:
            open = {one.index for one in inside if join.results[one.index] is None}
            assert len(open) == join.missing, f"{thread.chain} waits for {join.missing} items, not for {open}"
            assert len(open) <= state.window, f"{thread.chain} has {len(open)} items under way, not {state.window}"
        if join is None and state.terms.cancel_rest:
            left = [one.chain for one in inside if one.call or one.mailbox == [0]]
            assert not left, f"{left} should have been cancelled"
