"""What comes from outside, made into injections."""

from __future__ import annotations

from typing import Any

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.limits import Limits
from xpipe.core.messages import Injection, Rejected, encode_rejected
from xpipe.core.payloads import Fault
from xpipe.runtime.topology import Topology
from xpipe.wire.inbound import Inbound


class Intake:
    """Checks payloads from outside against the listeners they are for."""

    def __init__(self, topology: Topology, types: PayloadTypes, inbound: Inbound, limits: Limits) -> None:
        self.topology = topology
        self.types = types
        self._limits = limits
        self.inbound = inbound

    def injection(self, source: str, to: str, payload: Any, type: str = "") -> Injection:
        """A message for `to`: a payload, or a mapping, or XML or JSON text of one. Raises PayloadError."""
        if isinstance(payload, str | bytes | dict):
            payload = self.inbound.decode_value(payload, to, type)
        name, data = self.types.encode(payload)
        problem = self.topology.refusal(None, to, name)
        if problem is not None:
            raise PayloadError(problem[1], code=problem[0])
        if len(data) > self._limits.payload_bytes:
            text = f"{name} takes {len(data)} bytes, over limits.payload_bytes ({self._limits.payload_bytes})"
            raise PayloadError(f"{text}; send less or raise it", code="payload_too_large")
        return Injection(source, list(self.topology.members(to)), name, data)

    def rejection(self, source: str, to: str, error: PayloadError, what: Rejected | None) -> Injection:
        """A conversation whose only output is the fault for `error` (F10); a dead letter keeps `what`, if given."""
        fault = Fault(error.code, str(error), origin=to or "system")
        if what is None:
            return Injection(source, [], fault=self.types.encode(fault)[1])
        what.text = what.text[: self._limits.payload_bytes]
        return Injection(source, [], fault=self.types.encode(fault)[1], rejected=encode_rejected(what))
