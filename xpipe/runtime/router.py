"""From a claim and the outcome of its handler to the step to commit. Pure: docs/semantics.md is its table."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from xpipe.core import chains
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.limits import Limits
from xpipe.core.messages import (
    DAMAGED,
    FAULT,
    REQUEST,
    RESPONSE,
    SELF,
    UNREADABLE,
    Answer,
    Binding,
    Claim,
    DeadLetter,
    Message,
    Send,
    Step,
    encode_message,
)
from xpipe.core.payloads import Fault
from xpipe.core.retry import ASKED, ASKED_AGAIN, REJECTED, RETRIED, WORKER_LOST
from xpipe.runtime.responses import Outgoing
from xpipe.runtime.routing import Routing
from xpipe.runtime.topology import Topology

MAX_DELIVERIES = 10
"""How often a message may take its pump down, or be held by one that dies, before it is given up on."""


def message_ids() -> Callable[[], str]:
    """A source of ids that no other process shares: a random prefix and a count."""
    prefix, numbers = secrets.token_hex(6), count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


class Router:
    """Decides what a hop commits. `secret` keys the thread ids, `new_id` makes message ids.

    now: the seconds since the epoch; chance: a number from 0 up to 1, which tells when a retry is due.
    """

    def __init__(
        self,
        topology: Topology,
        types: PayloadTypes,
        limits: Limits,
        secret: bytes,
        new_id: Callable[[], str] | None = None,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._now = now
        self._chance = chance
        self._topology = topology
        self.types = types
        self._limits = limits
        self._secret = secret
        self.new_id = new_id or message_ids()

    def admit(self, claim: Claim, message: Message) -> Step | None:
        """None when the handler may run, else the step that is taken instead (F6, F7, F11, L2)."""
        if message.kind == DAMAGED:
            return self.fail_damaged(claim, message)
        if claim.deliveries >= MAX_DELIVERIES:
            text = f"{claim.deliveries} pumps died while they handled this message; it is not tried again"
            return self.fail(claim, message, self.fault(claim, message, "pump_lost", text))
        if self._topology.accepts(claim.listener, message.type):
            return None
        if message.kind == FAULT:
            return self.pass_on(claim, message)
        if message.kind == RESPONSE:
            text = f"{claim.listener} does not accept the reply {message.type} of {message.sender}"
            hint = "; add it to the annotation of its handler"
            return self.fail(claim, message, self.fault(claim, message, "unaccepted_reply", text + hint))
        if claim.listener in self._topology.gone:
            text = f"{claim.listener} has been unregistered; register it again or send to another listener"
            return self.fail(claim, message, self.fault(claim, message, "unknown_target", text))
        text = f"{claim.listener} does not accept {message.type}; it accepts {self._topology.accepted(claim.listener)}"
        return self.fail(claim, message, self.fault(claim, message, "bad_payload", text))

    def fault(
        self, claim: Claim, message: Message, code: str, text: str, traceback: str = "", causes: Sequence[str] = ()
    ) -> Fault:
        """A fault that happened at the claim's listener."""
        retryable = code in RETRIED and code != "exception"
        return Fault(code, text, claim.listener, message.hop, message.attempt, retryable, traceback, tuple(causes))

    def route(self, claim: Claim, message: Message, responses: Sequence[Outgoing]) -> Step:
        """The step for the responses of a handler that ended well (R1 to R9, R12, R13)."""
        routing = Routing(claim, message, Step(claim.thread, claim.fence, open_call(claim, message)))
        for response in responses:
            if response.to is None:
                self._respond(routing, response)
            else:
                self._call(routing, response, response.to)
            if routing.fault is not None:
                return self.fail(claim, message, routing.fault)
        return self._tell_refused(routing, routing.refused) if routing.refused else routing.step

    def route_failure(self, claim: Claim, message: Message, fault: Fault, after: float | None = None) -> Step:
        """The step for a handler that failed (R10, R11). after: the pause that it asked for."""
        pause = self._pause(claim.listener, message.attempt, fault, after)
        if pause is None:
            return self.fail(claim, message, fault)
        return Step(claim.thread, claim.fence, again=message.attempt + 1, due=self._now() + pause if pause else 0.0)

    def _pause(self, listener: str, attempt: int, fault: Fault, after: float | None) -> float | None:
        """Seconds until the next attempt, None for no further one."""
        known = self._topology.get(listener)
        asked = fault.code == ASKED_AGAIN
        policy = (known and known.retry) or (ASKED if asked else WORKER_LOST)
        names = (fault.code, *fault.causes)
        if fault.code == REJECTED or not (attempt < policy.max_attempts if asked else policy.retries(attempt, names)):
            return None
        return policy.delay(attempt, self._chance) if after is None else after

    def fail(self, claim: Claim, message: Message, fault: Fault) -> Step:
        """The step that ends the thread with `fault`: to its caller if it has an open call (F3), else buried (F4)."""
        type, payload = self.types.encode(fault)
        return self._fail(claim, message, type, payload, fault.origin == claim.listener)

    def fail_damaged(self, claim: Claim, message: Message) -> Step:
        """The step for a message that cannot be read (F11). Which call it opened, only the caller's thread knows."""
        message.conversation = chains.thread_id(self._secret, chains.initiator(claim.chain))
        text = f"a message for {claim.listener} cannot be read: {UNREADABLE}; its bytes are kept as a dead letter"
        type, payload = self.types.encode(self.fault(claim, message, "damaged_message", text))
        step = Step(claim.thread, claim.fence, ends=True, failed=True)
        step.answer = Answer("", self._reply(claim, message, "", FAULT, type, payload), fault=True)
        step.dead = DeadLetter(claim.message, payload, told=True)
        return step

    def pass_on(self, claim: Claim, message: Message) -> Step:
        """The step that ends the thread with the fault in `message`, unchanged (F6)."""
        return self._fail(claim, message, message.type, message.payload, False)

    def _fail(self, claim: Claim, message: Message, type: str, payload: bytes, bury: bool) -> Step:
        call = open_call(claim, message)
        step = Step(claim.thread, claim.fence, ends=True, failed=True)
        if call:
            step.answer = Answer(call, self._reply(claim, message, call, FAULT, type, payload), fault=True)
        if not call or (bury and not self.is_tried_again(claim, type)):
            step.dead = DeadLetter(encode_message(message), payload, told=bool(call))
        return step

    def is_tried_again(self, claim: Claim, type: str) -> bool:
        """Whether a fault of the claim's thread, a `type`, comes to a Sequence that may try its step again (S9)."""
        for caller, index in chains.callers(claim.chain, self._topology.primitives):
            if chains.is_try(index):
                return True
            if index and self._topology.is_sequence(caller):
                type = "SequenceError"
            elif index or self._topology.accepts(caller, type):
                return False
        return False

    def answer(self, claim: Claim, message: Message, type: str, payload: bytes, fault: bool = False) -> Answer:
        """The reply to the open call of the claim's thread."""
        call = open_call(claim, message)
        return Answer(call, self._reply(claim, message, call, FAULT if fault else RESPONSE, type, payload), fault)

    def _reply(self, claim: Claim, message: Message, call: str, kind: str, type: str, payload: bytes) -> bytes:
        return self._following(message, self.new_id(), kind, claim.listener, claim.caller, type, payload, call)

    def _following(
        self, message: Message, id: str, kind: str, sender: str, to: str, type: str, payload: bytes, call: str
    ) -> bytes:
        """The encoded message that comes after `message` on its path."""
        conversation, hop = message.conversation, message.hop + 1
        return encode_message(Message(id, kind, conversation, sender, to, type, payload, call, hop, at=self._now()))

    def _respond(self, routing: Routing, response: Outgoing) -> None:
        claim, message, step = routing.claim, routing.message, routing.step
        if not step.call:
            step.dropped += 1  # R3
            return
        routing.fault = self._over_limit(routing, response)
        if routing.fault is not None:
            return
        type, payload = response.type, response.payload
        try:
            is_fault = self._topology.is_fault(type)
            if is_fault:
                type, payload = self._own_fault(routing, response)
            elif claim.initial:
                self.types.decode(type, payload)  # An output has no handler that would.
        except PayloadError as error:
            routing.fault = self.fault(claim, message, error.code, str(error))
            return
        kind = FAULT if is_fault else RESPONSE
        step.answer = Answer(step.call, self._reply(claim, message, step.call, kind, type, payload), is_fault)
        step.call = ""
        if is_fault:
            step.ends = step.failed = True  # R13

    def _own_fault(self, routing: Routing, response: Outgoing) -> tuple[str, bytes]:
        """A fault that a handler answers with, told where it happened as far as the handler left that out."""
        fault = self.types.decode(response.type, response.payload)
        self.types.decode("Fault", response.payload)
        place = {"origin": routing.claim.listener, "hop": routing.message.hop, "attempt": routing.message.attempt}
        missing = {name: value for name, value in place.items() if not getattr(fault, name)}
        try:
            return self.types.encode(replace(fault, **missing))
        except PayloadError:
            raise
        except Exception as error:  # A user's __post_init__ may raise anything.
            raise PayloadError(f"{response.type}: {type(error).__name__}: {error}") from None

    def _call(self, routing: Routing, response: Outgoing, to: str) -> None:
        claim, message = routing.claim, routing.message
        if to == claim.listener and self._topology.accepts(to, response.type):
            self._continue(routing, response)
            return
        routing.fault = self._over_limit(routing, response)
        if routing.fault is not None:
            return
        problem = self._topology.refusal(claim.listener, to, response.type)
        if problem is not None:
            routing.refuse(to, self.new_id(), self.fault(claim, message, *problem))
            return
        for target in self._topology.members(to):
            routing.step.sends.append(self._send(routing, response, target))
        routing.fault = self._too_wide(routing)

    def _continue(self, routing: Routing, response: Outgoing) -> None:
        message, name = routing.message, routing.claim.listener
        routing.fault = self._over_limit(routing, response, deeper=0)
        id, call = self.new_id(), open_call(routing.claim, message)
        own = self._following(message, id, SELF, name, name, response.type, response.payload, call)
        routing.step.own.append(own)

    def _send(self, routing: Routing, response: Outgoing, target: str) -> Send:
        claim, message = routing.claim, routing.message
        call = self.new_id()
        # The items and steps of a primitive must not meet those of an earlier one.
        alone = target in self._topology.primitives
        segment = chains.instance(target, call) if alone else routing.segment(target)
        return self.request(claim, message, target, response.type, response.payload, segment, call=call)

    def request(
        self,
        claim: Claim,
        message: Message,
        target: str,
        type: str,
        payload: bytes,
        segment: str,
        index: int = -1,
        call: str = "",
        id: str = "",
    ) -> Send:
        """A call from the claim's thread to `target`, in the thread at `segment` (one or more joined by dots).

        `id` is that of the message, if it is not a new one.
        """
        call = call or self.new_id()
        chain = f"{claim.chain}.{segment}"
        binding = Binding(chains.thread_id(self._secret, chain), chain, target, claim.listener, index)
        request = self._following(message, id or call, REQUEST, claim.listener, target, type, payload, call)
        return Send(call, segment, request, binding)

    def delegate(self, claim: Claim, message: Message, target: str, tag: str, type: str, payload: bytes) -> Send:
        """A call to `target` as if by the caller of the claim's thread, taking over its open call (B7)."""
        call = open_call(claim, message)
        chain = f"{chains.prune(claim.chain)[0]}.{chains.instance(target, tag)}"
        binding = Binding(chains.thread_id(self._secret, chain), chain, target, claim.caller)
        request = self._following(message, self.new_id(), REQUEST, claim.caller, target, type, payload, call)
        return Send(call, chains.instance(target, tag), request, binding)

    def _over_limit(self, routing: Routing, response: Outgoing, deeper: int = 1) -> Fault | None:
        limits, claim, message = self._limits, routing.claim, routing.message
        if response.to is not None and chains.depth(claim.chain) + deeper > limits.depth:
            text = f"the call chain would be longer than limits.depth ({limits.depth}); call less deep or raise it"
            return self.fault(claim, message, "too_deep", text)
        if message.hop + 1 > limits.hops:
            text = f"the message would be hop {message.hop + 1} of its path, over limits.hops ({limits.hops})"
            return self.fault(claim, message, "too_many_hops", f"{text}; end the loop or raise it")
        return self.too_large(claim, message, response.type, response.payload)

    def _too_wide(self, routing: Routing) -> Fault | None:
        most = self._limits.fan_out
        if len(routing.step.sends) <= most:
            return None
        text = f"one answer of the handler makes more calls than limits.fan_out ({most}) allows; split or raise it"
        return self.fault(routing.claim, routing.message, "fan_out_too_wide", text)

    def too_large(self, claim: Claim, message: Message, type: str, payload: bytes) -> Fault | None:
        """The fault of a payload over `limits.payload_bytes`, if it is."""
        most = self._limits.payload_bytes
        if len(payload) <= most:
            return None
        text = f"{type} takes {len(payload)} bytes, over limits.payload_bytes ({most}); send less or raise it"
        return self.fault(claim, message, "payload_too_large", text)

    def _tell_refused(self, routing: Routing, refused: Sequence[tuple[str, str, Fault]]) -> Step:
        claim, message = routing.claim, routing.message
        if not self._topology.accepts(claim.listener, "Fault"):
            return self.fail(claim, message, refused[0][2])  # F2
        for target, call, fault in refused:  # F1
            type, payload = self.types.encode(replace(fault, origin=target))
            refusal = self._following(message, call, FAULT, target, claim.listener, type, payload, call)
            routing.step.own.append(refusal)
        return routing.step


def open_call(claim: Claim, message: Message) -> str:
    """The call that an answer of this hop ends: the one this request opens, else the thread's."""
    return message.call if message.kind == REQUEST else claim.call
