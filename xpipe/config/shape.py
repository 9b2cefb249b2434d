"""Reading nodes by the schema: which keys are there, and whether their values are of the right kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xpipe.config.kinds import Kind, Mismatch
from xpipe.config.nodes import ListNode, MapNode, Node, ScalarNode, is_empty, is_unknown
from xpipe.config.reporting import Report
from xpipe.config.scalars import resolve
from xpipe.config.schema import SECTIONS, Key, Section
from xpipe.config.wording import did_you_mean, found, quote

_LISTED = 'Begin each entry with "- ".'
_PAIRS = 'Write its keys and values: "key: value".'


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a section as far as it could be read: values by key, and the nodes of all known keys given.

    The value of a key that is a section is an Entry, or a list of them.
    """

    node: Node
    values: Mapping[str, Any]
    nodes: Mapping[str, Node]

    def place(self, key: str) -> Node:
        """Where `key` has its value, else where the entry begins."""
        return self.nodes.get(key, self.node)


Shape = dict[str, list[Entry]]


def read_shape(root: Node, report: Report) -> Shape:
    """The entries of each section; a section that is not `many` has one at most."""
    if not isinstance(root, MapNode):
        message = f"An organism file must be a mapping with the keys organism and listeners, not {found(root, True)}."
        report.add(root, "wrong-type", message, "`xpipe init NAME` makes one to begin with.")
        return {}
    known = {section.name: section for section in SECTIONS}
    shape: Shape = {}
    for name, (key, node) in root.entries.items():
        if name in known:
            shape[name] = _read_section(known[name], node, report)
        else:
            _unknown_key(key, "An organism file", list(known), report)
    for section in SECTIONS:
        if section.required and section.name not in root.entries and root.whole:
            report.add(root, "missing-key", f"An organism file needs the key {quote(section.name)}.", _added(section))
    return shape


def _read_section(section: Section, node: Node, report: Report) -> list[Entry]:
    if is_unknown(node):
        return []
    if section.many:
        return _read_entries(section, node, report)
    if is_empty(node):
        if section.required:
            report.add(node, "missing-key", f"The {section.name} section is empty.", _added(*section.keys))
        return []
    return _read_entry(section, node, report)


def _read_entries(section: Section, node: Node, report: Report) -> list[Entry]:
    if isinstance(node, ListNode) and node.items:
        return [entry for item in node.items for entry in _read_entry(section, item, report)]
    if is_empty(node) or isinstance(node, ListNode):
        if section.required:
            report.add(node, "missing-key", f"The {section.name} section needs at least one entry.", _LISTED)
        return []
    report.add(node, "wrong-type", f"{section.name} must be a list, not {found(node)}.", _LISTED)
    return []


def _read_entry(section: Section, node: Node, report: Report) -> list[Entry]:
    if is_unknown(node):
        return []
    if section.short and isinstance(node, ScalarNode) and not is_empty(node):
        return [_read_short(section, node, report)]
    if not isinstance(node, MapNode):
        report.add(node, "wrong-type", f"{_capital(section.title)} must be a mapping, not {found(node)}.", _PAIRS)
        return []
    return [_read_mapping(section, node, report)]


def _read_short(section: Section, node: ScalarNode, report: Report) -> Entry:
    key = next(key for key in section.keys if key.name == section.short)
    values: dict[str, Any] = {}
    _read_value(key, node, values, report, key.name if section.many else section.name)
    return Entry(node, values, {key.name: node})


def _read_mapping(section: Section, node: MapNode, report: Report) -> Entry:
    known = {key.name: key for key in section.keys}
    values: dict[str, Any] = {}
    nodes: dict[str, Node] = {}
    for name, (key_node, value) in node.entries.items():
        if name not in known:
            _unknown_key(key_node, _capital(section.title), list(known), report)
        else:
            nodes[name] = value
            _read_value(known[name], value, values, report)
    for key in section.keys:
        if key.required and key.name not in node.entries:
            report.add(node, "missing-key", f"{_capital(section.title)} needs the key {quote(key.name)}.", _added(key))
    if section.one_of:
        _check_alternatives(section, node, report)
    return Entry(node, values, nodes)


