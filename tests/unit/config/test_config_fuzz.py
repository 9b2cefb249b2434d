"""Whatever stands in a file: a definition or findings, never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xpipe.config.loading import check_definition
from xpipe.config.schema import BUFFER, RETRY, SECTIONS, SEQUENCE, Section
from xpipe.core.findings import Finding

EVERY = (*SECTIONS, RETRY, BUFFER, SEQUENCE)
NAMES = list(dict.fromkeys([section.name for section in EVERY] + [key.name for one in EVERY for key in one.keys]))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.dates(),
    st.sampled_from(["${A}", "${B:-1}", "${", "$$", "5s", "1GiB", "redis", "a.b", "h.py:x", "json.loads",
                     "system.x", *NAMES]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


def entries(section: Section) -> st.SearchStrategy[object]:
    inner = {key.name: entries(key.kind) if isinstance(key.kind, Section) else TREES for key in section.keys}
    entry = st.fixed_dictionaries({}, optional={name: SCALARS | value for name, value in inner.items()})
    return TREES | (st.lists(entry, max_size=4) if section.many else entry)


ORGANISMS = st.fixed_dictionaries({}, optional={section.name: entries(section) for section in SECTIONS})
FRAGMENTS = [
    *("organism", "listeners", "name", "handler", ": ", "- ", "\n", "  ", "{", "}", "[", "]", "&a ", "*a", "<<", "? "),
    *("|", ">", "'", '"', "!!str ", "!x ", "---", "...", "%YAML", "#", "${", "}", "\t", "\\", "@", "`", "\r", "\ufeff"),
]


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "organism.yaml"
        path.write_bytes(content)
        for imports in (True, False):
            definition, findings = check_definition(path, {"A": "x"}, imports)
            errors = [one for one in findings if one.severity == "error"]
            assert (definition is None) == bool(errors)
            assert all(_is_sound(one) for one in findings)


def _is_sound(finding: Finding) -> bool:
    text = f"{finding.message}{finding.hint}"
    return finding.line >= 1 and finding.column >= 1 and text.isprintable() and finding.message.endswith(".")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_definition_or_findings(content):
    check(content)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=30).map("".join))
def test_any_text_gives_a_definition_or_findings(text):
    check(text.encode("utf-8", "replace"))


@pytest.mark.parametrize("examples", [80, pytest.param(250, marks=pytest.mark.slow)])
def test_any_structure_gives_a_definition_or_findings(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(ORGANISMS | TREES)
    def check_one(tree: object) -> None:
        check(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace"))

    check_one()
