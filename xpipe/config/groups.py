"""Broadcast groups: one payload class for all members."""

from __future__ import annotations

from collections.abc import Mapping

from xpipe.config.names import broadcasts
from xpipe.config.nodes import Node, line_of
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import quote
from xpipe.core.organism import Listener


def check_groups(listeners: list[Entry], resolved: Mapping[int, Listener], report: Report) -> None:
    """Reports members whose first payload class is not that of the group's first member. `resolved` is by entry id."""
    first: dict[str, tuple[type, Node]] = {}
    for group, entry in broadcasts(listeners):
        listener = resolved.get(id(entry))
        if not group or listener is None or not listener.accepts:
            continue
        cls = listener.accepts[0]
        expected, where = first.setdefault(group, (cls, entry.place("name")))
        if cls is not expected:
            message = (
                f"The members of the broadcast group {quote(group)} must take one payload class: "
                f"this one takes {cls.__name__}, that of {line_of(where)} takes {expected.__name__}."
            )
            report.add(entry.place("name"), "broadcast-payload", message)
