"""Rules within the backend section, and between how long it keeps things and how long they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from xpipe.config.nodes import Node
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote
from xpipe.core.durations import shortest_duration
from xpipe.core.organism import DEFAULT_REDIS_TTL

_MOST_NAMED = 3


def check_backend(sections: list[Entry], report: Report) -> None:
    """Reports a retention that Redis does not keep: its keys expire before."""
    for entry in sections:
        ttl, retention = entry.values.get("redis_ttl", DEFAULT_REDIS_TTL), entry.values.get("retention", 0.0)
        if entry.values.get("type") != "redis" or not 0 < ttl < retention:
            continue
        known = "" if "redis_ttl" in entry.values else f" ({DEFAULT_REDIS_TTL / 3600:g}h if left out)"
        message = f"retention is longer than redis_ttl{known}: what is over would be gone before."
        hint = "Set redis_ttl to at least as much, or to 0 for ever."
        report.add(entry.place("retention"), "retention-beyond-ttl", message, hint)


class _Bound(NamedTuple):
    seconds: float
    called: str
    place: Node


def check_keeping(shape: Mapping[str, list[Entry]], report: Report) -> None:
    """Warns of what is kept for less time than something may take, by the times that the file gives."""
    bounds = sorted(_bounds(shape), key=lambda bound: -bound.seconds)
    for entry in shape.get("backend", ()) if bounds else ():
        values, longest = entry.values, bounds[0]
        if 0 < values.get("retention", 0.0) < longest.seconds:
            text = "what is over would be forgotten while others that began with it still go on"
            _warn(entry.place("retention"), "retention", values["retention"], bounds, text, report)
        ttl = values.get("redis_ttl", DEFAULT_REDIS_TTL)
        if values.get("type") == "redis" and 0 < ttl < longest.seconds:
            place = entry.place("redis_ttl") if "redis_ttl" in values else longest.place
            text = "if its run dies, its state is gone before its time is up"
            _warn(place, "redis_ttl", ttl, bounds, text, report)


def _bounds(shape: Mapping[str, list[Entry]]) -> Iterator[_Bound]:
    for limits in shape.get("limits", ()):
        if "conversation_duration" in limits.values:
            seconds = limits.values["conversation_duration"]
            yield _Bound(seconds, "limits.conversation_duration", limits.place("conversation_duration"))
    for entry in shape.get("listeners", ()):
        inner = [*entry.values.get("sequence", ()), *([entry.values["buffer"]] if "buffer" in entry.values else [])]
        for one in (entry, *inner):
            if "timeout" in one.values:
                called = f"the timeout of {quote(entry.values.get('name', ''))}"
                yield _Bound(one.values["timeout"], called, one.place("timeout"))


def _warn(place: Node, key: str, seconds: float, bounds: list[_Bound], text: str, report: Report) -> None:
    """`bounds` are there, the longest first."""
    most = shortest_duration(bounds[0].seconds)
    longer = [f"{one.called} ({shortest_duration(one.seconds)})" for one in bounds if one.seconds > seconds]
    more = [f"{len(longer) - _MOST_NAMED} more"] if len(longer) > _MOST_NAMED else []
    *others, last = [*longer[:_MOST_NAMED], *more]
    named = f"{', '.join(others)} and {last}" if others else last
    message = f"{key} ({shortest_duration(seconds)}) is shorter than {named}: {text}."
    report.add(place, f"{key.replace('_', '-')}-below-timeout", message, f"Set {key} to {most} or more.", "warning")
