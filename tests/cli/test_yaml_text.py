"""YAML that is printed is read back as what it was, by the reader of organism files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpipe.cli.text import visible
from xpipe.cli.yaml_text import yaml_lines
from xpipe.config.composing import compose
from xpipe.config.nodes import data_of
from xpipe.config.reporting import Report

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["no", "0o17", "1e3", ".5", "0x1f", "~", "<<", "- a", "a: b", "${HOME}", "$$", "a\nb\n", " a", "a ", "1:30", "*a",
     "null", "+1", "2024-01-01", "\u202eabc", "\x1b[31m", "\x85", "\u2028", "# a", "'", '"', "\\", "=", "!x", "&a"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
DATA = st.dictionaries(
    TEXTS,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)),
    min_size=1,
    max_size=4,
)


def read_back(data: Any) -> Any:
    report = Report("organism.yaml")
    node = compose("\n".join(yaml_lines(data)) + "\n", {"HOME": "wrong"}, report)
    assert node is not None
    assert report.findings() == []
    return data_of(node)


@settings(max_examples=300, deadline=None)
@given(DATA)
def test_it_is_read_back_as_it_was(data: dict[str, Any]) -> None:
    assert read_back(data) == data


@settings(max_examples=100, deadline=None)
@given(DATA)
def test_nothing_in_it_steers_a_terminal(data: dict[str, Any]) -> None:
    assert all(visible(line) == line for line in yaml_lines(data))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain words", "key: plain words"),
        ("8", "key: '8'"),
        ("1e3", "key: '1e3'"),
        ("${NAME}", "key: $${NAME}"),
        ("costs $5", "key: costs $5"),
        (["a", "b"], "key:|  - a|  - b"),
        ("two\nlines\n", "key: ||  two|  lines"),
    ],
)
def test_it_is_written_as_people_would(value: Any, line: str) -> None:
    assert "|".join(yaml_lines({"key": value})) == line
