"""What Buffer and Sequence share: checking what they are asked for, and ending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from xpipe.core import chains
from xpipe.core.codec import Packed
from xpipe.core.errors import PayloadError
from xpipe.core.messages import Claim, Message, Step
from xpipe.runtime.router import Router, open_call
from xpipe.runtime.topology import SYSTEM, Topology
from xpipe.wire.inbound import Inbound


class Refusal(Exception):
    """A primitive cannot do what it was asked for; `code` is the fault code."""

    def __init__(self, code: str, text: str, index: int = -1) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.index = index


class Primitive(ABC):
    """A system listener."""

    def __init__(self, router: Router, topology: Topology, inbound: Inbound) -> None:
        self.router = router
        self.topology = topology
        self.inbound = inbound
        self.types = router.types

    @abstractmethod
    def take(self, claim: Claim, message: Message) -> Step:
        """The step that one of its messages leads to."""

    def requester(self, claim: Claim) -> str:
        """The listener that asked for this primitive, through other primitives or not: its peers count."""
        return claim.caller if claim.caller not in SYSTEM else chains.outer_caller(claim.chain, SYSTEM)

    def check_target(self, caller: str, name: str, index: int = -1) -> None:
        """Refuse a listener that is unknown, or forbidden to `caller`."""
        if name not in self.topology and name not in SYSTEM:
            members = ", ".join(self.topology.members(name))
            if members:
                text = f"{name} is a broadcast group; name one of its listeners ({members})"
                raise Refusal("unknown_target", text, index)
            code, text = self.topology.refusal(caller, name, "") or ("unknown_target", f"{name} is unknown")
            raise Refusal(code, text, index)
        if name not in SYSTEM and not self.topology.may_call(caller, name):
            raise Refusal("forbidden_peer", f"{caller} has peers without {name}; add it to them", index)

    def check_return(self, claim: Claim, name: str, type: str) -> None:
        """Refuse a `return_to` that is unknown, forbidden, or does not accept the result."""
        if not name or name == claim.caller:
            return
        self.check_target(self.requester(claim), name)
        if not self.topology.accepts(name, type):
            text = f"return_to is {name}, which does not accept {type}; it accepts {self.topology.accepted(name)}"
            raise Refusal("bad_payload", text)

    def pack(self, item: Any, target: str, what: str, index: int = -1) -> Packed:
        """`item`, a payload or XML or JSON text of one, as a payload that `target` accepts; else a Refusal."""
        try:
            packed = item if isinstance(item, Packed) else Packed(*self.types.encode(self._read(item, target)))
        except PayloadError as error:
            raise Refusal(error.code, f"{what}: {error}", index) from None
        if not self.topology.accepts(target, packed.type):
            text = f"{what} is a {packed.type}; {target} accepts {self.topology.accepted(target)}"
            raise Refusal("bad_payload", text, index)
        return packed

    def _read(self, item: Any, target: str) -> Any:
        return self.inbound.decode_value(item, target)

    def finish(self, claim: Claim, message: Message, return_to: str, tag: str, result: Any) -> Step:
        """The step that ends this primitive with the payload `result`, to its caller or to `return_to` (B7)."""
        type, payload = self.types.encode(result)
        fault = self.router.too_large(claim, message, type, payload)
        if fault is not None:
            return self.router.fail(claim, message, fault)
        step = Step(claim.thread, claim.fence, ends=True)
        if open_call(claim, message):
            if return_to and return_to != claim.caller:
                step.delegate = self.router.delegate(claim, message, return_to, tag, type, payload)
            else:
                step.answer = self.router.answer(claim, message, type, payload)
        return step
