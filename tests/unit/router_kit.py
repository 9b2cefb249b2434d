"""A driver without a pump: listeners, the real router, primitives and memory backend; the tests claim and commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from xpipe.backends.memory import InMemoryBackend
from xpipe.core import chains
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.limits import Limits
from xpipe.core.messages import (
    DAMAGED,
    FAULT,
    REQUEST,
    RESPONSE,
    Binding,
    Claim,
    Event,
    Injection,
    Message,
    PumpRecord,
    Send,
    Step,
    claimed_message,
    decode_message,
    encode_message,
)
from xpipe.core.organism import Listener
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, Fault, HandlerResponse, SequenceStart
from xpipe.ports import Advanced, ThreadRecord
from xpipe.runtime.primitives.base import Setting
from xpipe.runtime.primitives.making import make_primitives
from xpipe.runtime.responses import Outgoing, encode_responses
from xpipe.runtime.router import Router
from xpipe.runtime.topology import Topology
from xpipe.wire.inbound import Inbound

SECRET = b"a secret of the tests"
PUMP = "pump"
DAMAGE = b"\xc1 damaged"


@dataclass
class Ping:
    n: int = 0


@dataclass
class Pong:
    text: str = ""


@dataclass
class Other:
    pass


@dataclass
class Stranger:
    """A payload class that no organism of these tests knows."""


def respond(payload: Any) -> HandlerResponse:
    return HandlerResponse.respond(payload)


def call(to: str, payload: Any = None) -> HandlerResponse:
    return HandlerResponse(Ping() if payload is None else payload, to=to)


def never_run(*_: Any) -> None:
    raise AssertionError("these tests decide outcomes themselves")


def listener(name: str, *accepts: type, **options: Any) -> Listener:
    return Listener(name, never_run, accepts or (Ping, Pong), **options)


def system_listeners() -> list[Listener]:
    return [listener(BUFFER, BufferStart), listener(SEQUENCE, SequenceStart)]


class Rig:
    """A router over `listeners`; ids of messages are m1, m2, ..."""

    def __init__(self, *listeners: Listener, limits: Limits | None = None, secret: bytes = SECRET) -> None:
        self.limits = limits or Limits()
        self.secret = secret
        accepted = [cls for one in listeners for cls in one.accepts if cls is not object]
        self.types = PayloadTypes([Ping, Pong, Other, *accepted])
        self.topology = Topology([*system_listeners(), *listeners], self.types)
        numbers = count(1)
        self.router = Router(self.topology, self.types, self.limits, secret, lambda: f"m{next(numbers)}", lambda: 0.0)

    def claim(self, listener: str = "a", **options: Any) -> Claim:
        """A claim of the thread of `listener`, called by a thread of `boss`."""
        chain = f"system.org.cli-1.boss.{chains.escape(listener)}"
        fields: dict[str, Any] = {
            "thread": chains.thread_id(self.secret, options.get("chain", chain)),
            "fence": 7,
            "message": b"",
            "chain": chain,
            "listener": listener,
            "caller": "boss",
            "call": "",
            "initial": False,
            "open": [],
            "state": b"",
        }
        return Claim(**(fields | options))

    def request(self, to: str = "a", payload: Any = None, **options: Any) -> Message:
        """The request that opened the call c1."""
        return self.message(REQUEST, "boss", to, Ping() if payload is None else payload, **options)

    def reply(self, sender: str = "b", to: str = "a", payload: Any = None, **options: Any) -> Message:
        """A reply to the call c9 of the thread that handles it."""
        payload = Pong() if payload is None else payload
        kind = FAULT if isinstance(payload, Fault) else RESPONSE
        return self.message(kind, sender, to, payload, **({"id": "r9", "call": "c9"} | options))

    def message(self, kind: str, sender: str, to: str, payload: Any, **options: Any) -> Message:
        type, data = self.types.encode(payload)
        fields = {"id": "c1", "conversation": "talk", "call": "c1", "hop": 3} | options
        return Message(kind=kind, sender=sender, to=to, type=type, payload=data, **fields)

    def outgoing(self, *responses: HandlerResponse) -> list[Outgoing]:
        return encode_responses(self.types, list(responses))

    def route(self, claim: Claim, message: Message, *responses: HandlerResponse) -> Step:
        return self.router.route(claim, message, self.outgoing(*responses))

    def send(self, claim: Claim, id: str, to: str, segment: str, payload: Any, hop: int = 4) -> Send:
        """The request that the router is expected to make of `claim`."""
        chain = f"{claim.chain}.{segment}"
        binding = Binding(chains.thread_id(self.secret, chain), chain, to, claim.listener)
        return Send(id, segment, self.encoded(id, REQUEST, claim.listener, to, payload, id, hop), binding)

    def encoded(self, id: str, kind: str, sender: str, to: str, payload: Any, call: str, hop: int = 4) -> bytes:
        type, data = self.types.encode(payload)
        return encode_message(Message(id, kind, "talk", sender, to, type, data, call, hop))


class World(Rig):
    """A rig on a memory backend. `events` holds what the backend told, `now` the time of the next commit."""

    def __init__(
        self,
        *listeners: Listener,
        limits: Limits | None = None,
        backend: InMemoryBackend | None = None,
        folder: str = "",
    ) -> None:
        self.backend = backend or InMemoryBackend()
        limits = limits or Limits()
        self.backend.open("org", limits.slots_per_thread)
        self.backend.enroll(PumpRecord(PUMP, "here", 1, 1, 0.0))
        super().__init__(*listeners, limits=limits, secret=self.backend.secret())
        inbound = Inbound(listeners, self.types)
        self.now = 1_000.0
        self.setting = Setting(
            self.router,
            self.topology,
            inbound,
            self.backend,
            limits,
            lambda: limits.in_flight - self.backend.load().in_flight,
            folder,
            lambda: self.now,
            lambda: 0.0,
        )
        self.primitives = make_primitives(self.setting, listeners)
        self.events: list[Event] = []
        self.handled: list[Message] = []
        self.late = self.unanswered = self.dropped = 0

    def inject(self, to: str, payload: Any = None, source: str = "cli") -> str:
        type, data = self.types.encode(Ping() if payload is None else payload)
        injection = Injection(source, list(self.topology.members(to)), type, data)
        return self.backend.inject(PUMP, [injection], self.now)[0]

    @property
    def room(self) -> dict[str, int]:
        return dict.fromkeys((one.name for one in self.topology), 1_000)

    def advance(self, *steps: Step, most: int = 1_000) -> Advanced:
        advanced = self.backend.advance(PUMP, steps, self.room, most, self.now)
        self.events += advanced.events
        self.late += advanced.late
        self.unanswered += advanced.unanswered
        self.dropped += sum(step.dropped for at, step in enumerate(steps) if at not in advanced.refused)
        return advanced

    def claim_all(self) -> list[Claim]:
        return self.advance().claims

    def claim_one(self, listener: str) -> Claim:
        """The only message that is ready for `listener`."""
        [claim] = self.backend.advance(PUMP, [], {listener: 1_000}, 1_000, self.now).claims
        return claim

    def commit(self, *steps: Step) -> None:
        """Commit `steps`, all of which must be accepted, and claim nothing."""
        assert self.advance(*steps, most=0).refused == {}

    def step(self, claim: Claim, outcome: Any = None) -> Step:
        """The step of `claim` when its handler, if it may run, returns or raises `outcome`, or what it returns."""
        message = claimed_message(claim)
        primitive = self.primitives.get(claim.listener)
        if primitive is not None and message.kind != DAMAGED:
            return primitive.take(claim, message)
        step = self.router.admit(claim, message)
        return step if step is not None else self._handle(claim, message, outcome)

    def _handle(self, claim: Claim, message: Message, outcome: Any) -> Step:
        try:
            payload = self.types.decode(message.type, message.payload)
            self.handled.append(message)
            result = outcome(payload, message) if callable(outcome) else outcome
            if isinstance(result, Exception):
                raise result
            return self.router.route(claim, message, encode_responses(self.types, result))
        except PayloadError as error:
            code, text = error.code, str(error)
        except Exception as error:
            code, text = getattr(error, "code", "exception"), str(error)
        return self.router.route_failure(claim, message, self.router.fault(claim, message, code, text))

    def hop(self, listener: str, *responses: Any) -> Step:
        """Claim the message ready for `listener`, let its handler return `responses`, commit."""
        outcome = responses[0] if len(responses) == 1 else list(responses)
        step = self.step(self.claim_one(listener), outcome)
        self.commit(step)
        return step

    def play(self, **handlers: Callable[[Any, Message], Any]) -> None:
        """Run until nothing is ready; `handlers` by the names of the listeners, `a__b` for `a.b`."""
        by_name = {name.replace("__", "."): handler for name, handler in handlers.items()}
        claims = self.claim_all()
        while claims:
            claims = self.advance(*[self.step(one, by_name.get(one.listener)) for one in claims]).claims

    def damage(self, tail: str) -> None:
        """Make the last message of the thread whose chain ends in `tail` one that cannot be read."""
        self.backend._store.threads[self.thread(tail).thread].slots[-1] = DAMAGE

    def payload_of(self, message: bytes) -> Any:
        decoded = decode_message(message)
        return self.types.decode(decoded.type, decoded.payload)

    def outputs(self) -> list[Any]:
        """The payloads of all outputs so far."""
        return [self.payload_of(event.message) for event in self.events if event.kind == "output"]

    def endings(self) -> list[str]:
        return [event.state for event in self.events if event.kind == "ended"]

    def buried(self) -> list[str]:
        """The codes of the dead letters nobody was told of."""
        return [self.types.decode("Fault", event.cause).code for event in self.events if event.kind == "dead"]

    def thread(self, tail: str) -> ThreadRecord:
        """The only thread whose chain ends in `tail`."""
        [found] = [one for one in self.backend.threads() if one.chain.endswith(f".{tail}")]
        return found

    def history(self, tail: str) -> list[tuple[str, Any]]:
        """Kind and payload of each slot of the thread whose chain ends in `tail`."""
        slots = self.backend.buffer_get_thread(self.thread(tail).thread)
        return [(decode_message(one).kind, self.payload_of(one)) for one in slots]


def kinds(messages: Iterable[bytes]) -> list[str]:
    return [decode_message(one).kind for one in messages]
