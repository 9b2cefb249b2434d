"""Steps made by hand, without a router: what a backend is told, byte by byte."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from xpipe.core import chains
from xpipe.core.messages import (
    FAULT,
    JOINED,
    REQUEST,
    RESPONSE,
    SELF,
    Answer,
    Binding,
    Claim,
    ConversationRecord,
    DeadLetter,
    Event,
    Injection,
    Join,
    Message,
    PumpRecord,
    Send,
    Step,
    decode_message,
    encode_message,
)
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced, SharedBackend, ThreadRecord

SLOTS = 50
PUMP = "pump-1"
NOW = 1_000.0
LISTENERS = ("a", "b", "c", "buffer")
FAULT_BYTES = msgspec.msgpack.encode(Fault("exception", "broken", "b"))


class Driver:
    """Claims and commits on one backend as the pump `pump`; keeps the events it is told of."""

    def __init__(self, backend: SharedBackend, pump: str = PUMP) -> None:
        self.backend = backend
        self.pump = pump
        self.now = NOW
        self.events: list[Event] = []
        self._numbers = count(1)
        backend.enroll(PumpRecord(pump, "here", 1, 1, NOW + 10))

    def advance(self, *steps: Step, room: dict[str, int] | None = None, most: int = 1_000) -> Advanced:
        room = dict.fromkeys(LISTENERS, 1_000) if room is None else room
        advanced = self.backend.advance(self.pump, steps, room, most, self.now)
        self.events += advanced.events
        return advanced

    def inject(self, *to: str, source: str = "cli", payload: bytes = b"in") -> str:
        [id] = self.backend.inject(self.pump, [Injection(source, list(to), "Ping", payload)], self.now)
        return id

    def inject_many(self, number: int, to: str = "a", source: str = "cli") -> list[str]:
        return self.backend.inject(self.pump, [Injection(source, [to], "Ping", b"in")] * number, self.now)

    def claim(self, listener: str = "a") -> Claim:
        """The message ready for `listener`; there must be one."""
        [claim] = self.advance(room={listener: 1}).claims
        return claim

    def commit(self, *steps: Step) -> Advanced:
        """Commit and claim nothing; all steps must be accepted."""
        advanced = self.advance(*steps, most=0)
        assert advanced.refused == {}
        return advanced

    def finish(self) -> None:
        """Answer everything that is ready."""
        while claims := self.advance().claims:
            self.commit(*map(answered, claims))

    def talk(self, to: str = "a") -> str:
        """A conversation that is over, with one output; nothing else may be ready for `to`."""
        id = self.inject(to)
        self.commit(answered(self.claim(to)))
        return id

    def record(self, id: str) -> ConversationRecord:
        """What is known of the conversation `id`."""
        [found] = [one for one in self.backend.conversations() if one.id == id]
        return found

    def states(self) -> dict[str, str]:
        """Thread states by the part of the chain below the initiator."""
        return {tail(one): one.state for one in self.backend.threads()}

    def send(self, claim: Claim, to: str, segment: str = "", index: int = -1, payload: bytes = b"request") -> Send:
        id = f"call-{next(self._numbers)}"
        chain = f"{claim.chain}.{segment or to}"
        binding = Binding(chains.thread_id(self.backend.secret(), chain), chain, to, claim.listener, index)
        message = message_of(claim, REQUEST, id, claim.listener, to, payload, id)
        return Send(id, segment or to, message, binding)

    def delegate(self, claim: Claim, to: str, call: str) -> Send:
        """A call as if by the parent of the claim's thread, taking over `call`."""
        chain = f"{chains.prune(claim.chain)[0]}.{to}~d"
        binding = Binding(chains.thread_id(self.backend.secret(), chain), chain, to, claim.caller)
        message = message_of(claim, REQUEST, f"{call}-d", claim.caller, to, b"delegated", call)
        return Send(call, f"{to}~d", message, binding)

    def own(self, claim: Claim, payload: bytes = b"self") -> bytes:
        return message_of(claim, SELF, f"self-{next(self._numbers)}", claim.listener, claim.listener, payload, "")

    def note(self, payload: bytes = b"note") -> bytes:
        """A slot that no hop has recorded."""
        return encode_message(Message(f"note-{next(self._numbers)}", "note", "", "me", "", "Ping", payload, "", 0))

    def join(self, claim: Claim, total: int, **options: Any) -> Join:
        id = f"join-{next(self._numbers)}"
        joined = message_of(claim, JOINED, f"{id}+", "b", claim.listener, b"", id)
        return Join(id, total, joined, **options)

    def kinds_of_events(self) -> list[str]:
        return [event.kind for event in self.events]

    def outputs(self) -> list[bytes]:
        return [payload(event.message) for event in self.events if event.kind == "output"]


def message_of(claim: Claim, kind: str, id: str, sender: str, to: str, payload: bytes, call: str) -> bytes:
    incoming = decode_message(claim.message)
    return encode_message(Message(id, kind, incoming.conversation, sender, to, "Ping", payload, call, incoming.hop + 1))


def done(claim: Claim, **changes: Any) -> Step:
    """The step of a handler that returned nothing: the call it has to answer stays open."""
    message = decode_message(claim.message)
    call = message.call if message.kind == REQUEST else claim.call
    return Step(claim.thread, claim.fence, **({"call": call} | changes))


def answered(claim: Claim, payload: bytes = b"answer", **changes: Any) -> Step:
    """The step of a handler that answered."""
    return done(claim, call="", answer=answer(claim, payload), **changes)


def answer(claim: Claim, payload: bytes = b"answer", fault: bool = False) -> Answer:
    call = done(claim).call
    kind = FAULT if fault else RESPONSE
    return Answer(call, message_of(claim, kind, f"{call}-r", claim.listener, claim.caller, payload, call), fault)


def failed(claim: Claim, told: bool = True) -> Step:
    """The step of a handler that raised."""
    reply = answer(claim, FAULT_BYTES, fault=True) if told else None
    dead = DeadLetter(claim.message, FAULT_BYTES, told)
    return Step(claim.thread, claim.fence, answer=reply, ends=True, failed=True, dead=dead)


def payload(message: bytes) -> bytes:
    return decode_message(message).payload


def kind(message: bytes) -> str:
    return decode_message(message).kind


def tail(record: ThreadRecord) -> str:
    return record.chain.split(".", 3)[3] if record.chain.count(".") > 2 else ""
