"""Listeners that accept faults or do not, that may call others or may not, and the steps that end them."""

from __future__ import annotations

from typing import Any

from router_kit import FAULT, Ping, Pong, Rig, World, listener

from xpipe.core.messages import Answer, DeadLetter, Message, Step, decode_message, encode_message
from xpipe.core.payloads import Fault

UNKNOWN = "a sends to bb, and there is no listener of that name; did you mean b?"


def fault_rig() -> Rig:
    return Rig(
        listener("a"),
        listener("b", Ping),
        listener("careful", Ping, Fault),
        listener("fenced", Ping, peers=frozenset({"b", "find"})),
        listener("find.one", Ping, broadcast=True),
        listener("search.one", Ping, broadcast=True),
    )


def fault_world() -> World:
    return World(listener("a"), listener("b"), listener("careful", Ping, Pong, Fault))


def failing(rig: Rig, claim: Any, message: Message, fault: Fault, buried: bool = True) -> Step:
    """F3: the thread ends as failed, its open call `c1` gets `fault`."""
    type, payload = rig.types.encode(fault)
    reply = Message("m1", FAULT, "talk", claim.listener, claim.caller, type, payload, "c1", message.hop + 1)
    step = Step(claim.thread, claim.fence, ends=True, failed=True, answer=Answer("c1", encode_message(reply), True))
    if buried:
        step.dead = DeadLetter(encode_message(message), payload, told=True)
    return step


def with_id(step: Step, id: str) -> Step:
    """`step` with the reply's id, which the tests do not care about, made `id`."""
    reply = decode_message(step.answer.message)
    reply.id = id
    step.answer.message = encode_message(reply)
    return step
