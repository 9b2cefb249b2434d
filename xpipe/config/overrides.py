"""Values from the command line: `PATH=VALUE` in the place of what stands in the file, before anything is checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from xpipe.config.composing import compose
from xpipe.config.kinds import Kind
from xpipe.config.nodes import ListNode, MapNode, Node, ScalarNode, is_empty, is_unknown
from xpipe.config.reporting import Report, Unreadable
from xpipe.config.schema import BACKEND, FILE, Section
from xpipe.config.secrets import is_secret_key
from xpipe.config.variables import VARIABLE_CODES
from xpipe.config.wording import did_you_mean, found, printable, quote
from xpipe.core.findings import Finding
from xpipe.core.secrets import MASK, redacted, redacted_line

_MOST_SHOWN = 200
_MOST_NAMES = 20
_KNOWN = frozenset(key.name for key in BACKEND.keys)


class _Misplaced(Exception):
    """A path leads nowhere: `message` and `hint` of the finding."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


def apply_overrides(root: Node, overrides: Sequence[str], report: Report) -> Node:
    """`root` with each `PATH=VALUE` in its place; what cannot be placed is reported.

    A path is made of keys, and in lists of the names of entries, or their numbers from 0; joined by dots. A value is
    YAML; none at all takes the key away. A variable whose place it takes need not be set.
    """
    before = root
    for text in overrides:
        path, _, value = text.partition("=")
        label = _label(text)
        report.options.append(label)
        node = _composed(value, label, report)
        try:
            root = _placed(root, path, node, FILE) if node is not None else root
        except _Misplaced as error:
            report.add(_At(label), "unknown-path", error.message, error.hint)
    kept = set(map(id, _unknown(root)))
    for node in _unknown(before):
        if id(node) not in kept:
            report.withdraw(node, VARIABLE_CODES)
    return root


