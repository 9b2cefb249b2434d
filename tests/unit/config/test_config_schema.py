"""The schema of organism.yaml is complete: a reader, and a JSON Schema, can be told all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xpipe.config.schema import BUFFER, LISTENERS, RETRY, SECTIONS, SEQUENCE, Key, Section


def within(section: Section) -> Iterator[tuple[Section, Key]]:
    for key in section.keys:
        yield section, key
        if isinstance(key.kind, Section):
            yield from within(key.kind)


EVERY = [pair for section in SECTIONS for pair in within(section)]


@pytest.mark.parametrize(("section", "key"), EVERY, ids=[f"{section.name}.{key.name}" for section, key in EVERY])
def test_every_key_says_what_it_is_and_what_it_takes(section, key):
    assert key.description.endswith(".")
    assert section.description.endswith(".")
    if isinstance(key.kind, Section):
        assert key.kind.keys
    else:
        assert key.kind.schema
    assert not key.beside or key.beside in section.one_of


def test_sections_stand_inside_others():
    inside = [(section.name, key.name, key.kind) for section, key in EVERY if isinstance(key.kind, Section)]
    assert inside == [
        ("listeners", "buffer", BUFFER),
        ("listeners", "sequence", SEQUENCE),
        ("sequence", "retry", RETRY),
        ("listeners", "retry", RETRY),
    ]
    assert LISTENERS.one_of == ("handler", "buffer", "sequence")
