"""The lines that findings are about, without the secrets in them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from xpipe.config.nodes import ListNode, MapNode, Node
from xpipe.config.schema import BACKEND
from xpipe.config.secrets import is_secret_key
from xpipe.core.findings import Excerpt
from xpipe.core.secrets import MASK, Span, spans

_MOST = 1000
"""Characters of a line that are shown before and after what a finding is about."""
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Excerpts:
    """Lines of `text`, the whole file, whose root is `root`, None if it cannot be read as YAML."""

    def __init__(self, text: str, root: Node | None) -> None:
        self._lines = _BREAK.split(text)
        self._spans: dict[int, list[Span]] = {}
        self._hidden: dict[int, int] = {}
        self._hide(root)

    def _hide(self, root: Node | None) -> None:
        """Note what stands at secret keys of the backend, and at those that may be meant as such."""
        backend = root.entries.get(BACKEND.name) if isinstance(root, MapNode) else None
        if backend is None or not isinstance(backend[1], MapNode):
            return
        for name, (key, value) in backend[1].entries.items():
            for node in _within(value) if is_secret_key(name) else ():
                if node.line != key.line or not self._secrets(node.line):
                    column = min(node.column, self._hidden.get(node.line, node.column))
                    self._hidden[node.line] = column

    def _secrets(self, line: int) -> list[Span]:
        """The spans of the secrets in `line`, cached: many findings may be on one long line."""
        if line not in self._spans:
            self._spans[line] = spans(self._lines[line - 1].rstrip())
        return self._spans[line]

    def of(self, line: int, column: int) -> Excerpt | None:
        """The text around `column` of `line`, both from 1; None if there is none."""
        text = self._lines[line - 1].rstrip() if 0 < line <= len(self._lines) else ""
        if not text:
            return None
        caret = min(column - 1, len(text))
        hidden, end = self._secrets(line), len(text)
        if line in self._hidden and self._hidden[line] <= end:
            end = self._hidden[line] - 1
            hidden = [*hidden[: bisect_left(hidden, (end, 0))], (end, len(text))]
        near = hidden[max(0, bisect_left(hidden, (caret - _MOST, 0)) - 1) : bisect_left(hidden, (caret + _MOST, 0))]
        return _excerpt(text, caret, near)


def _excerpt(text: str, caret: int, hidden: Sequence[Span]) -> Excerpt:
    """Up to _MOST characters before and after `caret`, with the parts `hidden` masked."""
    parts: list[str] = []
    at, last, shown = max(0, caret - _MOST), min(len(text), caret + _MOST), 0
    for start, end in hidden:
        if end > at and start < last:
            parts += [text[at : max(at, start)], MASK]
            shown += max(0, min(caret, start) - at) + (len(MASK) if caret >= end else 0)
            at = end
    parts.append(text[at:last])
    return Excerpt("".join(parts), shown + max(0, caret - at))


def _within(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, ListNode):
        for item in node.items:
            yield from _within(item)
    elif isinstance(node, MapNode):
        for _, value in node.entries.values():
            yield from _within(value)
