"""`system.sequence`, and listeners with a `sequence`: each step on the answer of the one before (S1 to S9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from xpipe.core import chains
from xpipe.core.codec import Packed
from xpipe.core.durations import is_duration
from xpipe.core.errors import PayloadError
from xpipe.core.messages import (
    FAULT,
    JOINED,
    REQUEST,
    Claim,
    DeadLetter,
    Join,
    Message,
    Send,
    Step,
    decode_message,
    encode_message,
)
from xpipe.core.payloads import Fault, SequenceComplete, SequenceError, SequenceStart, SequenceStep
from xpipe.runtime.primitives.base import Primitive, Refusal, Setting, check_seconds, join_id
from xpipe.runtime.router import open_call


class _State(msgspec.Struct, array_like=True):
    """How far a Sequence is.

    tries: of the step `index` so far; given: its payload, if it may be tried again; request: the id of its message, the
    same in every try.
    """

    steps: list[SequenceStep]
    return_to: str
    index: int = -1
    tries: int = 0
    given: Packed | None = None
    request: str = ""

    @property
    def step(self) -> SequenceStep:
        """The one under way."""
        return self.steps[self.index]


_encode = msgspec.msgpack.encode
_decode_state = msgspec.msgpack.Decoder(_State).decode


class Sequence(Primitive):
    """Calls its steps one after the other. A step with a time-out is a join of one, which the backend ends in time."""

    def take(self, claim: Claim, message: Message) -> Step:
        try:
            if message.kind == REQUEST:
                return self._start(claim, message, self.asked(message))
            return self._hear(claim, message, _decode_state(claim.state))
        except PayloadError as error:
            return self._refuse(claim, message, Refusal(error.code, str(error)))
        except Refusal as refusal:
            return self._refuse(claim, message, refusal)

    def asked(self, message: Message) -> SequenceStart:
        """What the request `message` asks for."""
        start = self.types.decode_packed(message.type, message.payload)
        if not isinstance(start, SequenceStart):
            raise PayloadError(f"{message.type} is not SequenceStart")
        return start

    def complete(self, claim: Claim, message: Message, state: _State, result: Packed) -> Step:
        """The step that ends the Sequence with the last answer."""
        tag = open_call(claim, message)
        return self.finish(claim, message, state.return_to, tag, SequenceComplete(tag, result, len(state.steps)))

    def _refuse(self, claim: Claim, message: Message, refusal: Refusal, step: str = "") -> Step:
        fault = Fault(refusal.code, refusal.text, claim.listener, message.hop, message.attempt)
        return self._fail(claim, message, fault, step, refusal.index)

    def _fail(self, claim: Claim, message: Message, fault: Fault, step: str, index: int) -> Step:
        error = SequenceError(
            fault.code,
            fault.text,
            fault.origin,
            fault.hop,
            fault.attempt,
            fault.retryable,
            fault.traceback,
            fault.causes,
            sequence_id=open_call(claim, message),
            step=step,
            index=index,
        )
        return self.fail(claim, message, claim.call, error)

    def _start(self, claim: Claim, message: Message, start: SequenceStart) -> Step:
        steps = [SequenceStep(one) if isinstance(one, str) else one for one in start.steps]
        if not steps:
            raise Refusal("no_items", "the Sequence has no steps; name at least one listener")
        for index, step in enumerate(steps):
            try:
                _check_numbers(step, index)
                self.check_listener(self.requester(claim), step.listener, index)
            except Refusal as refusal:
                return self._refuse(claim, message, refusal, step.listener)
        self.check_return(claim, start.return_to, "SequenceComplete")
        return self._advance(claim, message, _State(steps, start.return_to), start.payload, "the payload")

    def _hear(self, claim: Claim, message: Message, state: _State) -> Step:
        """The step that follows from how the one under way ended."""
        if message.kind == JOINED:
            # None are left when the thread has been cancelled meanwhile; then whatever follows is refused.
            data = next(iter(self.setting.backend.join_results(claim.thread)), None)
            if data is None:
                return self._time_out(claim, message, state)
            reply = decode_message(data)
            reply.attempt = message.attempt
            message = reply
        if message.kind == FAULT:
            return self._try_again(claim, message, state)
        result = Packed(message.type, message.payload)
        if state.index + 1 < len(state.steps):
            return self._advance(claim, message, state, result, f"the answer of {state.step.listener}")
        try:
            self.types.decode(result.type, result.data)
        except PayloadError as error:  # It would make the whole result unreadable.
            fault = Fault(error.code, str(error), state.step.listener, message.hop, message.attempt)
            return self._fail(claim, message, fault, state.step.listener, state.index)
        return self.complete(claim, message, state, result)

    def _advance(self, claim: Claim, message: Message, state: _State, payload: Any, what: str) -> Step:
        """The step that calls the next one with `payload`."""
        state.index, state.tries, state.request = state.index + 1, 0, self.router.new_id()
        target = state.step.listener
        try:
            packed = self.pack(payload, target, (target,), what, state.index)
        except Refusal as refusal:
            return self._refuse(claim, message, refusal, target)
        state.given = packed if state.step.retry else None
        return self._call(claim, message, state, packed)

    def _call(self, claim: Claim, message: Message, state: _State, payload: Packed) -> Step:
        state.tries += 1
        timeout = state.step.timeout
        step = Step(claim.thread, claim.fence, open_call(claim, message), state=_encode(state))
        step.sends = [self._request(claim, message, state, payload)]
        step.ends = True  # What was waited for so far; a join would take the answer for its own.
        if timeout:
            step.join = self._join(claim, message, state, self.setting.now() + max(0.0, timeout))
        else:
            step.no_answer = True
        return step

    def _request(self, claim: Claim, message: Message, state: _State, payload: Packed) -> Send:
        """The step under way, to be begun by a call of its own in each try."""
        step = state.step
        index = chains.try_segment(state.index, state.tries) if step.retry else str(state.index)
        return self.router.request(
            claim,
            message,
            step.listener,
            payload.type,
            payload.data,
            f"{index}.{chains.escape(step.listener)}",
            0 if step.timeout else -1,
            state.request if state.tries == 1 else "",
            state.request,
        )

    def _join(self, claim: Claim, message: Message, state: _State, expires: float) -> Join:
        call, sender, hop = open_call(claim, message), state.step.listener, message.hop + 2
        id = f"{join_id(claim, call)}.{state.index}.{state.tries}"
        joined = Message(f"{id}+", JOINED, message.conversation, sender, claim.listener, "", b"", call, hop)
        return Join(id, 1, encode_message(joined), expires=expires)

    def _time_out(self, claim: Claim, message: Message, state: _State) -> Step:
        """Give up the step under way, and hear of it as of any other fault (S6)."""
        step = state.step
        fault = Fault(
            "timeout", f"no answer within {max(0.0, step.timeout):g} s", step.listener, message.hop, retryable=True
        )
        type, payload = self.types.encode(fault)
        own = Message(
            f"{message.id}!", FAULT, message.conversation, step.listener, claim.listener, type, payload, message.call,
            message.hop, at=self.setting.now(),
        )  # fmt: skip
        return Step(claim.thread, claim.fence, claim.call, own=[encode_message(own)], cancels=True)

    def _try_again(self, claim: Claim, message: Message, state: _State) -> Step:
        """The fault in `message` ends the Sequence, unless its step is to be tried again after a pause (S7)."""
        if message.attempt > 1 and state.given is not None:
            return self._call(claim, message, state, state.given)
        fault: Fault = self.types.decode(message.type, message.payload)
        step = state.step
        if step.retry is not None and step.retry.retries(state.tries, _names(fault)):
            due = self.setting.now() + step.retry.delay(state.tries, self.setting.chance)
            return Step(claim.thread, claim.fence, again=message.attempt + 1, due=due)
        failed = self._fail(claim, message, fault, step.listener, state.index)
        if state.given is not None and not self.router.is_tried_again(claim, "SequenceError"):
            request = self._request(claim, message, state, state.given)
            told = failed.answer is not None
            failed.dead = DeadLetter(request.message, message.payload, told, attempts=state.tries)  # S9
        return failed


class DeclaredSequence(Sequence):
    """A listener with a `sequence`: it takes what the first step takes and answers what the last one answers."""

    def __init__(self, setting: Setting, steps: Iterable[SequenceStep]) -> None:
        super().__init__(setting)
        self._steps: list[str | SequenceStep] = list(steps)

    def requester(self, claim: Claim) -> str:
        return claim.listener

    def asked(self, message: Message) -> SequenceStart:
        return SequenceStart(self._steps, Packed(message.type, message.payload))

    def complete(self, claim: Claim, message: Message, state: _State, result: Packed) -> Step:
        del state
        return self.finish_packed(claim, message, "", open_call(claim, message), result)


def _names(fault: Fault) -> tuple[str, ...]:
    """What a RetryPolicy may call `fault`."""
    return (fault.code, *fault.causes)


def _check_numbers(step: SequenceStep, index: int) -> None:
    check_seconds(f"the timeout of the step {step.listener}", step.timeout, index)
    retry = step.retry
    if retry is None:
        return
    pauses = is_duration(retry.backoff) and is_duration(retry.max_backoff) and 0 <= retry.jitter <= 1
    if retry.max_attempts < 1 or not pauses:
        limits = "give attempts from 1, pauses of up to 36,500 days in seconds, jitter up to 1"
        text = f"the retry of the step {step.listener} is {retry}; {limits}"
        raise Refusal("bad_payload", text, index)
