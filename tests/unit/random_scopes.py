"""Random hops of everything that moves a count: calls, Buffers, Sequences, retries, delays, lost leases and cancels."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from router_kit import PUMP, Ping, Pong, World, call, listener, respond

from xpipe.backends.memory import InMemoryBackend
from xpipe.core import chains
from xpipe.core.messages import Claim, PumpRecord, cancelled, decode_message
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferStart,
    Fault,
    HandlerResponse,
    Items,
    SequenceComplete,
    SequenceStart,
    SequenceStep,
)
from xpipe.core.retry import RetryPolicy

RESULTS = (Ping, Pong, BufferComplete, BufferDispatched, SequenceComplete)
RETRY = RetryPolicy(3, backoff=2.0)
SOME = BufferOptions("plain", 2, 4.0, "50%", "fault", cancel_rest=True)
LISTENERS = (
    listener("plain", *RESULTS),
    listener("again", *RESULTS, retry=RETRY),
    listener("careful", *RESULTS, Fault),
    listener("crowd.one", *RESULTS, broadcast=True),
    listener("crowd.two", *RESULTS, broadcast=True),
    listener("some", Items, buffer=SOME),
    listener("line", Ping, Pong, sequence=(SequenceStep("plain", 3.0, RETRY), SequenceStep("again"))),
)
CALLED = ("plain", "again", "careful", "crowd", "line")


class RandomScopes:
    """A World whose hops end in a random order, one commit each; after each the counts must be right."""

    def __init__(self, random: Random, budget: int, backend: InMemoryBackend | None = None) -> None:
        self.random = random
        self.budget = budget
        self.world = World(*LISTENERS, backend=backend)
        self.held: list[Claim] = []
        self.injected: list[str] = []
        self.happened: Counter[str] = Counter()

    def run(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.injected.append(self.world.inject(self.random.choice(CALLED)))
        self.claim()
        while self.held or self.wait():
            self.trouble()
            if self.held:
                self.finish(self.held.pop(self.random.randrange(len(self.held))))
            if not self.held or self.random.random() < 0.7:
                self.claim()
        assert self.ended() == dict.fromkeys(self.injected, 1)

    # -- what happens

    def claim(self) -> None:
        self.held += self.world.advance(most=self.random.choice([1, 2, 1_000])).claims
        self.check()

    def wait(self) -> bool:
        """Until the next thing is due; False when nothing is."""
        due = self.world.advance(most=0).due
        self.world.now = max(self.world.now, due)
        self.claim()
        return bool(due or self.held)

    def finish(self, claim: Claim) -> None:
        step = self.world.step(claim, lambda *_: self.outcome())
        self.happened["again"] += bool(step.again)
        refused = self.world.advance(step, most=0).refused
        self.happened["refused"] += bool(refused)
        self.check()

    def trouble(self) -> None:
        """From time to time leases are lost, a conversation is cancelled, or time passes."""
        what = self.random.random()
        if what < 0.02:
            self.world.backend.bury_pump(PUMP)
            self.world.backend.enroll(PumpRecord(PUMP, "here", 1, 1, 0.0))
            self.held = [one for one in self.held if self.random.random() < 0.3]  # Whose pump lives all the same.
        elif what < 0.03:
            self.world.backend.cancel(self.random.choice(self.injected), cancelled("tested"), self.world.now)
        elif what < 0.1:
            self.world.now += self.random.choice([0.5, 5.0])
        self.check()

    def outcome(self) -> Any:
        random, self.budget = self.random, self.budget - 1
        if random.random() < 0.15:
            return ValueError("broken")
        count = 1 if self.budget <= 0 else random.choice([0, 1, 1, 1, 2])
        return [self.response() for _ in range(count)]

    def response(self) -> HandlerResponse:
        random = self.random
        if self.budget <= 0 or random.random() < 0.4:
            return respond(random.choice([Pong(), Pong(), Pong(), Fault("mine", "no")]))
        if random.random() < 0.4:
            return call(random.choice(CALLED))
        return random.choice([self.buffer, self.some, self.sequence])()

    def buffer(self) -> HandlerResponse:
        random = self.random
        min_success = random.choice(["", "1", "50%", "100%"])
        start = BufferStart(
            random.choice(CALLED),
            self.items(),
            random.random() < 0.8,
            timeout=random.choice([0.0, 0.0, 3.0]),
            max_in_flight=random.choice([0, 1, 2]),
            min_success=min_success,
            on_partial="fault" if min_success and random.random() < 0.5 else "complete",
            cancel_rest=random.random() < 0.5,
        )
        return call(BUFFER, start)

    def some(self) -> HandlerResponse:
        return call("some", Items(self.items()))

    def items(self) -> list[Ping]:
        return [Ping() for _ in range(self.random.randint(1, 4))]

    def sequence(self) -> HandlerResponse:
        random = self.random
        steps = [
            SequenceStep(
                random.choice(["plain", "again", "careful", "line"]),
                random.choice([0.0, 3.0]),
                random.choice([None, RETRY]),
            )
            for _ in range(random.randint(1, 3))
        ]
        return call(SEQUENCE, SequenceStart([*steps], Ping()))

    # -- what must hold

    def ended(self) -> Counter[str]:
        return Counter(event.conversation for event in self.world.events if event.kind == "ended")

    def check(self) -> None:
        """A conversation is over, and its count zero, exactly when none of its messages is to be handled any more."""
        threads = self.world.backend._ledger.records.threads.values()
        below = Counter(one.parent.id for one in threads if one.parent is not None and one.pending)
        open: Counter[str] = Counter()
        for thread in threads:
            waiting = len(thread.mailbox or ())
            assert thread.pending == waiting + below[thread.id], thread.chain
            open[thread.conversation.id] += waiting
        assert self.world.backend.load().in_flight == open.total()
        self.world.advance(most=0)  # It tells what has ended.
        for id in self.injected:
            record = self.world.backend._ledger.records.threads[id]
            assert (record.pending == 0) == (open[id] == 0) == (self.ended()[id] == 1), record.chain
        self.check_held(open)

    def check_held(self, open: Counter[str]) -> None:
        """While a hop is under way whose lease is good, its conversation is not over."""
        store, secret = self.world.backend._ledger.records, self.world.backend.secret()
        for claim in self.held:
            thread = store.threads[claim.thread]
            if (thread.owner, thread.fence) == (PUMP, claim.fence):
                assert open[chains.thread_id(secret, chains.initiator(claim.chain))], claim.chain
                assert decode_message(claim.message).id, claim.chain
