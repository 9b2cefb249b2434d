"""What must hold when a simulated run is over."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from simulation.expecting import Expected, expected, items_of, value_of
from simulation.handlers import Handlers
from simulation.plans import CROWD, Plan, payload_of, width
from simulation.watching import WatchedBackend
from xpipe.core.codec import PayloadTypes
from xpipe.core.messages import FAULT, JOINED, MORE, REQUEST, RESPONSE, Event, Message, decode_message
from xpipe.core.payloads import BufferComplete, SequenceComplete, SequenceError


class Checker:
    """Looks at everything that a run has left. `plans`: by conversation, `cancelled`: those that may have been."""

    def __init__(
        self,
        backend: WatchedBackend,
        types: PayloadTypes,
        handlers: Handlers,
        plans: dict[str, Plan],
        cancelled: set[str],
    ) -> None:
        self._backend = backend
        self._types = types
        self._handlers = handlers
        self._plans = plans
        self._cancelled = cancelled
        self._asked: dict[str, Plan] = {}
        self.happened: Counter[str] = Counter()

    def check(self, events: list[Event]) -> None:
        """Everything. Raises AssertionError."""
        wrong = [*self._handlers.wrong, *self._backend.wrong]
        assert not wrong, wrong
        self._check_idle()
        self._read_requests()
        for record in self._backend.conversations():
            self._check_outputs(record.id, [one for one in events if one.conversation == record.id])
        for thread in self._backend.threads():
            self._check_thread(thread.thread, [*map(decode_message, self._backend.buffer_get_thread(thread.thread))])
            self._check_try(thread.chain)
        self._check_replies()
        self._check_dead_letters()
        self._check_forgetting()

    def _check_idle(self) -> None:
        self._backend.check_counts()
        totals = self._backend.totals()
        assert (totals.in_flight, totals.joins, totals.conversations_active) == (0, 0, 0), totals
        assert not self._backend.ready_listeners()
        assert {one.state for one in self._backend.threads()} <= {"done", "failed"}

    def _messages(self) -> Iterator[Message]:
        for thread in self._backend.buffer_list_threads():
            yield from map(decode_message, self._backend.buffer_get_thread(thread))

    def _read_requests(self) -> None:
        """Which plan each call to a primitive is about: no two plans are encoded alike."""
        encoded = {(plan.to, *self._types.encode(payload_of(plan))): plan for plan in self._all_plans()}
        for message in self._messages():
            plan = encoded.get((message.to, message.type, message.payload)) if message.kind == REQUEST else None
            if plan is not None:
                self._asked[message.call] = plan

    def _all_plans(self) -> Iterator[Plan]:
        waiting = list(self._plans.values())
        while waiting:
            plan = waiting.pop()
            waiting += plan.below
            yield plan

    # -- conversations

    def _check_outputs(self, id: str, events: list[Event]) -> None:
        outputs = [decode_message(slot) for slot in self._backend.buffer_get_thread(id)]
        assert [one.message for one in events if one.kind == "output"] == self._backend.buffer_get_thread(id)
        assert [one.kind for one in events].count("ended") == 1, events
        ends = [self._types.decode(one.type, one.payload) for one in outputs]
        plan, wanted = self._plans[id], expected(self._plans[id])
        callers = width(plan.to)
        assert len(ends) == callers or (wanted.silent and len(ends) < callers), (plan, wanted, ends)
        self.happened["silence"] += callers - len(ends)
        for end in ends:
            self._check_end(plan, wanted, end, id in self._cancelled)
        if id not in self._cancelled:
            self._check_begun(plan)
        if not _is_unheard(plan):
            assert not [one for one in events if one.kind == "dead"], f"nobody was told of a dead letter of {plan}"

    def _check_end(self, plan: Plan, wanted: Expected, end: Any, may_be_cancelled: bool) -> None:
        code = getattr(end, "code", "")
        if may_be_cancelled and code == "cancelled":
            self.happened["cancelled"] += 1
        elif code:
            assert code in wanted.codes, (plan, wanted, end)
            self.happened["fault"] += 1
        else:
            assert wanted.allows(value_of(end)), (plan, wanted, end)
            self.happened["sum"] += 1

    def _check_begun(self, plan: Plan) -> None:
        """What is sent without collecting is done all the same, unless something above is given up."""
        if plan.shape == "scatter" and any(one is plan for one in self._asked.values()):
            self.happened["scattered"] += 1
            missing = {part.id for part in plan.parts if part.shape not in ("buffer", "scatter", "sequence")}
            assert missing <= self._handlers.begun, f"not all of {plan} has been begun"
        is_kept = not (plan.terms.cancel_rest or any(step.timeout or step.retry for step in plan.steps))
        for part in plan.below if is_kept else ():
            self._check_begun(part)

    # -- threads

    def _check_thread(self, thread: str, messages: list[Message]) -> None:
        ids = Counter(message.id for message in messages)
        assert max(ids.values(), default=1) == 1, f"a message stands twice in {thread}: {ids}"
        assert sum(message.kind == JOINED for message in messages) <= 1 or self._is_sequence(messages)
        handled = self._backend.handled.get(thread, [])
        to_handle = [one.id for one in messages if one.kind != MORE and not one.kind.startswith("late-")]
        too_late = messages[self._backend.failed.get(thread, len(messages)) :]
        assert all(one.kind.startswith("late-") for one in too_late), f"{thread} got {too_late} after it had failed"
        is_initiator = thread in self._plans
        assert handled == ([] if is_initiator else to_handle[: len(handled)]), f"{thread}: {handled} of {to_handle}"
        for message in messages:
            if message.kind in (RESPONSE, FAULT, REQUEST):
                self._check_payload(self._types.decode(message.type, message.payload))

    def _check_try(self, chain: str) -> None:
        """If `chain` is that of a step of a Sequence: it has not been tried too often."""
        above, _, index = chain.rpartition(".")[0].rpartition(".")
        index, _, number = index.partition("~")
        slots = self._backend.buffer_get_thread(self._backend.registry_get_uuid(above) or "")
        plan = self._asked.get(decode_message(slots[0]).call) if slots else None
        if plan is not None and plan.shape == "sequence" and number.isdigit():
            retry = plan.steps[int(index)].retry
            assert retry is not None, f"{chain} is tried again, and nothing says that it may be"
            assert int(number) <= retry.max_attempts, chain
            self.happened["step tried again"] += int(number) > 1

    def _is_sequence(self, messages: list[Message]) -> bool:
        plan = self._asked.get(messages[0].call)
        return plan is not None and plan.shape == "sequence"

    def _check_replies(self) -> None:
        """No call is answered twice. What a Sequence tells itself when a step is out of time is no answer."""
        replies = (one for one in self._messages() if one.kind in (RESPONSE, FAULT) and not one.id.endswith("+!"))
        calls = Counter(reply.call for reply in replies)
        assert max(calls.values(), default=1) == 1, calls

    def _check_payload(self, payload: Any) -> None:
        if isinstance(payload, BufferComplete):
            self._check_complete(payload)
            for one in payload.results:
                self._check_payload(one.result)
        elif isinstance(payload, SequenceComplete):
            assert payload.steps == len(self._asked[payload.sequence_id].steps)
            self._check_payload(payload.result)
        elif isinstance(payload, SequenceError):
            step = self._asked[payload.sequence_id].steps[payload.index]
            assert payload.step == step.listener, payload
            assert payload.code in expected(self._asked[payload.sequence_id]).codes, payload

    def _check_complete(self, complete: BufferComplete) -> None:
        """Every index is accounted for, exactly once, by something that can have come of its item."""
        self.happened["buffer complete"] += 1
        plan = self._asked[complete.buffer_id]
        ends, total = items_of(plan), len(items_of(plan))
        assert [one.index for one in complete.results] == list(range(total)), (plan, complete)
        members = CROWD if plan.parts[0].to == "crowd" else (plan.parts[0].to,)
        for result, end in zip(complete.results, ends, strict=True):
            assert result.listener == members[result.index % len(members)]
            assert result.success == (not result.code), result
            if result.success:
                assert end.allows(value_of(result.result)), (plan, result, end)
            else:
                assert result.code in end.told | _cut_codes(plan, total), (plan, result, end)
                self.happened[f"item {result.code}"] += 1
        assert complete.successful == sum(one.success for one in complete.results)
        assert complete.successful + complete.failed + complete.timed_out + complete.cancelled == total
        self._check_terms(plan, complete, ends)

    def _check_terms(self, plan: Plan, complete: BufferComplete, ends: list[Expected]) -> None:
        terms, total = plan.terms, len(ends)
        needed = terms.needed(total)
        if terms.on_partial == "fault":
            assert complete.successful >= needed, (plan, complete)
        if terms.may_cut(total):
            assert complete.successful <= needed, (plan, complete)
        if terms.may_cut(total) and not terms.timeout:
            assert complete.successful == needed or complete.failed + complete.timed_out > total - needed, (
                plan,
                complete,
            )
        if not (terms.timeout or terms.may_cut(total)):
            assert all(one.success or not end.is_certain for one, end in zip(complete.results, ends, strict=True))

    # -- what is left

    def _check_dead_letters(self) -> None:
        letters = [decode_message(letter.message) for letter in self._backend.dead_letters()]
        ids = Counter(letter.id for letter in letters)
        assert max(ids.values(), default=1) == 1, ids
        for id, plan in self._plans.items():
            if plan.shape in ("doomed", "rejects", "slow", "stubborn") and id not in self._cancelled:
                assert id in ids, f"no dead letter tells of {plan}"

    def _check_forgetting(self) -> None:
        """With the conversations everything is gone."""
        self._backend.forget_ended(math.inf, len(self._plans))
        totals = self._backend.totals()
        assert (totals.threads, totals.conversations, totals.slots) == (0, 0, 0), totals
        assert len(list(self._backend.registry_entries())) == 1, "only the root is left"


def _is_unheard(plan: Plan) -> bool:
    """Whether nobody waits for something in `plan`: the items of a scatter, a second fault of one who calls several."""
    calls_several = plan.shape == "call" and len(items_of(plan)) > 1
    return calls_several or plan.shape == "scatter" or any(map(_is_unheard, plan.below))


def _cut_codes(plan: Plan, total: int) -> set[str]:
    """What may become of an item of `plan` that is given up."""
    codes = {"cancelled"} if plan.terms.may_cut(total) or plan.terms.timeout else set()
    return codes | {"timeout"} if plan.terms.timeout else codes
