"""The lines that findings are about, without the secrets in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xpipe.config.nodes import ListNode, MapNode, Node
from xpipe.config.schema import BACKEND
from xpipe.config.secrets import MASK, is_secret_key, spans
from xpipe.core.findings import Excerpt

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Excerpts:
    """Lines of `text`, the whole file, whose root is `root`, None if it cannot be read as YAML."""

    def __init__(self, text: str, root: Node | None) -> None:
        self._lines = _BREAK.split(text)
        self._hidden: dict[int, int] = {}
        self._hide(root)

    def _hide(self, root: Node | None) -> None:
        """Note what stands at secret keys of the backend, and at those that may be meant as such."""
        backend = root.entries.get(BACKEND.name) if isinstance(root, MapNode) else None
        if backend is None or not isinstance(backend[1], MapNode):
            return
        for name, (key, value) in backend[1].entries.items():
            for node in _within(value) if is_secret_key(name) else ():
                if node.line != key.line or not spans(self._lines[node.line - 1]):
                    column = min(node.column, self._hidden.get(node.line, node.column))
                    self._hidden[node.line] = column

    def of(self, line: int, column: int) -> Excerpt | None:
        """What stands at `line` and `column`, both from 1; None where there is nothing."""
        text = self._lines[line - 1].rstrip() if 0 < line <= len(self._lines) else ""
        if not text:
            return None
        caret, hidden = min(column - 1, len(text)), spans(text)
        if line in self._hidden and self._hidden[line] <= len(text):
            start = self._hidden[line] - 1
            hidden = [*(span for span in hidden if span[1] <= start), (start, len(text))]
        for start, end in reversed(hidden):
            text = text[:start] + MASK + text[end:]
            if caret >= end:
                caret += len(MASK) - (end - start)
            elif caret > start:
                caret = start
        return Excerpt(text, caret)


def _within(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, ListNode):
        for item in node.items:
            yield from _within(item)
    elif isinstance(node, MapNode):
        for _, value in node.entries.values():
            yield from _within(value)
