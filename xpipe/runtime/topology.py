"""Who can reach whom with what: the listeners of a running organism, by name and by group."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from xpipe.core.codec import PayloadTypes, accepts_type
from xpipe.core.errors import PayloadError
from xpipe.core.organism import Listener
from xpipe.core.payloads import BUFFER, SEQUENCE, Fault

SYSTEM = (BUFFER, SEQUENCE)


class Topology:
    """The listeners by name. They may come and go while the organism runs.

    `gone` names those that went and may still have messages, which are to become faults. `primitives` names those whose
    messages the pump itself takes: each call of one has a thread of its own.
    """

    def __init__(self, listeners: Iterable[Listener], types: PayloadTypes) -> None:
        self._types = types
        self._listeners: dict[str, Listener] = {}
        self._groups: dict[str, list[str]] = {}
        self._accepted: dict[str, dict[str, bool]] = {}
        self._faults: dict[str, bool] = {}
        self._fine: set[tuple[str | None, str, str]] = set()
        self.gone: set[str] = set()
        self.primitives: set[str] = set(SYSTEM)
        for listener in listeners:
            self.add(listener)

    def __getitem__(self, name: str) -> Listener:
        return self._listeners[name]

    def get(self, name: str) -> Listener | None:
        """The listener `name`, if there is one."""
        return self._listeners.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._listeners

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners.values())

    def add(self, listener: Listener) -> None:
        """Add `listener`. Raises ValueError when its name is taken, or no text."""
        if not listener.name.isprintable():
            raise ValueError(f"the name {listener.name!a} has characters that cannot be printed; take another name")
        if listener.name in self._listeners or listener.name in self._groups:
            raise ValueError(f"the listener {listener.name} exists already; unregister it or take another name")
        self._fine.clear()
        self._listeners[listener.name] = listener
        self.gone.discard(listener.name)
        self._accepted[listener.name] = {}
        if listener.buffer or listener.sequence:
            self.primitives.add(listener.name)
        if listener.broadcast:
            self._groups.setdefault(listener.name.rpartition(".")[0], []).append(listener.name)

    def remove(self, name: str) -> None:
        """Remove the listener `name`. Raises KeyError when there is none."""
        self._fine.clear()
        listener = self._listeners.pop(name)
        del self._accepted[name]
        self.gone.add(name)
        self.primitives.discard(name)
        if listener.broadcast:
            group = name.rpartition(".")[0]
            self._groups[group].remove(name)
            if not self._groups[group]:
                del self._groups[group]

    def expect(self, names: Iterable[str]) -> None:
        """There will be messages for `names`; those that are no listeners went after the message was made."""
        self.gone.update(name for name in names if name not in self._listeners)

    def members(self, name: str) -> Sequence[str]:
        """The listeners that `name` reaches: those of a group, else itself; none when it is unknown."""
        if name in self._listeners:
            return (name,)
        return self._groups.get(name, ())

    def accepts(self, name: str, type: str) -> bool:
        """Whether the listener `name` takes payloads of the type named `type`."""
        known = self._accepted.get(name)
        if known is None:
            return False
        answer = known.get(type)
        if answer is None:
            answer = known[type] = self._takes(self._listeners[name], type)
        return answer

    def _takes(self, listener: Listener, type: str) -> bool:
        if object in listener.accepts:
            return True
        try:
            return accepts_type(listener.accepts, self._types.class_of(type))
        except PayloadError:
            return False

    def accepted(self, name: str) -> str:
        """The names of the types that the listener `name` takes, for people."""
        return ", ".join(cls.__name__ for cls in self._listeners[name].accepts) or "nothing"

    def is_fault(self, type: str) -> bool:
        """Whether the type named `type` is a kind of Fault."""
        known = self._faults.get(type)
        if known is None:
            known = self._faults[type] = issubclass(self._types.class_of(type), Fault)
        return known

    def is_sequence(self, name: str) -> bool:
        """Whether `name` is a listener that runs others in order: a fault of one of them is one of its own."""
        listener = self._listeners.get(name)
        return name == SEQUENCE or (listener is not None and bool(listener.sequence))

    def may_call(self, caller: str, to: str) -> bool:
        """Whether `caller` may reach `to`: it has no peers list, or one with `to` or its group in it."""
        listener = self._listeners.get(caller)
        if listener is None or listener.peers is None or to == caller or to in listener.peers:
            return True
        target = self._listeners.get(to)
        return target is not None and target.broadcast and to.rpartition(".")[0] in listener.peers

    def refusal(self, caller: str | None, to: str, type: str) -> tuple[str, str] | None:
        """Why `caller`, None for outside, cannot send a `type` to `to`: fault code and sentence; None if it can."""
        if (caller, to, type) in self._fine:
            return None
        problem = self._problem(caller, to, type)
        if problem is None:
            self._fine.add((caller, to, type))
        return problem

    def _problem(self, caller: str | None, to: str, type: str) -> tuple[str, str] | None:
        targets, who = self.members(to), caller or "a message from outside"
        if not targets:
            return "unknown_target", f"{who} sends to {to}, and there is no listener of that name{self._near(to)}"
        if caller is not None and to not in SYSTEM and not self.may_call(caller, to):
            peers = ", ".join(sorted(self._listeners[caller].peers or ())) or "nobody"
            return "forbidden_peer", f"{who} sends to {to}, and its peers are {peers}; add {to} to its peers"
        if not all(self.accepts(target, type) for target in targets):
            return "bad_payload", f"{who} sends a {type} to {to}, which accepts {self.accepted(targets[0])}"
        return None

    def _near(self, name: str) -> str:
        close = difflib.get_close_matches(name, [*self._listeners, *self._groups], 1)
        return f"; did you mean {close[0]}?" if close else "; declare it under listeners"
