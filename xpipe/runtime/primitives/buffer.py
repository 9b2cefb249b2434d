"""`system.buffer`: fan-out of items to one listener, collected into one BufferComplete (B1 to B7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from xpipe.core import chains
from xpipe.core.codec import Packed
from xpipe.core.errors import PayloadError
from xpipe.core.messages import (
    FAULT,
    JOINED,
    Claim,
    Join,
    Message,
    Send,
    Step,
    decode_message,
    encode_message,
)
from xpipe.core.payloads import BufferComplete, BufferDispatched, BufferError, BufferItemResult, BufferStart
from xpipe.runtime.primitives.base import Primitive, Refusal
from xpipe.runtime.router import Router, open_call
from xpipe.runtime.topology import Topology
from xpipe.wire.inbound import Inbound


class _State(msgspec.Struct, array_like=True):
    return_to: str
    total: int


_encode = msgspec.msgpack.encode
_decode_state = msgspec.msgpack.Decoder(_State).decode


class Buffer(Primitive):
    """`read_results` gives the results of a Buffer's thread by index, `now` the seconds since the epoch."""

    def __init__(
        self,
        router: Router,
        topology: Topology,
        inbound: Inbound,
        fan_out: int,
        read_results: Callable[[str], Sequence[bytes | None]],
        now: Callable[[], float],
    ) -> None:
        super().__init__(router, topology, inbound)
        self._fan_out = fan_out
        self._read_results = read_results
        self._now = now

    def take(self, claim: Claim, message: Message) -> Step:
        if message.kind == JOINED:
            return self._complete(claim, message)
        try:
            start = self.types.decode_packed(message.type, message.payload)
            return self._start(claim, message, start)
        except PayloadError as error:
            return self._refuse(claim, message, Refusal(error.code, str(error)))
        except Refusal as refusal:
            return self._refuse(claim, message, refusal)

    def _refuse(self, claim: Claim, message: Message, refusal: Refusal) -> Step:
        fault = BufferError(
            refusal.code, refusal.text, claim.listener, message.hop, message.attempt, buffer_id=message.call
        )
        return self.router.fail(claim, message, fault)

    def _start(self, claim: Claim, message: Message, start: BufferStart) -> Step:
        self._check(claim, start)
        sends = list(self._sends(claim, message, start))
        step = Step(claim.thread, claim.fence, open_call(claim, message), sends)
        step.state = _encode(_State(start.return_to, len(sends)))
        step.join = self._join(claim, message, start)
        if not start.collect:
            finish = self.finish(
                claim, message, start.return_to, message.call, BufferDispatched(message.call, len(sends))
            )
            step.call, step.answer, step.delegate = "", finish.answer, finish.delegate
        return step

    def _check(self, claim: Claim, start: BufferStart) -> None:
        if not start.items:
            raise Refusal("no_items", "the Buffer has no items; send at least one")
        if len(start.items) > self._fan_out:
            text = f"the Buffer has {len(start.items)} items, over limits.fan_out ({self._fan_out}); split or raise it"
            raise Refusal("fan_out_too_wide", text)
        if not 0 <= start.timeout < math.inf:
            text = f"the Buffer's timeout is {start.timeout}; give seconds from 0 up, 0 for no bound"
            raise Refusal("bad_payload", text)
        self.check_target(self.requester(claim), start.target)
        self.check_return(claim, start.return_to, "BufferComplete" if start.collect else "BufferDispatched")

    def _sends(self, claim: Claim, message: Message, start: BufferStart) -> Iterator[Send]:
        target = start.target
        segment = chains.escape(target)
        for index, item in enumerate(start.items):
            packed = self.pack(item, target, f"items[{index}]")
            yield self.router.request(claim, message, target, packed.type, packed.data, f"{index}.{segment}", index)

    def _join(self, claim: Claim, message: Message, start: BufferStart) -> Join:
        joined = Message(
            f"{message.call}+",
            JOINED,
            message.conversation,
            start.target,
            claim.listener,
            "",
            b"",
            message.call,
            message.hop + 1,
        )
        expires = self._now() + start.timeout if start.timeout else 0.0
        return Join(message.call, len(start.items), encode_message(joined), start.collect, expires)

    def _complete(self, claim: Claim, message: Message) -> Step:
        state = _decode_state(claim.state)
        results = [self._result(index, data) for index, data in enumerate(self._read_results(claim.thread))]
        successful = sum(result.success for result in results)
        complete = BufferComplete(message.call, state.total, successful, results)
        return self.finish(claim, message, state.return_to, message.call, complete)

    def _result(self, index: int, data: bytes | None) -> BufferItemResult:
        if data is None:
            return BufferItemResult(index, False, None, "timeout", "no result before the Buffer's time-out")
        reply = decode_message(data)
        try:
            payload: Any = self.types.decode(reply.type, reply.payload)
        except PayloadError as error:  # It would make the whole result unreadable.
            return BufferItemResult(index, False, None, error.code, str(error))
        if reply.kind == FAULT:
            return BufferItemResult(index, False, None, payload.code, payload.text)
        return BufferItemResult(index, True, Packed(reply.type, reply.payload))
