"""What the handlers of a simulated organism are asked to do, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

SLOW = 1_000.0
"""Virtual seconds that a slow handler takes, far more than it may."""


@dataclass
class Plan:
    """A handler's task. `parts` are those it gives to others, by `shape`; timeout: of the Buffer, 0 for none."""

    shape: str
    value: int = 0
    parts: list[Plan] = field(default_factory=list)
    in_flight: int = 0
    timeout: float = 0.0


@dataclass(frozen=True)
class Expected:
    """How a plan must end: `sum` between two bounds, `fault`, or `silence`."""

    kind: str
    least: int = 0
    most: int = 0


FAULT, SILENCE = Expected("fault"), Expected("silence")
LEAVES = ("leaf", "leaf", "leaf", "flaky", "asks", "doomed", "rejects", "slow", "silent", "chatty", "self")
BRANCHES = ("call", "call", "buffer", "buffer", "sequence")


def random_plan(random: Random, depth: int = 0) -> Plan:
    """A plan of at most four levels."""
    shape = random.choice(LEAVES + BRANCHES * 2) if depth < 3 else random.choice(LEAVES)
    plan = Plan(shape, random.randint(1, 1_000))
    if shape == "call":
        plan.parts = [random_plan(random, depth + 1)]
    elif shape in ("buffer", "sequence"):
        plan.parts = [random_plan(random, depth + 1) for _ in range(random.randint(1, 5))]
    if shape == "buffer":
        plan.in_flight = random.choice((0, 0, 1, 2, 3))
        plan.timeout = random.choice((0.0, 0.0, random.uniform(0.1, 60.0)))
    return plan


def expected(plan: Plan) -> Expected:
    """How `plan` must end, whatever goes wrong meanwhile."""
    ends = [expected(part) for part in plan.parts]
    match plan.shape:
        case "doomed" | "rejects" | "slow":
            return FAULT
        case "silent":
            return SILENCE
        case "call" if ends[0].kind != "sum":
            return ends[0]
        case "sequence" if any(end.kind != "sum" for end in ends):
            return FAULT
        case "buffer" if plan.timeout:
            return Expected("sum", plan.value, plan.value + sum(end.most for end in ends))
        case _:
            return Expected(
                "sum", plan.value + sum(end.least for end in ends), plan.value + sum(end.most for end in ends)
            )
