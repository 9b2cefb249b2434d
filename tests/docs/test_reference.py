"""docs/organism.md is the reference of the organism.yaml that the loader takes."""

from __future__ import annotations

from docs import reference


def test_the_reference_is_what_the_types_say() -> None:
    page = reference.PAGE.read_text("utf-8")
    assert page == reference.renewed(page), "run `python -m tests.docs reference`"


def test_every_section_is_described_once() -> None:
    described = reference.described(reference.PAGE.read_text("utf-8"))
    assert sorted(described) == sorted(reference.section_names())
