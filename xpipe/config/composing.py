"""From YAML text to nodes: one document, no tags that make objects, nothing recursive, bounded in size and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from xpipe.config.nodes import UNKNOWN, ListNode, MapNode, Node, ScalarNode, place_of
from xpipe.config.reporting import Report
from xpipe.config.scalars import resolve
from xpipe.config.syntax import explain
from xpipe.config.variables import Expander, is_whole
from xpipe.config.wording import one_line, quote

MAX_NODES = 200_000
MAX_DEPTH = 100
_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset({"!", *(_CORE + name for name in ("str", "int", "float", "bool", "null"))})
_LIST_TAGS = frozenset({"!", f"{_CORE}seq"})
_MAP_TAGS = frozenset({"!", f"{_CORE}map"})
_NOT_PLAIN = frozenset("\"'|>")


def compose(text: str, environ: Mapping[str, str] | None, report: Report) -> Node | None:
    """The root node of the only document in `text`; None if there is none.

    Its variables are replaced by those of `environ`; without one they stay as they are. After a syntax error it is a
    mapping of what came before it. Raises Unreadable if nothing did.
    """
    composer = _Composer(None if environ is None else Expander(environ), report)
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.YAMLError as error:
        _refuse_depth(text, error, report)
        unreadable, readable = explain(error, text, report), composer.readable()
        if readable is None:
            raise unreadable from None
        report.note(unreadable.finding)
        return readable
    return composer.root


def _refuse_depth(text: str, error: yaml.YAMLError, report: Report) -> None:
    """Raises Unreadable if the text before the error is nested too deeply.

    Parsers look ahead: some refuse deep nesting before they have reported the levels that lead there.
    """
    mark = getattr(error, "problem_mark", None)
    composer = _Composer(None, Report(report.file))
    with suppress(yaml.YAMLError):
        for event in _events(text[: getattr(mark, "index", 0)]):
            composer.take(event)


def _events(text: str) -> Iterator[Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return iter(yaml.parse(text, Loader=loader))


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    node: ListNode | MapNode
    anchor: str | None
    key: ScalarNode | None = None
    skip: bool = False
    unknown: bool = False
    merges: list[Node] = field(default_factory=list)


class _Composer:
    def __init__(self, expander: Expander | None, report: Report) -> None:
        self.root: Node | None = None
        self._expander = expander
        self._report = report
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0
        self._documents = 0
        self._actions: dict[type, Callable[[Any], None]] = {
            yaml.DocumentStartEvent: self._document,
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: self._start_list,
            yaml.MappingStartEvent: self._start_map,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
        }

    def take(self, event: Any) -> None:
        action = self._actions.get(type(event))
        if action is not None:
            action(event)

    def readable(self) -> MapNode | None:
        """The outermost mapping with the entries that are complete, if there are any."""
        outermost = self._open[0].node if self._open else self.root
        if not isinstance(outermost, MapNode):
            return None
        outermost.whole = False
        between = len(self._open) < 2 and not (self._open and self._open[0].key)
        if between and outermost.entries:
            outermost.entries.popitem()  # Perhaps it goes on where the text cannot be read any more.
        return outermost if outermost.entries else None

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "The file holds more than one YAML document."
            line, column = _place(event)
            hint = "Keep one organism in a file; remove the --- line."
            raise self._report.unreadable(line, column, "yaml-documents", message, hint)

    def _scalar(self, event: Any) -> None:
        line, column = _place(event)
        plain = event.style not in _NOT_PLAIN if event.style else True
        plain = plain and event.tag in (None, *_SCALAR_TAGS - {"!", f"{_CORE}str"})
        node = ScalarNode(line, column, event.value, event.value, event.value, plain=plain)
        if not self._has_known_tag(event, node, _SCALAR_TAGS):
            node.value = UNKNOWN
        elif not self._wants_key():
            self._evaluate(node)
        self._count(node, 1)
        self._keep(event.anchor, node)
        self._attach(node)

    def _evaluate(self, node: ScalarNode) -> None:
        node.text, errors = self._expander.expand(node.source) if self._expander else (node.source, [])
        for error in errors:
            self._report.add(node, error.code, error.message, error.hint)
        if errors:
            node.value = UNKNOWN
            return
        node.varied = node.text != node.source
        typed = node.plain and (not node.varied or is_whole(node.source))
        node.value = resolve(node.text) if typed else node.text

    def _alias(self, event: Any) -> None:
        line, column = _place(event)
        if event.anchor not in self._anchors:
            message = f"There is no anchor {quote('&' + event.anchor)} before this alias."
            raise self._report.unreadable(line, column, "yaml-alias", message)
        target = self._anchors[event.anchor]
        if target is None:
            message = f"The alias {quote('*' + event.anchor)} stands inside what it refers to."
            raise self._report.unreadable(line, column, "yaml-recursion", message)
        self._count(_At(line, column), target.size)
        self._bound_depth(_At(line, column), target.height)
        self._attach(target, _At(line, column))

    def _start_list(self, event: Any) -> None:
        node = ListNode(*_place(event))
        self._start(node, event, _LIST_TAGS)

    def _start_map(self, event: Any) -> None:
        node = MapNode(*_place(event))
        self._start(node, event, _MAP_TAGS)

    def _start(self, node: ListNode | MapNode, event: Any, tags: frozenset[str]) -> None:
        unknown = not self._has_known_tag(event, node, tags)
        self._count(node, 1)
        self._bound_depth(node, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor, unknown=unknown))

    def _end(self, _event: Any) -> None:
        opened = self._open.pop()
        if isinstance(opened.node, MapNode):
            _merge(opened.node, opened.merges)
        node: Node = opened.node
        if opened.unknown:
            node = ScalarNode(node.line, node.column, "", "", UNKNOWN, size=node.size, height=node.height)
        self._keep(opened.anchor, node)
        self._attach(node)

    def _keep(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node, MapNode) and self._expects_key(self._open[-1])

    @staticmethod
    def _expects_key(opened: _Open) -> bool:
        return opened.key is None and not opened.skip

    def _attach(self, node: Node, place: _At | None = None) -> None:
        if not self._open:
            self.root = node
            return
        opened = self._open[-1]
        opened.node.size += node.size
        opened.node.height = max(opened.node.height, node.height + 1)
        if isinstance(opened.node, ListNode):
            opened.node.items.append(node)
        elif self._expects_key(opened):
            self._take_key(opened, node, place)
        else:
            self._take_value(opened, opened.node, node)

    def _take_key(self, opened: _Open, node: Node, place: _At | None) -> None:
        if isinstance(node, ScalarNode):
            opened.key = node
            return
        opened.skip = True
        self._report.add(place or node, "yaml-key", "A key must be text, not a list or a mapping.")

    def _take_value(self, opened: _Open, mapping: MapNode, node: Node) -> None:
        key, opened.key, opened.skip = opened.key, None, False
        if key is None:
            return
        if key.plain and key.source == "<<":
            self._take_merge(opened, key, node)
        elif first := mapping.entries.get(key.source):
            where = place_of(first[0])
            message = f"The key {quote(key.source)} stands twice in this mapping; the first one is at {where}."
            self._report.add(key, "duplicate-key", message, "Keep one of them.")
        else:
            mapping.entries[key.source] = (key, node)

    def _take_merge(self, opened: _Open, key: ScalarNode, node: Node) -> None:
        merged = node.items if isinstance(node, ListNode) else [node]
        if all(isinstance(one, MapNode) for one in merged):
            opened.merges.extend(merged)
            return
        self._report.add(key, "yaml-merge", "The merge key << takes a mapping or a list of mappings.")

    def _has_known_tag(self, event: Any, node: Node, known: frozenset[str]) -> bool:
        if event.tag is None or event.tag in known:
            return True
        tag = event.tag.replace(_CORE, "!!", 1)
        message = f"The tag {one_line(tag)} is not supported: values are data, never objects."
        self._report.add(node, "yaml-tag", message, "Remove it.")
        return False

    def _count(self, place: _At | Node, size: int) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            message = f"The file holds more than {MAX_NODES} values, aliases expanded."
            hint = "Keep large input in a file of its own and give it with --input."
            raise self._report.unreadable(place.line, place.column, "yaml-size", message, hint)

    def _bound_depth(self, place: _At | Node, height: int) -> None:
        if len(self._open) + height > MAX_DEPTH:
            message = f"The file is nested deeper than {MAX_DEPTH} levels."
            raise self._report.unreadable(place.line, place.column, "yaml-depth", message)


@dataclass(frozen=True, slots=True)
class _At:
    line: int
    column: int
    origin: str = ""


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _merge(mapping: MapNode, merges: list[Node]) -> None:
    """Adds the entries of `merges` whose keys are not there yet: the mapping's own win, then the first given."""
    for merged in merges:
        if isinstance(merged, MapNode):
            for name, entry in merged.entries.items():
                mapping.entries.setdefault(name, entry)
