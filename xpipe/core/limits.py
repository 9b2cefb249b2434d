"""Limits: nothing in an organism is unbounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of an organism; reaching one is a fault, or for `in_flight` back-pressure on sources and Buffers.

    hops: messages along one causal path; depth: segments of a call chain; payload_bytes: one encoded payload;
    slots_per_thread: recorded messages of a thread; fan_out: items of a Buffer, or calls that a handler makes at once;
    in_flight: messages under way before sources and items of Buffers wait; conversation_duration: seconds from the
    start of a conversation to its end, 0 for no bound. It has none unless asked for: a conversation may rightly rest
    for days, stopped or waiting for a retry, and be resumed.
    """

    hops: int = 10_000
    depth: int = 100
    payload_bytes: int = 256 * 1024 * 1024
    slots_per_thread: int = 10_000
    fan_out: int = 1_000_000
    in_flight: int = 10_000
    conversation_duration: float = 0.0
