"""No listener with a buffer or a sequence contains itself, directly or through others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from xpipe.config.nodes import Node
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote

_MOST_CIRCLES = 50
_MOST_NAMES = 8

Calls = Mapping[str, Mapping[str, Node | None]]
"""By name of a listener or group: whom it calls, and where that is said. A group calls its members, said nowhere."""


def inner_calls(entry: Entry) -> Iterator[tuple[str, Entry, str]]:
    """Whom the buffer or the steps of a listener call: the name, the entry it stands in, and its key there."""
    inner = [(entry.values["buffer"], "target")] if "buffer" in entry.values else []
    inner += [(step, "step") for step in entry.values.get("sequence", ())]
    for one, key in inner:
        if key in one.values:
            yield one.values[key], one, key


def check_circles(listeners: list[Entry], members: Iterable[tuple[str, Entry]], report: Report) -> None:
    """Reports circles, each where its first listener calls the next. `members` are broadcast groups and listeners."""
    calls = _calls(listeners, members)
    order = {name: position for position, name in enumerate(calls)}
    for circle in islice(_circles(calls), _MOST_CIRCLES):
        first = min((name for name in circle if any(calls[name].values())), key=order.__getitem__)
        begin = circle.index(first)
        names = [*circle[begin:], *circle[:begin], first]
        place = calls[first][names[1]]
        assert place is not None
        message = f"The listener {quote(first)} contains itself: {_path(names)}."
        report.add(place, "circle", message, "Leave one of these calls out.")


def _calls(listeners: list[Entry], members: Iterable[tuple[str, Entry]]) -> Calls:
    calls: dict[str, dict[str, Node | None]] = {}
    for entry in listeners:
        for name, inner, key in inner_calls(entry) if "name" in entry.values else ():
            calls.setdefault(entry.values["name"], {}).setdefault(name, inner.place(key))
    groups: dict[str, dict[str, Node | None]] = {}
    for group, entry in members:
        groups.setdefault(group, {})[entry.values["name"]] = None
    return {**groups, **calls}


def _circles(calls: Calls) -> Iterator[list[str]]:
    """The circles that a depth-first search closes: at least one among names that all reach each other."""
    done: set[str] = set()
    for root in calls:
        path = {} if root in done else {root: iter(calls[root])}
        while path:
            name = next(reversed(path))
            following = next(path[name], None)
            if following is None:
                done.add(name)
                del path[name]
            elif following in path:
                names = list(path)
                yield names[names.index(following) :]
            elif following in calls and following not in done:
                path[following] = iter(calls[following])


def _path(names: list[str]) -> str:
    shown = [quote(name) for name in names]
    return " -> ".join(shown if len(shown) <= _MOST_NAMES else [*shown[: _MOST_NAMES - 1], "...", shown[-1]])
