"""Parts of an organism.yaml that a page shows, checked as parts of a whole one."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from xpipe.config.loading import check_definition

_STUBS = ("analyse", "check", "count", "describe", "price", "print")
"""Listeners that fragments may speak of without declaring them."""


def whole(text: str) -> str:
    """An organism file with the fragment `text`: some of its sections, or entries of listeners or messages."""
    text = textwrap.dedent(text)
    if re.match(r"(#.*\n)*- \{?to:", text):
        return f"organism: example\n{_listeners('')}messages:\n{text}"
    if re.match(r"(#.*\n)*- ", text):
        return f"organism: example\n{_listeners(text)}"
    sections = set(re.findall(r"(?m)^(\w+):", text))
    head = "" if "organism" in sections else "organism: example\n"
    return f"{head}{text}\n{'' if 'listeners' in sections else _listeners('')}"


def _listeners(entries: str) -> str:
    stubs = (f"- {{name: {name}, handler: 'handlers.py:f'}}\n" for name in _STUBS if f"name: {name}\n" not in entries)
    return f"listeners:\n{entries}{''.join(stubs)}"


def problems_of(text: str, folder: Path) -> list[str]:
    """What the loader finds wrong with the fragment `text`. No handler is imported."""
    file = folder / "organism.yaml"
    file.write_text(whole(text), encoding="utf-8")
    _, findings = check_definition(file, imports=False)
    return [str(finding) for finding in findings if finding.severity == "error"]
