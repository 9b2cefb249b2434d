"""Listeners without a handler: buffers and sequences, and whether the payloads fit along their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from xpipe.config.circles import inner_calls
from xpipe.config.replies import Classes, check_replies, handled_answers
from xpipe.config.reporting import Report
from xpipe.config.retrying import retry_policy
from xpipe.config.shape import Entry
from xpipe.config.wording import quote
from xpipe.core.codec import accepts_type
from xpipe.core.findings import Severity
from xpipe.core.organism import BufferOptions, Listener, no_handler
from xpipe.core.payloads import (
    BUFFER,
    SEQUENCE,
    BufferComplete,
    BufferDispatched,
    BufferStart,
    Fault,
    Items,
    SequenceComplete,
    SequenceStart,
    SequenceStep,
)


def is_primitive(entry: Entry) -> bool:
    """Whether the listener of `entry` has a buffer or a sequence in the place of a handler."""
    return "handler" not in entry.nodes and ("buffer" in entry.nodes or "sequence" in entry.nodes)


def primitives(entries: list[Entry], handled: Iterable[Listener]) -> dict[int, Listener]:
    """The buffers and sequences among `entries`, by entry id; those that call what cannot be used are left out.

    A buffer accepts Items, a sequence what its first step accepts but for faults. `handled`: the other listeners.
    """
    entries = [entry for entry in entries if is_primitive(entry) and "name" in entry.values]
    accepted: Classes = {BUFFER: (BufferStart,), SEQUENCE: (SequenceStart,)}
    accepted.update((listener.name, listener.accepts) for listener in handled)
    accepted.update((entry.values["name"], (Items,)) for entry in entries if "buffer" in entry.values)
    sequences = [entry for entry in entries if entry.values.get("sequence")]
    _spread({entry.values["name"]: entry.values["sequence"][0].values.get("step") for entry in sequences}, accepted)
    return {
        id(entry): _listener(entry, accepted[name]) for entry in entries if (name := entry.values["name"]) in accepted
    }


def _spread(links: Mapping[str, str], found: Classes) -> None:
    """Gives all names of `links` in `found` what the name at the end of their chain has there, if it has an end."""
    seen: set[str] = set()
    for name in links:
        way, at = [], name
        while at in links and at not in found and at not in seen:
            seen.add(at)
            way.append(at)
            at = links[at]
        if at in found:
            found.update(dict.fromkeys(way, found[at]))


def check_terms(entries: list[Entry], report: Report) -> None:
    """Reports the keys of buffers that need another one."""
    for entry in entries:
        buffer = entry.values.get("buffer")
        if buffer is None or "min_success" in buffer.nodes:
            continue
        if buffer.values.get("on_partial") == "fault":
            message = "on_partial is fault, and nothing says what is too few."
            report.add(buffer.place("on_partial"), "no-min-success", message, "Add min_success; 100% for all.")
        if buffer.values.get("cancel_rest") and "timeout" not in buffer.nodes:
            message = "cancel_rest has no effect without min_success or timeout: the outcome is open to the end."
            report.add(buffer.place("cancel_rest"), "no-effect", message, "Add one of them.", "warning")


def _listener(entry: Entry, accepts: tuple[type, ...]) -> Listener:
    values = entry.values
    buffer = values.get("buffer")
    faultless = tuple(cls for cls in accepts if not issubclass(cls, Fault))
    return Listener(
        name=values["name"],
        handler=no_handler,
        accepts=faultless or accepts,
        description=values.get("description", ""),
        broadcast=values.get("broadcast", False),
        inline=True,
        timeout=None,
        buffer=BufferOptions(**buffer.values) if buffer and "target" in buffer.values else None,
        sequence=tuple(_step(step) for step in values.get("sequence", ()) if "step" in step.values),
    )


def _step(entry: Entry) -> SequenceStep:
    values = entry.values
    return SequenceStep(values["step"], values.get("timeout", 0.0), retry_policy(values.get("retry")))


def check_ways(entries: list[Entry], listeners: Mapping[int, Listener], report: Report) -> None:
    """Reports steps that cannot take what the one before answers, as far as that is known, and those without answers.

    What a handler answers its annotation tells, or nobody. `listeners` is by entry id.
    """
    known = {listener.name: listener for listener in listeners.values()}
    usable = [entry for entry in entries if id(entry) in listeners and is_primitive(entry)]
    calls = [call for entry in usable for call in inner_calls(entry)]
    for name, inner, key in calls:
        if name in known and known[name].answers == ():
            message = f"The handler of {quote(name)} is annotated to return None, and so never answers."
            hint = "Let it return a response, or correct the annotation."
            report.add(inner.place(key), "no-answer", message, hint, "warning")
    certain, told = answered(known.values(), {}), answered(known.values(), handled_answers(known.values()))
    for entry in usable:
        for step, following in pairwise(entry.values.get("sequence", ())):
            name = step.values.get("step", "")
            severity: Severity = "error" if name in certain else "warning"
            _check_pair(name, told.get(name, ()), following, known, severity, report)
    check_replies(entries, known, told, report)


def _check_pair(
    name: str,
    answers: tuple[type, ...],
    following: Entry,
    known: Mapping[str, Listener],
    severity: Severity,
    report: Report,
) -> None:
    target = following.values.get("step", "")
    taker = known.get(target)
    if not answers or taker is None or not taker.accepts:
        return
    if not any(accepts_type(taker.accepts, cls) for cls in answers):
        takes = ", ".join(cls.__name__ for cls in taker.accepts)
        answer = " or ".join(cls.__name__ for cls in answers)
        message = f"The step {quote(target)} takes {takes}, and {quote(name)} before it answers {answer}."
        hint = "Put a listener between them that makes one from the other."
        report.add(following.place("step"), "step-payload", message, hint, severity)


def answered(listeners: Iterable[Listener], handled: Classes) -> Classes:
    """The classes that a listener answers with, where they are known; `handled` are those of handlers.

    A sequence answers what its last step does.
    """
    answered: Classes = {BUFFER: (BufferComplete, BufferDispatched), SEQUENCE: (SequenceComplete,), **handled}
    answered.update((one.name, (BufferComplete,)) for one in listeners if one.buffer)
    _spread({one.name: one.sequence[-1].listener for one in listeners if one.sequence}, answered)
    return answered
