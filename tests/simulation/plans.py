"""What the listeners of a simulated organism are asked to do: random plans, and the payloads they travel as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from random import Random
from typing import Any

from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, Items, SequenceStart, SequenceStep
from xpipe.core.retry import RetryPolicy


@dataclass(frozen=True)
class Node:
    """How a listener retries, and how many attempts that must come to, by what goes wrong."""

    retry: RetryPolicy | None
    os_error: int
    value_error: int
    timeout: int
    asked: int


NODES: Mapping[str, Node] = {
    "odd": Node(RetryPolicy(max_attempts=4, backoff=0.5, never=("timeout",)), 4, 4, 1, 4),
    "even": Node(None, 1, 1, 1, 10),
    "third": Node(RetryPolicy(3, backoff=2.0, max_backoff=3.0, on=("timeout", "OSError")), 3, 1, 3, 3),
    "crowd": Node(RetryPolicy(2, backoff=5.0, jitter=1.0, on=("ValueError",)), 1, 2, 1, 2),
}
"""Listeners with a handler; crowd is a group of them."""
CROWD = ("crowd.one", "crowd.two", "crowd.three")
STEP, GATHER = "step", "gather"
"""A step of a Sequence: does the first part of a Round; what makes a sum of whatever came out."""
FANS: Mapping[str, BufferOptions] = {
    "fan.all": BufferOptions("even"),
    "fan.some": BufferOptions("third", 2, 45.0, "50%", "fault", cancel_rest=True),
    "fan.crowd": BufferOptions("crowd", 3, min_success="2", cancel_rest=True),
    "fan.chain": BufferOptions("chain.timed", 2, 90.0),
    "fan.fan": BufferOptions("fan.some", min_success="34%", on_partial="fault"),
}
"""Listeners with a `buffer`."""
AGAIN = RetryPolicy(3, backoff=1.0, on=("rejected", "timeout"))
CHAINS: Mapping[str, tuple[SequenceStep, ...]] = {
    "chain.plain": (SequenceStep(STEP), SequenceStep(STEP, retry=AGAIN)),
    "chain.timed": (SequenceStep(STEP, 40.0, AGAIN), SequenceStep(STEP, 80.0)),
    "chain.fan": (SequenceStep(STEP), SequenceStep("fan.some", retry=AGAIN), SequenceStep(GATHER)),
    "chain.chain": (SequenceStep("chain.timed", 60.0), SequenceStep(GATHER)),
}
"""Listeners with a `sequence`."""
LEAVES = (
    *("leaf", "leaf", "leaf", "leaf", "flaky", "asks", "shaky", "doomed", "rejects"),
    *("slow", "stubborn", "silent", "chatty", "self", "refuses", "lost"),
)
DEEPEST = 3


@dataclass
class Terms:
    """Those of a Buffer: see BufferStart."""

    max_in_flight: int = 0
    timeout: float = 0.0
    min_success: str = ""
    on_partial: str = "complete"
    cancel_rest: bool = False

    def needed(self, total: int) -> int:
        """How many of `total` have to succeed."""
        if self.min_success.endswith("%"):
            return -(-int(self.min_success[:-1]) * total // 100)
        return int(self.min_success or 0)

    def may_cut(self, total: int) -> bool:
        """Whether it ends as soon as its outcome is certain."""
        return self.cancel_rest and 0 < self.needed(total) <= total


@dataclass(repr=False)
class Plan:
    """A task for the listener or group `to`; in all of a simulation no two have the same `id`.

    shape: one of LEAVES; call: have the parts done side by side and add them to `value`; buffer, scatter (one that does
    not collect) and sequence. fails: how often one that is flaky, asks or is shaky does so. A sequence has a step for
    each part, whose sums it adds up; with a tail another for that and one for GATHER, and its outcome is the tail's.
    """

    id: int
    shape: str
    to: str
    value: int = 0
    fails: int = 0
    parts: list[Plan] = field(default_factory=list)
    terms: Terms = field(default_factory=Terms)
    steps: list[SequenceStep] = field(default_factory=list)
    tail: list[Plan] = field(default_factory=list)
    return_to: str = ""

    def __repr__(self) -> str:
        below = f" {self.below}" if self.below else ""
        terms = f" {self.terms}" if self.shape == "buffer" else ""
        return f"<{self.id} {self.shape} {self.to} {self.value} {self.fails}{terms}{below}>"

    @property
    def below(self) -> list[Plan]:
        """The plans that it gives to others."""
        return [*self.parts, *self.tail]


@dataclass
class Round:
    """The parts of a sequence that are still to be done, the sum so far, and what follows."""

    parts: list[Plan]
    value: int
    tail: list[Plan]


@dataclass
class Sum:
    """What comes of a plan."""

    value: int


def width(to: str) -> int:
    """How many listeners `to` reaches."""
    return len(CROWD) if to == "crowd" else 1


def payload_of(plan: Plan) -> Any:
    """What is sent to `plan.to` to have `plan` done."""
    if plan.to in NODES:
        return plan
    if plan.shape == "sequence":
        first = Round(plan.parts, 0, plan.tail) if plan.parts else payload_of(plan.tail[0])
        return SequenceStart(list(plan.steps), first, plan.return_to) if plan.to == SEQUENCE else first
    items = [payload_of(part) for part in plan.parts]
    if plan.to in FANS:
        return Items(items)
    return BufferStart(plan.parts[0].to, items, plan.shape == "buffer", plan.return_to, **asdict(plan.terms))


class Planner:
    """Makes plans at random."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ids = count(1)

    def plan(self) -> Plan:
        """A plan for a conversation."""
        return self._make(self._random.choice(("odd", "odd", "even", *self._targets(0))), 0)

    def _make(self, to: str, depth: int) -> Plan:
        if to in NODES:
            return self._node(to, depth)
        if to == SEQUENCE or to in CHAINS:
            return self._sequence(to, depth)
        return self._buffer(to, depth)

    def _targets(self, depth: int) -> list[str]:
        """Who can be asked to do something `depth` levels below the conversation's initiator."""
        return [*NODES] if depth >= DEEPEST else [*NODES, BUFFER, BUFFER, BUFFER, SEQUENCE, SEQUENCE, *FANS, *CHAINS]

    def _node(self, to: str, depth: int) -> Plan:
        random = self._random
        plan = Plan(next(self._ids), random.choice(LEAVES), to, random.randint(1, 1_000), random.randint(1, 4))
        if random.random() > (0.3, 0.5, 0.7, 1.0)[min(depth, DEEPEST)]:
            # A message to one's own name is another thing than a call.
            targets = [name for name in self._targets(depth + 1) if name != to]
            called = random.choices(targets, k=random.choice((1, 1, 1, 2, 3)))
            plan.shape, plan.parts = "call", [self._make(target, depth + 1) for target in called]
        return plan

    def _buffer(self, to: str, depth: int) -> Plan:
        random, plan = self._random, Plan(next(self._ids), "buffer", to)
        if to in FANS:
            options = asdict(FANS[to])
            target = options.pop("target")
            plan.terms = Terms(**options)
        else:
            target, plan.terms = random.choice(self._targets(depth + 1)), self._terms()
            plan.shape = random.choice(("buffer",) * 7 + ("scatter",))
            plan.return_to = GATHER if plan.shape == "buffer" and random.random() < 0.1 else ""
        plan.parts = [self._make(target, depth + 1) for _ in range(random.randint(1, 6 - depth))]
        return plan

    def _terms(self) -> Terms:
        random = self._random
        min_success = random.choice(("", "", "1", "2", "50%", "67%", "100%", "4"))
        return Terms(
            random.choice((0, 0, 1, 2, 3, 5)),
            random.choice((0.0, 0.0, random.uniform(0.1, 20.0), random.uniform(20.0, 150.0))),
            min_success,
            random.choice(("complete", "fault")) if min_success else "complete",
            random.random() < 0.5,
        )

    def _sequence(self, to: str, depth: int) -> Plan:
        random, plan = self._random, Plan(next(self._ids), "sequence", to)
        rounds, tail = random.randint(0, 3), []
        if to in CHAINS:
            plan.steps = list(CHAINS[to])
            names = [step.listener for step in plan.steps]
            rounds, tail = names.count(STEP), [name for name in names if name not in (STEP, GATHER)]
        elif not rounds or random.random() < 0.5:
            tail = [random.choice([name for name in self._targets(depth + 1) if name != "crowd"])]
        plan.tail = [self._make(name, depth + 1) for name in tail]
        plan.parts = [self._make(self._part_of_round(depth), depth + 1) for _ in range(rounds)]
        if not plan.steps:
            names = [*[STEP] * rounds, *(name for one in tail for name in (one, GATHER))]
            plan.steps = [self._step(name) for name in names]
            plan.return_to = GATHER if random.random() < 0.1 else ""
        return plan

    def _part_of_round(self, depth: int) -> str:
        return self._random.choice([name for name in self._targets(depth + 1) if name != "crowd"])

    def _step(self, name: str) -> SequenceStep:
        random = self._random
        timeout = random.choice((0.0, 0.0, random.uniform(0.1, 120.0)))
        codes = random.choice(((), ("exception", "timeout", "rejected", "no_answer"), ("rejected",)))
        retry = RetryPolicy(random.randint(1, 4), random.uniform(0.0, 5.0), on=codes)
        return SequenceStep(name, timeout, retry if random.random() < 0.5 else None)
