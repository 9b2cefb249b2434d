"""Whether callers take what those that they call answer, as far as annotations tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xpipe.config.names import broadcasts, peers_of
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote
from xpipe.core.codec import accepts_type
from xpipe.core.organism import Listener
from xpipe.core.payloads import BufferComplete, BufferDispatched, BufferStart, Fault, SequenceComplete, SequenceStart

Classes = dict[str, tuple[type, ...]]
_NO_ANSWERS = (Fault, BufferStart, SequenceStart)
_RESULTS = (BufferComplete, BufferDispatched, SequenceComplete)


def handled_answers(listeners: Iterable[Listener]) -> Classes:
    """What the handlers of `listeners` may answer, by name, where their annotations tell.

    Faults are left out, which anyone may get, and what is sent to Buffers and Sequences.
    """
    answers = {
        listener.name: tuple(cls for cls in listener.answers if not issubclass(cls, _NO_ANSWERS))
        for listener in listeners
        if listener.answers
    }
    return {name: classes for name, classes in answers.items() if classes}


def check_replies(entries: list[Entry], known: Mapping[str, Listener], answers: Classes, report: Report) -> None:
    """Warns of peers none of whose answers the listener takes. Who may use a Buffer or a Sequence needs not take any.

    `known` and `answers` are by name.
    """
    members: dict[str, list[str]] = {name: [name] for name in known}
    for group, entry in broadcasts(entries):
        members.setdefault(group, []).append(entry.values["name"])
    for entry in entries:
        caller = known.get(entry.values.get("name", ""))
        peers = peers_of(entry)
        if caller is None or _may_delegate([caller.name, *(peer for _, peer in peers)], members, known):
            continue
        for place, peer in peers:
            for name in members.get(peer, ()):
                offered = answers.get(name, ())
                if offered and not any(accepts_type(caller.accepts, cls) for cls in offered):
                    shown = " or ".join(cls.__name__ for cls in offered)
                    message = f"The peer {quote(name)} answers {shown}, and {quote(caller.name)} does not take that."
                    hint = f"Add {shown} to the annotation of its handler's payload, or take the peer off the list."
                    report.add(place, "unaccepted-reply", message, hint, "warning")


def _may_delegate(names: Iterable[str], members: Mapping[str, list[str]], known: Mapping[str, Listener]) -> bool:
    """Whether one of the listeners or groups `names` takes what a Buffer or a Sequence ends with."""
    listeners = [known[name] for one in names for name in members.get(one, ()) if name in known]
    return any(accepts_type(listener.accepts, cls) for listener in listeners for cls in _RESULTS)
