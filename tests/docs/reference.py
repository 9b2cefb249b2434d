"""The reference of organism.yaml, made of the same data that the loader checks files by."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from docs.pages import REPOSITORY
from xpipe.config.kinds import Kind
from xpipe.config.schema import FILE, Key, Section

PAGE = REPOSITORY / "docs" / "organism.md"
WHOLE_FILE = "the file"
_PART = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end of generated -->)", re.DOTALL)
_HEAD = "| key | takes | if left out | meaning |\n|---|---|---|---|\n"


def write() -> Path:
    """Bring the generated parts of the page up to date; its path."""
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), encoding="utf-8")
    return PAGE


def renewed(page: str) -> str:
    """`page` with its generated parts as they should be, and all else as it is."""
    tables = {section.name or WHOLE_FILE: table(section) for section in _sections(FILE)}
    return _PART.sub(lambda part: f"{part[1]}\n{tables[part[2]]}\n{part[3]}", page)


def described(page: str) -> list[str]:
    """The names of the sections that `page` has generated parts for."""
    return [part[2] for part in _PART.finditer(page)]


def section_names() -> list[str]:
    """The names of all sections that an organism.yaml may have, the file itself first."""
    return [section.name or WHOLE_FILE for section in _sections(FILE)]


def table(section: Section) -> str:
    """The keys of `section`, and what holds for all of them."""
    rows = "".join(map(_row, section.keys))
    said = textwrap.fill(" ".join([section.description, *_rules(section)]), 120)
    return f"{said}\n\n{_HEAD}{rows}"


def _sections(section: Section) -> Iterator[Section]:
    found = {section.name: section}
    for key in section.keys:
        if isinstance(key.kind, Section):
            found |= {inner.name: inner for inner in _sections(key.kind)}
    yield from found.values()


def _rules(section: Section) -> Iterator[str]:
    if section.one_of:
        yield f"Each has exactly one of {_listed([f'`{name}`' for name in section.one_of])}."
    for beside in dict.fromkeys(key.beside for key in section.keys if key.beside):
        names = [f"`{key.name}`" for key in section.keys if key.beside == beside]
        yield f"Only with a `{beside}`: {', '.join(names)}."


def _row(key: Key) -> str:
    secret = " Masked wherever it is shown." if key.secret else ""
    cells = f"`{key.name}`", _takes(key.kind), _left_out(key), f"{key.description}{secret}"
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _takes(kind: Kind | Section) -> str:
    if isinstance(kind, Kind):
        return kind.expected
    link = f"[{kind.name}](#{kind.name})"
    if kind.many:
        return f"a list of {link}"
    return f"{link}, or its `{kind.short}`" if kind.short else link


def _left_out(key: Key) -> str:
    if key.required:
        return "required"
    if key.default is None:
        return ""
    write = key.kind.write if isinstance(key.kind, Kind) else None
    value = write(key.default) if write else key.default
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
