"""Rules across listeners: their names, groups and peers, and the targets of messages, buffers and sequences."""

from __future__ import annotations

from collections.abc import Iterable

from xpipe.config.circles import check_circles, inner_calls
from xpipe.config.kinds import texts_in
from xpipe.config.nodes import ListNode, Node, line_of, place_of
from xpipe.config.reporting import Report
from xpipe.config.shape import Entry
from xpipe.config.wording import did_you_mean, listed, quote
from xpipe.core.payloads import BUFFER, SEQUENCE
from xpipe.core.secrets import redacted

LONGEST_NAME = 200
_NAME_HINT = "Write letters, digits, - and _, with dots between parts."


def check_names(organism: Iterable[Entry], listeners: list[Entry], messages: list[Entry], report: Report) -> None:
    """Reports bad, reserved and duplicate names, and peers and targets that do not exist."""
    for entry in (*organism, *listeners):
        _check_name(entry, report)
    _check_duplicates(listeners, report)
    groups = _check_groups(listeners, report)
    grouped = frozenset(groups)
    known = [*dict.fromkeys(str(entry.values["name"]) for entry in listeners if "name" in entry.values), *groups]
    valid = frozenset((*known, BUFFER, SEQUENCE))
    options = [*known, BUFFER, SEQUENCE]
    for entry in listeners:
        _check_peers(entry, valid, options, report)
        _check_steps(entry, grouped, report)
        for _, inner, key in inner_calls(entry):
            _check_target(inner, key, valid, options, report)
    for entry in messages:
        _check_target(entry, "to", valid, options, report)
    check_circles(listeners, broadcasts(listeners), report)


def group_of(name: str) -> str:
    """The group that the broadcast listener `name` belongs to, or nothing."""
    return name.rpartition(".")[0]


def peers_of(entry: Entry) -> list[tuple[Node, str]]:
    """The peers that `entry` lists, each with its place."""
    node = entry.nodes.get("peers")
    return texts_in(node) if isinstance(node, ListNode) else []


def broadcasts(listeners: Iterable[Entry]) -> list[tuple[str, Entry]]:
    """The broadcast listeners, each with its group's name."""
    marked = [entry for entry in listeners if entry.values.get("broadcast") and "name" in entry.values]
    return [(group_of(entry.values["name"]), entry) for entry in marked]


def _check_name(entry: Entry, report: Report) -> None:
    name = entry.values.get("name")
    if name is None:
        return
    place = entry.place("name")
    if name != name.strip() or any(not one.isprintable() for one in name) or len(name) > LONGEST_NAME:
        message = (
            f"The name {quote(name)} must have no spaces at its ends, no control characters "
            f"and at most {LONGEST_NAME} characters."
        )
        report.add(place, "bad-name", message, _NAME_HINT)
    elif redacted(name) != name:
        message = f"The name {quote(name)} holds a password, and names are shown in call chains, logs and outputs."
        report.add(place, "bad-name", message, _NAME_HINT)


def _check_duplicates(listeners: list[Entry], report: Report) -> None:
    first: dict[str, Node] = {}
    for entry in listeners:
        name = entry.values.get("name")
        if name is None:
            continue
        place = entry.place("name")
        if name == "system" or name.startswith("system."):
            message = f"The listener name {quote(name)} is reserved: names below system belong to xpipe."
            report.add(place, "reserved-name", message, "Begin it with another word.")
        if name in first:
            message = f"The listener {quote(name)} is declared twice; the first is at {place_of(first[name])}."
            report.add(place, "duplicate-listener", message, "Rename one of them.")
        first.setdefault(name, place)


def _check_groups(listeners: list[Entry], report: Report) -> list[str]:
    members: dict[str, Entry] = {}
    for group, entry in broadcasts(listeners):
        if group:
            members.setdefault(group, entry)
            continue
        message = f"The broadcast listener {quote(entry.values['name'])} has no dot in its name and so no group."
        report.add(entry.place("broadcast"), "broadcast-name", message, "Name it group.member.")
    for entry in listeners:
        name = entry.values.get("name")
        if name in members:
            where = members[name].place("name")
            message = f"The listener {quote(name)} has the name of the broadcast group of {line_of(where)}."
            report.add(entry.place("name"), "broadcast-group", message, "Rename one of them.")
    return list(members)


def _check_peers(entry: Entry, valid: frozenset[str], options: list[str], report: Report) -> None:
    if entry.values.get("agent") and "peers" not in entry.nodes:
        message = "The agent has no peers and so may call every listener."
        report.add(
            entry.place("agent"), "agent-without-peers", message, "List its peers, or write peers: [].", "warning"
        )
    first: dict[str, Node] = {}
    for item, peer in peers_of(entry):
        if peer not in valid:
            _report_unknown(item, "unknown-peer", f"The peer {quote(peer)} is no listener", peer, options, report)
        elif peer in first:
            message = f"The peer {quote(peer)} stands twice in this list; the first one is at {place_of(first[peer])}."
            report.add(item, "duplicate-peer", message, "Keep one of them.", "warning")
        elif peer == entry.values.get("name"):
            message = f"The listener {quote(peer)} is a peer of its own: it reaches itself anyway."
            report.add(item, "peer-itself", message, "Remove it.", "warning")
        first.setdefault(peer, item)


def _check_target(entry: Entry, key: str, valid: frozenset[str], options: list[str], report: Report) -> None:
    target = entry.values.get(key)
    if target is not None and target not in valid:
        message = f"The {'step' if key == 'step' else 'target'} {quote(target)} is no listener"
        _report_unknown(entry.place(key), "unknown-target", message, target, options, report)


def _check_steps(entry: Entry, groups: frozenset[str], report: Report) -> None:
    for step in entry.values.get("sequence", ()):
        name = step.values.get("step")
        if name in groups:
            message = f"The step {quote(name)} is a broadcast group, and a step has one answer."
            hint = "Name one of its listeners, or a listener with a buffer whose target is the group."
            report.add(step.place("step"), "group-step", message, hint)


def _report_unknown(place: Node, code: str, message: str, name: str, options: list[str], report: Report) -> None:
    message = f"{message} or broadcast group of this organism."
    report.add(place, code, message, lambda: did_you_mean(name, options) or listed("There are:", options))
