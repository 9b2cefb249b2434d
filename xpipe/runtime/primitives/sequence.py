"""`system.sequence`: listeners in order, each on the answer of the one before (S1 to S5)."""

from __future__ import annotations

from typing import Any

import msgspec

from xpipe.core import chains
from xpipe.core.codec import Packed
from xpipe.core.errors import PayloadError
from xpipe.core.messages import FAULT, REQUEST, Claim, Message, Step
from xpipe.core.payloads import Fault, SequenceComplete, SequenceError, SequenceStart
from xpipe.runtime.primitives.base import Primitive, Refusal
from xpipe.runtime.router import open_call


class _State(msgspec.Struct, array_like=True):
    steps: list[str]
    index: int
    return_to: str


_encode = msgspec.msgpack.encode
_decode_state = msgspec.msgpack.Decoder(_State).decode


class Sequence(Primitive):
    def take(self, claim: Claim, message: Message) -> Step:
        try:
            if message.kind == REQUEST:
                return self._start(claim, message)
            state = _decode_state(claim.state)
            if message.kind == FAULT:
                return self._stop(claim, message, state)
            return self._advance(claim, message, state, Packed(message.type, message.payload))
        except PayloadError as error:
            return self._refuse(claim, message, Refusal(error.code, str(error)))
        except Refusal as refusal:
            return self._refuse(claim, message, refusal)

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
            sequence_id=open_call(claim, message),
            step=step,
            index=index,
        )
        return self.router.fail(claim, message, error)

    def _start(self, claim: Claim, message: Message) -> Step:
        start: SequenceStart = self.types.decode_packed(message.type, message.payload)
        if not start.steps:
            raise Refusal("no_items", "the Sequence has no steps; name at least one listener")
        for index, name in enumerate(start.steps):
            try:
                self.check_target(self.requester(claim), name, index)
            except Refusal as refusal:
                return self._refuse(claim, message, refusal, name)
        self.check_return(claim, start.return_to, "SequenceComplete")
        state = _State(start.steps, -1, start.return_to)
        try:
            first = self.pack(start.payload, start.steps[0], "the payload", 0)
        except Refusal as refusal:
            return self._refuse(claim, message, refusal, start.steps[0])
        return self._call(claim, message, state, first)

    def _advance(self, claim: Claim, message: Message, state: _State, result: Packed) -> Step:
        if state.index + 1 == len(state.steps):
            tag = open_call(claim, message)
            try:
                self.types.decode(result.type, result.data)
            except PayloadError as error:  # It would make the whole result unreadable.
                fault = Fault(error.code, str(error), state.steps[-1], message.hop, message.attempt)
                return self._fail(claim, message, fault, state.steps[-1], state.index)
            complete = SequenceComplete(tag, result, len(state.steps))
            return self.finish(claim, message, state.return_to, tag, complete)
        following = state.steps[state.index + 1]
        try:
            self.pack(result, following, f"the answer of {state.steps[state.index]}", state.index + 1)
        except Refusal as refusal:
            return self._refuse(claim, message, refusal, following)
        return self._call(claim, message, state, result)

    def _call(self, claim: Claim, message: Message, state: _State, payload: Packed) -> Step:
        state.index += 1
        target = state.steps[state.index]
        segment = f"{state.index}.{chains.escape(target)}"
        send = self.router.request(claim, message, target, payload.type, payload.data, segment)
        step = Step(claim.thread, claim.fence, open_call(claim, message), [send])
        step.state = _encode(state)
        step.no_answer = True
        return step

    def _stop(self, claim: Claim, message: Message, state: _State) -> Step:
        fault: Any = self.types.decode(message.type, message.payload)
        return self._fail(claim, message, fault, state.steps[state.index], state.index)
