"""The effective configuration of an organism: what its file says, with variables and defaults, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from xpipe.config.nodes import ListNode, MapNode, Node, ScalarNode, data_of
from xpipe.config.schema import SECTIONS, Key, Section
from xpipe.config.shape import Entry, Shape
from xpipe.core.secrets import MASK, is_secret_name, redacted

_VARIABLE = re.compile(r"\$\{(\w+)")


def effective_config(shape: Shape, exact: bool = False) -> dict[str, Any]:
    """The sections in the order of the schema, from a file without errors. A file that says this is the same organism.

    `exact`: durations in seconds and sizes in bytes, not as people write them. What has no default is left out, and so
    are the options of other backends.
    """
    effective = _Effective(shape, exact)
    config: dict[str, Any] = {}
    for section in SECTIONS:
        entries = shape.get(section.name, [])
        if section.many:
            if entries:
                config[section.name] = [effective.entry(section, entry) for entry in entries]
        else:
            entry = entries[0] if entries else Entry(MapNode(0, 0), {}, {})
            config[section.name] = effective.entry(section, entry)
    return config


class _Effective:
    """Secret are also the variables that are called so, and those that stand at a secret key."""

    def __init__(self, shape: Shape, exact: bool) -> None:
        self._exact = exact
        self._secret = {
            name
            for section in SECTIONS
            for entry in shape.get(section.name, [])
            for key in section.keys
            if key.secret
            for name in _variables(entry.nodes.get(key.name))
        }

    def entry(self, section: Section, entry: Entry) -> dict[str, Any]:
        named = {key.name: key for key in section.keys}
        chosen = entry.values.get(section.short, named[section.short].default) if section.short else None
        shown: dict[str, Any] = {}
        for key in section.keys:
            apart = (key.of and key.of != chosen) or (key.beside and key.beside not in entry.values)
            value = entry.values.get(key.name, key.default)
            if value is not None and not apart:
                shown[key.name] = self._value(key, value, entry.nodes.get(key.name))
        return shown

    def _value(self, key: Key, value: Any, node: Node | None) -> Any:
        if isinstance(key.kind, Section):
            inner = key.kind
            return [self.entry(inner, one) for one in value] if inner.many else self.entry(inner, value)
        if key.secret:
            return redacted(value) if "://" in value else MASK
        if node is not None and key.name == "payload":
            return self._data(node, "")
        if key.kind.write is not None and not (self._exact and isinstance(value, int | float)):
            return key.kind.write(value)
        return self._text(value, node)

    def _text(self, value: Any, node: Node | None) -> Any:
        if isinstance(value, list) and isinstance(node, ListNode):
            return [self._text(one, item) for one, item in zip(value, node.items, strict=True)]
        if not isinstance(value, str):
            return value
        return MASK if self._is_secret(node) else redacted(value)

    def _data(self, node: Node, name: str) -> Any:
        """The data of a payload, without what its keys are called secret."""
        if isinstance(node, MapNode):
            return {key: self._data(value, key) for key, (_, value) in node.entries.items()}
        if isinstance(node, ListNode):
            return [self._data(item, name) for item in node.items]
        value = data_of(node)
        if value is not None and (is_secret_name(name) or self._is_secret(node)):
            return MASK
        return redacted(value) if isinstance(value, str) else value

    def _is_secret(self, node: Node | None) -> bool:
        return any(name in self._secret or is_secret_name(name) for name in _variables(node))


def _variables(node: Node | None) -> Iterator[str]:
    """The variables that `node` is made of."""
    if isinstance(node, ScalarNode) and node.varied:
        yield from _VARIABLE.findall(node.source)
