"""Which listeners nothing in the file reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xpipe.config.circles import inner_calls
from xpipe.config.names import broadcasts, peers_of
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote
from xpipe.core.payloads import BUFFER, SEQUENCE

_HINT = "Name it where it is to be called, or remove it; it may stay as it is if its messages come from outside."


def check_reach(listeners: list[Entry], messages: list[Entry], report: Report) -> None:
    """Notes the listeners that only input from outside reaches.

    Nothing is noted where that is not certain: in a file without messages all input comes from outside, and a listener
    without peers may call anybody.
    """
    reached = _reached(listeners, [entry.values["to"] for entry in messages if "to" in entry.values])
    if not messages or reached is None:
        return
    for entry in listeners:
        name = entry.values.get("name")
        if name is not None and name not in reached:
            message = f"Nothing in this file reaches the listener {quote(name)}: no message, peer, buffer or sequence."
            report.add(entry.place("name"), "unreachable", message, _HINT, "note")


def _reached(listeners: list[Entry], targets: list[str]) -> frozenset[str] | None:
    """The names of listeners and groups that `targets` lead to; None if that could be any."""
    named = {entry.values["name"]: entry for entry in listeners if "name" in entry.values}
    groups: dict[str, list[str]] = {}
    for group, entry in broadcasts(listeners):
        groups.setdefault(group, []).append(entry.values["name"])
    seen: set[str] = set()
    pending = list(targets)
    while pending:
        name = pending.pop()
        if name in (BUFFER, SEQUENCE) or (name in named and _calls_anybody(named[name])):
            return None
        if name not in seen:
            seen.add(name)
            pending += [*groups.get(name, ()), *_called(name, named)]
    return frozenset(seen)


def _calls_anybody(entry: Entry) -> bool:
    return "handler" in entry.nodes and "peers" not in entry.values


def _called(name: str, named: Mapping[str, Entry]) -> Iterator[str]:
    if name in named:
        # Who may use a buffer or a sequence of its own names its targets among the peers, too.
        yield from (peer for _, peer in peers_of(named[name]) if peer not in (BUFFER, SEQUENCE))
        yield from (target for target, _, _ in inner_calls(named[name]))
