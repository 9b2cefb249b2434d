"""What may come of a plan, and nothing else, whatever goes wrong meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulation.plans import NODES, Plan, width
from xpipe.core.payloads import BufferComplete, BufferDispatched, SequenceComplete, SequenceStep


@dataclass(frozen=True)
class Expected:
    """The ways in which a plan may end: a sum from `least` to `most` if it `adds_up`; a fault of one of `codes`;
    without any answer. More than one only where time decides.
    """

    adds_up: bool = False
    least: int = 0
    most: int = 0
    codes: frozenset[str] = frozenset()
    silent: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether it can only be a sum."""
        return self.adds_up and not (self.codes or self.silent)

    def allows(self, value: int) -> bool:
        """Whether it may be the sum `value`."""
        return self.adds_up and self.least <= value <= self.most

    @property
    def told(self) -> frozenset[str]:
        """The codes of its faults for one who is told of silence, too."""
        return self.codes | {"no_answer"} if self.silent else self.codes


def a_sum(least: int, most: int, *codes: str) -> Expected:
    return Expected(True, least, most, frozenset(codes))


def a_fault(*codes: str) -> Expected:
    return Expected(codes=frozenset(codes))


def value_of(result: Any) -> int:
    """The sum that an answer comes to."""
    if isinstance(result, BufferComplete):
        return sum(value_of(one.result) for one in result.results if one.success)
    if isinstance(result, SequenceComplete):
        return value_of(result.result)
    return 0 if isinstance(result, BufferDispatched) else int(result.value)


def expected(plan: Plan) -> Expected:
    """How `plan` may end for whoever asks its listener; for a group, each member."""
    match plan.shape:
        case "call":
            return _call(plan)
        case "buffer":
            return _buffer(plan)
        case "scatter":
            return a_sum(0, 0)
        case "sequence":
            return _sequence(plan)
        case _:
            return _leaf(plan)


def _leaf(plan: Plan) -> Expected:
    ends = a_sum(plan.value, plan.value)
    match plan.shape:
        case "flaky":
            return ends if plan.fails < NODES[plan.to].os_error else a_fault("exception")
        case "asks":
            return ends if plan.fails < NODES[plan.to].asked else a_fault("retries_exhausted")
        case "shaky":
            return a_sum(plan.value, plan.value, "rejected")
        case "silent":
            return Expected(silent=True)
    code = {"doomed": "exception", "rejects": "rejected", "slow": "timeout", "stubborn": "timeout"}
    code |= {"refuses": "mine", "lost": "unknown_target"}
    return a_fault(code[plan.shape]) if plan.shape in code else ends


def attempts(plan: Plan) -> int:
    """How often a message that asks for `plan`, of a node, may be tried."""
    node = NODES[plan.to]
    match plan.shape:
        case "flaky":
            return min(node.os_error, plan.fails + 1)
        case "asks":
            return min(node.asked, plan.fails + 1)
        case "doomed":
            return node.value_error
        case "slow" | "stubborn":
            return node.timeout
        case _:
            return 1


def _call(plan: Plan) -> Expected:
    ends = items_of(plan)
    least, most = plan.value + sum(end.least for end in ends), plan.value + sum(end.most for end in ends)
    codes = frozenset(code for end in ends for code in end.codes)
    return Expected(all(end.adds_up for end in ends), least, most, codes, any(end.silent for end in ends))


def _buffer(plan: Plan) -> Expected:
    ends = items_of(plan)
    terms, total = plan.terms, len(ends)
    needed, is_whole = terms.needed(total), not (terms.timeout or terms.may_cut(total))
    certain = 0 if terms.timeout else sum(end.is_certain for end in ends)
    possible = sum(end.adds_up for end in ends)
    least = sum(end.least for end in ends if end.is_certain) if is_whole else 0
    most = sum(end.most for end in ends)
    if terms.on_partial == "complete" or certain >= needed:
        return a_sum(least, most)
    return a_sum(least, most, "too_few_successes") if possible >= needed else a_fault("too_few_successes")


def items_of(plan: Plan) -> list[Expected]:
    """How each item of a Buffer may end, by index; or each call of a call."""
    return [expected(part) for part in plan.parts for _ in range(width(part.to))]


def _sequence(plan: Plan) -> Expected:
    ends = [_step(step, part) for step, part in zip(plan.steps, plan.below, strict=False)]
    if plan.tail:
        ends.append(_gather(plan.steps[-1]))
    codes = frozenset[str]()
    for end in ends:
        codes |= end.codes
        if not end.adds_up:
            return a_fault(*codes)
    counted = [expected(part) for part in plan.tail or plan.parts]
    return a_sum(sum(end.least for end in counted), sum(end.most for end in counted), *codes)


def _step(step: SequenceStep, part: Plan) -> Expected:
    end = expected(part)
    codes = end.told
    if part.shape == "shaky" and step.retry and not step.timeout and part.fails < step.retry.max_attempts:
        codes -= {"rejected"} & {*step.retry.on}
    return Expected(end.adds_up, codes=codes | {"timeout"} if step.timeout else codes)


def _gather(step: SequenceStep) -> Expected:
    return a_sum(0, 0, "timeout") if step.timeout else a_sum(0, 0)
