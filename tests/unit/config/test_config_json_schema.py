"""The JSON Schema of organism.yaml: what the loader takes it takes, and what is wrong in shape it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_config_findings
import test_config_names
import test_config_primitives
import test_config_retrying
from docs.fragments import whole
from docs.pages import blocks
from jsonschema import Draft202012Validator

from xpipe.config.composing import compose
from xpipe.config.json_schema import config_schema
from xpipe.config.nodes import data_of
from xpipe.config.reporting import Report, Unreadable
from xpipe.config.schema import SECTIONS, Key, Section

ROOT = Path(__file__).parents[3]
SHAPE = frozenset(
    ("wrong-type", "wrong-value", "missing-key", "missing-value", "unknown-key", "exclusive-key", "misplaced-key")
)
BEYOND_A_SCHEMA = re.compile(
    r"a duration of at most 36500d, not"  # bounds of values with units
    r"|at least 30s, not"
    r"|a size in bytes .* not \"999999999"
    r"|not \.nan"  # which JSON does not have
)
VALIDATOR = Draft202012Validator(config_schema())


def instance(text: str) -> Any:
    """What an editor sees of YAML, its variables not replaced; None if there is more to find fault with."""
    report = Report("organism.yaml")
    try:
        node = compose(text, None, report)
    except Unreadable:
        return None
    return None if node is None or report.findings() else data_of(node)


def problems(text: str) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in VALIDATOR.iter_errors(instance(text))]


def examples() -> Iterator[tuple[str, str, list[str]]]:
    """Every example of the tests of the loader: its name, its text, and the findings."""
    for module in (test_config_findings, test_config_names):
        yield from ((f"{module.__name__}: {name}", *example) for name, example in module.CASES.items())
    for name, (text, findings) in test_config_primitives.CASES.items():
        yield f"primitives: {name}", f"{test_config_primitives.HEAD}  - {text}\n", findings
    for name, (text, findings) in test_config_retrying.CASES.items():
        yield f"retrying: {name}", test_config_retrying.HEAD + text, findings


EXAMPLES = {name: (text, findings) for name, text, findings in examples() if instance(text) is not None}


def shape_of(findings: list[str]) -> list[str]:
    codes = [(re.search(r"(?:error|warning|note)\[([\w-]+)\]", one), one) for one in findings]
    return [one for code, one in codes if code and code[1] in SHAPE and not BEYOND_A_SCHEMA.search(one)]


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(config_schema())


@pytest.mark.parametrize("name", [name for name, (_, findings) in EXAMPLES.items() if shape_of(findings)])
def test_what_is_wrong_in_shape_is_refused(name: str) -> None:
    assert problems(EXAMPLES[name][0])


@pytest.mark.parametrize("name", [name for name, (_, findings) in EXAMPLES.items() if not shape_of(findings)])
def test_what_is_not_wrong_in_shape_is_taken(name: str) -> None:
    text, findings = EXAMPLES[name]
    if not any(BEYOND_A_SCHEMA.search(one) for one in findings):
        assert problems(text) == []


@pytest.mark.parametrize("file", sorted(ROOT.glob("organisms/*/organism*.yaml")), ids=lambda file: file.parent.name)
def test_the_sample_organisms_are_taken(file: Path) -> None:
    assert problems(file.read_text()) == []


def test_the_examples_of_the_documentation_are_taken() -> None:
    shown = [one for one in blocks() if one.language == "yaml" and not {"file", "from"} & one.promises.keys()]
    assert len(shown) >= 5
    assert [one.place for one in shown if problems(whole(one.text))] == []


@pytest.mark.parametrize(
    "line",
    [
        'concurrency: "${N}"',
        'timeout: "${SECONDS:-5}s"',
        'broadcast: "${FLAG}"',
        'retry: "${ATTEMPTS}"',
        "retry: {on: timeout, jitter: '${J}'}",
        "description:",
        "timeout: 0.5",
    ],
)
def test_variables_and_short_forms_are_taken_where_the_loader_takes_them(line: str) -> None:
    assert problems(f"organism: x\nlisteners:\n  - name: a\n    handler: h.py:h\n    {line}") == []


def test_every_key_is_described_and_those_with_a_default_tell_it() -> None:
    schema = config_schema()
    assert set(schema["properties"]) == {section.name for section in SECTIONS}
    listener = schema["properties"]["listeners"]["items"]
    for section, mapping in [(section_of("listeners"), listener), (section_of("retry"), first(schema, "retry"))]:
        for key in section.keys:
            assert mapping["properties"][key.name]["description"] == key.description
            assert ("default" in mapping["properties"][key.name]) == (key.default is not None)
    assert listener["properties"]["timeout"]["default"] == "30s"
    assert first(schema, "retry")["properties"]["max_backoff"]["default"] == "1m"


def first(schema: dict[str, Any], name: str) -> Any:
    return schema["$defs"][name]["anyOf"][0]


def section_of(name: str) -> Section:
    pending: list[Section | Key] = [*SECTIONS]
    for one in pending:
        section = one.kind if isinstance(one, Key) else one
        if isinstance(section, Section):
            if section.name == name:
                return section
            pending += section.keys
    raise KeyError(name)