def _check_alternatives(section: Section, node: MapNode, report: Report) -> None:
    names = f"{', '.join(section.one_of[:-1])} or {section.one_of[-1]}"
    given = [name for name in node.entries if name in section.one_of]
    if not given:
        message = f"{_capital(section.title)} needs one of the keys {names}."
        report.add(node, "missing-key", message, _added(*(key for key in section.keys if key.name in section.one_of)))
        return
    for name in given[1:]:
        message = f"{_capital(section.title)} has only one of the keys {names}, and this one has {given[0]} already."
        report.add(node.entries[name][0], "exclusive-key", message, "Remove one of them.")
    for key in section.keys:
        if key.beside and key.beside not in given and key.name in node.entries:
            message = f"{key.name} belongs to a {key.beside}, and {section.title} with a {given[0]} has none."
            report.add(node.entries[key.name][0], "misplaced-key", message, _right_place(key, section, given[0]))


def _right_place(key: Key, section: Section, alternative: str) -> str:
    inner = next(one.kind for one in section.keys if one.name == alternative)
    if not isinstance(inner, Section) or all(one.name != key.name for one in inner.keys):
        return "Remove it."
    return f"Write it at {inner.title} of {alternative}." if inner.many else f"Write it inside {alternative}."


def _read_value(key: Key, node: Node, values: dict[str, Any], report: Report, called: str = "") -> None:
    if is_unknown(node):
        return
    name = called or key.name
    if is_empty(node):
        if key.required or key.never_empty:
            kind = _PAIRS if isinstance(key.kind, Section) else f"Write {key.kind.expected}."
            report.add(node, "missing-value", f"{name} has no value.", key.never_empty or kind)
        return
    if isinstance(key.kind, Section):
        entries = _read_section(key.kind, node, report)
        if entries:
            values[key.name] = entries if key.kind.many else entries[0]
        return
    try:
        values[key.name] = key.kind.read(node)
    except Mismatch as mismatch:
        _report_mismatch(key.kind, key, name, mismatch, report)


def _report_mismatch(kind: Kind, key: Key, name: str, mismatch: Mismatch, report: Report) -> None:
    for one in mismatch.more:
        _report_mismatch(kind, key, name, one, report)
    if is_unknown(mismatch.node):
        return
    code = "wrong-type" if mismatch.wrong_type else "wrong-value"
    expected = mismatch.expected or kind.expected
    is_hidden = key.secret and not mismatch.wrong_type
    message = f"{name} must be {expected}{'' if is_hidden else f', not {found(mismatch.node, key.secret)}'}."
    near = _without_quotes(kind, mismatch.node) or _nearest_choice(kind, mismatch.node)
    hint = mismatch.hint or near or _advice(kind, key)
    report.add(mismatch.node, code, message, hint)


def _advice(kind: Kind, key: Key) -> str:
    if key.required or not kind.advice:
        return f"{kind.advice}." if kind.advice else ""
    default = None if key.default is None or key.secret else kind.write(key.default) if kind.write else key.default
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"{kind.advice}, or leave {key.name} out{'' if shown in (None, '') else f' for {shown}'}."


def _added(*keys: Key | Section) -> str:
    """The hint to add the first of `keys`."""
    description = keys[0].description
    return f"Add {keys[0].name}: {description[:1].lower()}{description[1:]}"


def _without_quotes(kind: Kind, node: Node) -> str:
    """The hint for a quoted value that would do if it were not quoted. A variable may need its quotes."""
    if not isinstance(node, ScalarNode) or node.plain or node.varied:
        return ""
    try:
        kind.read(replace(node, value=resolve(node.text), plain=True))
    except Mismatch:
        return ""
    return "Remove the quotes."


def _nearest_choice(kind: Kind, node: Node) -> str:
    options = kind.schema.get("enum", ())
    return did_you_mean(str(node.value), options) if options and isinstance(node, ScalarNode) else ""


def _unknown_key(key: ScalarNode, owner: str, known: list[str], report: Report) -> None:
    message = f"{owner} has no key {quote(key.source)}."
    report.add(
        key, "unknown-key", message, lambda: did_you_mean(key.source, known) or f"Known keys: {', '.join(known)}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
