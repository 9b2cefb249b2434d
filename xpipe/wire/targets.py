"""Which listener, and which of its payload classes, a document is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import PayloadError
from xpipe.core.organism import Listener
from xpipe.core.payloads import BUFFER, SEQUENCE, BufferStart, SequenceStart
from xpipe.wire.misfit import nearest, shorten
from xpipe.wire.shapes import Record
from xpipe.wire.shaping import shape_of

Candidate: TypeAlias = tuple[str, type]

_SYSTEM: dict[str, tuple[type, ...]] = {BUFFER: (BufferStart,), SEQUENCE: (SequenceStart,)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a document says of its target; "" is nothing."""

    to: str = ""
    type: str = ""


class Unresolved(Exception):
    """No single target; `code` is the fault code."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class Targets:
    """The listeners of an organism with what they accept, its broadcast groups and the system listeners.

    A document that does not say where it goes to is for a listener with a handler; if none takes it, for one with a
    buffer; else for a system listener. A listener with a sequence takes what its first step takes and has to be named:
    otherwise a new sequence would take over, or make ambiguous, what its steps were sent before.
    """

    def __init__(self, listeners: Iterable[Listener], types: PayloadTypes) -> None:
        self._types = types
        known = list(listeners)
        groups = _groups_of(known)
        self._listeners = {listener.name: listener.accepts for listener in known}
        handled = {one.name: one.accepts for one in known if not one.buffer and not one.sequence}
        buffers = {one.name: one.accepts for one in known if one.buffer}
        self._searched = (handled, buffers, _SYSTEM)
        self._only_class = len({cls for accepts in handled.values() for cls in accepts}) == 1
        self._groups = {name: {member.name for member in members} for name, members in groups.items()}
        self._grouped = {name: members[0].accepts for name, members in groups.items()}

    def are_known(self, wanted: Wanted) -> bool:
        """Whether there is no choice of targets for a document that says nothing itself."""
        return bool(wanted.to or wanted.type) or self._only_class

    def check_listener(self, name: str) -> None:
        """That there is a listener or group called `name`. Raises Unresolved."""
        self._accepted_by(name)

    def fit(self, value: Mapping[Any, Any], wanted: Wanted) -> bool:
        """Whether the fields `value` are those of one of the targets."""
        try:
            return bool(self._candidates(wanted, lambda cls: not _objection(cls, value)))
        except Unresolved:
            return False

    def for_root(self, root: str, wanted: Wanted) -> Candidate:
        """The target of an XML document whose element is called `root`. Raises Unresolved."""
        candidates = self._candidates(wanted, lambda cls: cls.__name__ == root)
        return self._single(candidates, f"<{shorten(root)}>", wanted)

    def for_payload(self, cls: type, wanted: Wanted) -> Candidate:
        """The target of a payload of class `cls`. Raises Unresolved."""
        candidates = self._candidates(wanted, lambda one: one is cls)
        return self._single(candidates, cls.__name__, wanted)

    def for_mapping(self, value: Mapping[Any, Any], wanted: Wanted) -> Candidate:
        """The target of the payload with the fields `value`. Raises Unresolved."""
        possible = self._candidates(wanted, lambda _: True)
        if len(possible) == 1 and (wanted.to or wanted.type):
            return possible[0]  # its decoder says best what does not fit
        candidates = self._candidates(wanted, lambda cls: not _objection(cls, value))
        if not candidates and len(possible) == len(self._listeners) == 1:
            return possible[0]  # nothing else can have been meant
        if candidates or not wanted.to:
            return self._single(candidates, "a payload with these fields", wanted)
        objections = "; ".join(f"{cls.__name__}: {_objection(cls, value)}" for _, cls in possible[:8])
        raise Unresolved(f"{wanted.to} takes no payload with these fields ({objections})", "bad_payload")

    def _candidates(self, wanted: Wanted, fits: Callable[[type], bool]) -> list[Candidate]:
        if wanted.to:
            return [(wanted.to, cls) for cls in self._of_type(self._accepted_by(wanted.to), wanted) if fits(cls)]
        for table in self._searched:
            every = [(name, cls) for name, accepts in table.items() for cls in accepts]
            allowed = set(self._of_type([cls for _, cls in every], wanted, strict=False))
            found = [(name, cls) for name, cls in every if cls in allowed and fits(cls)]
            if found:
                return found
        if wanted.type:
            self._check_known(wanted.type)
        return []

    def _accepted_by(self, name: str) -> tuple[type, ...]:
        accepts = self._listeners.get(name) or self._grouped.get(name) or _SYSTEM.get(name)
        if accepts is None:
            known = [*self._listeners, *self._grouped, *_SYSTEM]
            raise Unresolved(f"there is no listener called {shorten(name)}; {nearest(name, known)}", "unknown_target")
        return accepts

    def _of_type(self, accepts: Iterable[type], wanted: Wanted, strict: bool = True) -> list[type]:
        if not wanted.type:
            return list(accepts)
        found = [cls for cls in accepts if wanted.type in (cls.__name__, self._name(cls))]
        if not found and strict:
            self._check_known(wanted.type)
            taken = _names(accepts)
            raise Unresolved(f"{wanted.to} does not take {shorten(wanted.type)}; it takes {taken}", "bad_payload")
        return found

    def _check_known(self, name: str) -> None:
        known = {cls.__name__ for accepts in self._listeners.values() for cls in accepts}
        try:
            self._types.class_of(name)
        except PayloadError:
            if name not in known:
                raise Unresolved(
                    f"there is no payload type called {shorten(name)}; {nearest(name, known)}", "unknown_type"
                ) from None

    def _name(self, cls: type) -> str:
        return self._types.name_of(cls) if cls in self._types else cls.__name__

    def _single(self, candidates: list[Candidate], what: str, wanted: Wanted) -> Candidate:
        if len(candidates) == 1:
            return candidates[0]
        group = self._group_of(candidates)
        if group:
            return group
        if candidates:
            names = ", ".join(f"{name} ({cls.__name__})" for name, cls in candidates[:8])
            advice = "say which with type" if wanted.to else "say which with to"
            raise Unresolved(f"{what} could be for any of {names}; {advice}", "ambiguous_payload")
        if wanted.to:
            taken = _names(self._accepted_by(wanted.to))
            raise Unresolved(f"{wanted.to} does not take {what}; it takes {taken}", "bad_payload")
        taken = _names(cls for accepts in self._listeners.values() for cls in accepts)
        raise Unresolved(f"no listener takes {what}; they take {taken}", "bad_payload")

    def _group_of(self, candidates: list[Candidate]) -> Candidate | None:
        """The broadcast group whose members are all candidates, and the only ones."""
        names = {name for name, _ in candidates}
        for group, members in self._groups.items():
            if len(candidates) == len(names) and names == members:
                return group, candidates[0][1]
        return None


def _groups_of(listeners: Iterable[Listener]) -> dict[str, list[Listener]]:
    groups: dict[str, list[Listener]] = {}
    for listener in listeners:
        prefix = listener.name.rpartition(".")[0]
        if listener.broadcast and prefix:
            groups.setdefault(prefix, []).append(listener)
    return groups


def _names(classes: Iterable[type]) -> str:
    names = list(dict.fromkeys(cls.__name__ for cls in classes))
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "nothing"


def _objection(cls: type, value: Mapping[Any, Any]) -> str:
    """Why the fields `value` are not those of a `cls`; "" if they are."""
    try:
        shape: Record = shape_of(cls)
    except PayloadError as error:
        return str(error)
    missing = [field.name for field in shape.fields.values() if field.required and field.name not in value]
    if missing:
        return f"{missing[0]} is missing"
    for name in value:
        if name not in shape.fields and name != shape.tag_field:
            return f"there is no field {shorten(str(name))}"
    if shape.tag_field is not None and value.get(shape.tag_field, shape.tag) != shape.tag:
        return f"{shape.tag_field} is not {shape.tag}"
    return ""