def _unknown(root: Node) -> Iterator[Node]:
    """The values below `root` of which a finding says already that they are not known, each once."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ListNode):
            stack += node.items
        elif isinstance(node, MapNode):
            stack += (value for _, value in node.entries.values())
        elif is_unknown(node):
            yield node


class _At:
    """The place of a finding about the option itself."""

    line = column = 0

    def __init__(self, origin: str) -> None:
        self.origin = origin


def blame(overrides: Sequence[str], others: Collection[Finding], report: Report) -> None:
    """Let the errors that are not among `others`, those of the file without them, be about `overrides`."""
    report.blame(_label(overrides[0]) if len(overrides) == 1 else "--set", others)


def without_secrets(override: str) -> str:
    """`PATH=VALUE` as it may be shown."""
    path, _, value = override.partition("=")
    return f"{path}={MASK}" if _is_secret(path, value) else redacted_line(f"{path}={redacted(value)}")


def _label(override: str) -> str:
    """The option as findings show it."""
    shown = without_secrets(override)
    shown = f"{shown[:_MOST_SHOWN]}..." if len(shown) > _MOST_SHOWN else shown
    return printable(f"--set {shown}")


def _is_secret(path: str, value: str) -> bool:
    """Whether all of `value` may be secret; what is in the place of a URL is a misspelt one."""
    section, _, rest = path.partition(".")
    key = rest.partition(".")[0]
    return section == BACKEND.name and is_secret_key(key) and (key in _KNOWN or "://" not in value)


def _composed(value: str, label: str, report: Report) -> Node | None:
    """The node of `value`, which comes from the option; None if it is no YAML, which is reported."""
    own = Report(label)
    try:
        node = compose(value, None, own)
    except Unreadable as error:
        own.note(error.finding)
        node = None
    findings = own.findings()
    for finding in findings:
        report.note(replace(finding, line=0, column=0))
    if findings:
        return None
    node = node or ScalarNode(0, 0, "", "", None, plain=True)
    _stamp(node, label)
    return node


def _stamp(node: Node, label: str) -> None:
    node.origin = label
    if isinstance(node, ListNode):
        for item in node.items:
            _stamp(item, label)
    elif isinstance(node, MapNode):
        for key, value in node.entries.values():
            key.origin = label
            _stamp(value, label)


def _placed(node: Node | None, path: str, value: Node, kind: Kind | Section | None, entry: bool = False) -> Node:
    """`node`, which its schema calls `kind`, with `value` at `path`; new nodes along the way: aliases share them.

    entry: it is one of the entries that the section `kind` is a list of. Raises _Misplaced.
    """
    if not path:
        return value
    if node is not None and is_unknown(node):
        return node  # A finding says already that it is not known.
    if isinstance(node, ListNode):
        return _placed_in_list(node, path, value, kind)
    section = kind if isinstance(kind, Section) else None
    if section is not None and section.many and not entry:
        if node is not None and not is_empty(node):
            return node  # The check says that it must be a list.
        raise _Misplaced(f"There are no {section.name}, and so none of them can be changed.", "Give the whole list.")
    return _placed_in_mapping(node, path, value, section)


def _placed_in_mapping(node: Node | None, path: str, value: Node, section: Section | None) -> Node:
    name, dot, rest = path.partition(".")
    if not name or (dot and not rest):
        raise _Misplaced("The path has an empty part.", "Write keys and names joined by dots, then = and the value.")
    whole = _as_mapping(node, value.origin, section)
    key, old = whole.entries.get(name, (ScalarNode(0, 0, name, name, name, origin=value.origin), None))
    inner = next((one.kind for one in section.keys if one.name == name), None) if section else None
    whole.entries[name] = (key, _placed(old, rest, value, inner))
    return whole


def _as_mapping(node: Node | None, origin: str, section: Section | None) -> MapNode:
    """A copy of `node`, of the mapping that it is short for, or an empty one."""
    if isinstance(node, MapNode):
        return replace(node, entries=dict(node.entries))
    if node is None or is_empty(node):
        return MapNode(0, 0, origin=origin)
    assert isinstance(node, ScalarNode)
    if section is None or not section.short:
        raise _Misplaced(f"The path goes on where the file has {found(node, secret=True)}, which has nothing inside.")
    key = ScalarNode(node.line, node.column, section.short, section.short, section.short, origin=node.origin)
    return MapNode(node.line, node.column, {section.short: (key, node)}, origin=node.origin)


def _placed_in_list(node: ListNode, path: str, value: Node, kind: Kind | Section | None) -> Node:
    section = kind if isinstance(kind, Section) and kind.many else None
    index, rest = _position(node, path, section)
    items = list(node.items)
    items[index] = _placed(items[index], rest, value, section, entry=True)
    return replace(node, items=items)


def _position(node: ListNode, path: str, section: Section | None) -> tuple[int, str]:
    """The item that the beginning of `path` means, and the rest of it. Of several names the longest counts."""
    names: dict[str, int] = {}
    for index, item in enumerate(node.items):
        if name := _called(item, section):
            names.setdefault(name, index)
    fitting = [name for name in names if path == name or path.startswith(f"{name}.")]
    if fitting:
        name = max(fitting, key=len)
        return names[name], path[len(name) + 1 :]
    first, _, rest = path.partition(".")
    if first.isascii() and first.isdigit() and int(first[:9]) < len(node.items):
        return int(first[:9]), rest
    raise _no_entry(first, list(names), len(node.items), section)


def _called(item: Node, section: Section | None) -> str:
    """The name that `item` of a list goes by, if it has one."""
    if section is None or not section.called_by:
        return ""
    if isinstance(item, MapNode):
        item = item.entries[section.called_by][1] if section.called_by in item.entries else item
    elif section.short != section.called_by:
        return ""
    return item.text if isinstance(item, ScalarNode) and not is_unknown(item) and not is_empty(item) else ""


def _no_entry(name: str, names: list[str], count: int, section: Section | None) -> _Misplaced:
    what = f"{section.name} has no entry {quote(name)}." if section else f"The list has no item {quote(name)}."
    known = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    numbers = f"a number from 0 to {count - 1}" if count > 1 else "the number 0"
    hint = f"Give {f'{known} or ' if names else ''}{numbers}." if count else "It is empty."
    return _Misplaced(what, did_you_mean(name, names) or hint)
