"""What Buffer and Sequence share: checking what they are asked for, and ending."""

from __future__ import annotations

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from xpipe.core import chains
from xpipe.core.codec import Packed
from xpipe.core.durations import is_duration
from xpipe.core.errors import PayloadError, WireError
from xpipe.core.limits import Limits
from xpipe.core.messages import REQUEST, Claim, Message, Step, encode_message
from xpipe.core.payloads import Fault
from xpipe.ports import SharedBackend
from xpipe.runtime.history import find_request
from xpipe.runtime.router import Router, open_call
from xpipe.runtime.topology import SYSTEM, Topology
from xpipe.wire.documents import Document
from xpipe.wire.inbound import Inbound


class Refusal(Exception):
    """A primitive cannot do what it was asked for; `code` is the fault code."""

    def __init__(self, code: str, text: str, index: int = -1) -> None:
        super().__init__(text)
        self.code = code
        self.text = text.encode("utf-8", "backslashreplace").decode()  # It may quote what no payload can hold.
        self.index = index


@dataclass(frozen=True, slots=True)
class Setting:
    """What primitives work with.

    room: how many more messages may be in flight; folder: the organism's; now: seconds since the epoch; chance: a
    number from 0 up to 1.
    """

    router: Router
    topology: Topology
    inbound: Inbound
    backend: SharedBackend
    limits: Limits
    room: Callable[[], int]
    folder: str = ""
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class Primitive(ABC):
    """A listener whose messages the pump itself takes."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.router = setting.router
        self.topology = setting.topology
        self.types = setting.router.types

    @abstractmethod
    def take(self, claim: Claim, message: Message) -> Step:
        """The step that one of its messages leads to."""

    def requester(self, claim: Claim) -> str:
        """The listener that asked for this primitive, through other primitives or not: its peers count."""
        return chains.outer_caller(claim.chain, self.topology.primitives)

    def check_target(self, caller: str, name: str, index: int = -1) -> None:
        """Refuse a listener or group that is unknown, or forbidden to `caller`."""
        if not self.topology.members(name):
            code, text = self.topology.refusal(caller, name, "") or ("unknown_target", f"{name} is unknown")
            raise Refusal(code, text, index)
        if name not in SYSTEM and not self.topology.may_call(caller, name):
            raise Refusal("forbidden_peer", f"{caller} has peers without {name}; add it to them", index)

    def check_listener(self, caller: str, name: str, index: int = -1) -> None:
        """As `check_target`, and refuse a group."""
        members = self.topology.members(name)
        if members and name not in self.topology:
            text = f"{name} is a broadcast group; name one of its listeners ({', '.join(members)})"
            raise Refusal("unknown_target", text, index)
        self.check_target(caller, name, index)

    def check_return(self, claim: Claim, name: str, type: str) -> None:
        """Refuse a `return_to` that is unknown, forbidden, or does not accept the result."""
        if not name or name == claim.caller:
            return
        self.check_listener(self.requester(claim), name)
        if not self.topology.accepts(name, type):
            text = f"return_to is {name}, which does not accept {type}; it accepts {self.topology.accepted(name)}"
            raise Refusal("bad_payload", text)

    def pack(self, item: Any, target: str, members: Iterable[str], what: str, index: int = -1) -> Packed:
        """`item` as a payload that all `members` of `target` accept; else a Refusal.

        It is a payload, XML or JSON text of one, a document, or the error that stands in the place of one.
        """
        try:
            packed = item if isinstance(item, Packed) else Packed(*self.types.encode(self._read(item, target)))
        except PayloadError as error:
            raise Refusal(error.code, f"{what}: {error}", index) from None
        for name in members:
            if not self.topology.accepts(name, packed.type):
                raise Refusal(*self._unaccepted(name, f"{what} is a {packed.type}"), index)
        return packed

    def _read(self, item: Any, target: str) -> Any:
        if isinstance(item, WireError):
            raise item
        if isinstance(item, Document):
            return self.setting.inbound.decode(item, target)[1]
        return self.setting.inbound.decode_value(item, target)

    def _unaccepted(self, name: str, what: str) -> tuple[str, str]:
        if name not in self.topology:
            return "unknown_target", f"{name} is not there any more"
        return "bad_payload", f"{what}; {name} accepts {self.topology.accepted(name)}"

    def fail(self, claim: Claim, message: Message, call: str, fault: Fault) -> Step:
        """The step that ends this primitive with `fault`. What may be tried again is the request that opened `call`."""
        step = self.router.fail(claim, message, fault)
        if step.dead is not None and message.kind != REQUEST:
            request = find_request(self.setting.backend.buffer_get_slot, claim.thread, call)
            step.dead.message = encode_message(request) if request else step.dead.message
        return step

    def finish(self, claim: Claim, message: Message, return_to: str, tag: str, result: Any) -> Step:
        """The step that ends this primitive with the payload `result`, to its caller or to `return_to` (B7)."""
        return self.finish_packed(claim, message, return_to, tag, Packed(*self.types.encode(result)))

    def finish_packed(self, claim: Claim, message: Message, return_to: str, tag: str, result: Packed) -> Step:
        """As `finish`."""
        type, payload = result.type, result.data
        fault = self.router.too_large(claim, message, type, payload)
        if fault is not None:
            return self.fail(claim, message, tag, fault)
        step = Step(claim.thread, claim.fence, ends=True)
        if open_call(claim, message):
            if return_to and return_to != claim.caller:
                step.delegate = self.router.delegate(claim, message, return_to, tag, type, payload)
            else:
                step.answer = self.router.answer(claim, message, type, payload)
        return step


def join_id(claim: Claim, call: str) -> str:
    """What the join of the claim's thread is called: a request that was delegated keeps the call of the one before."""
    return f"{call}.{claim.thread[-8:]}"


def check_seconds(what: str, seconds: float, index: int = -1) -> None:
    """Refuse an invalid time-out. A negative one (a deadline minus now) has expired."""
    if not (math.isfinite(seconds) and is_duration(max(0.0, seconds))):
        raise Refusal("bad_payload", f"{what} is {seconds}; give seconds up to 36,500 days, 0 for no bound", index)
