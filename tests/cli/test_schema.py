"""`xpipe schema` of payloads: what listeners take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from lxml import etree

from cli.bench import Bench
from xpipe.cli.payload_schemas import accepted, json_document
from xpipe.config.json_schema import config_schema
from xpipe.config.loading import load_definition
from xpipe.core.errors import UsageError
from xpipe.wire.xsd import xsd_of_all

ORDERS = Path(__file__).parents[2] / "organisms" / "orders"
ORDER = {"number": "7", "customer": "Ada", "ordered": "2026-01-31", "lines": [{"article": "tea", "quantity": 1}]}


def document(listener: str = "") -> dict[str, Any]:
    definition = load_definition(ORDERS / "organism.yaml")
    schema = json_document(definition.name, accepted(definition, listener))
    Draft202012Validator.check_schema(schema)
    return schema


def test_the_schema_of_a_listener_takes_what_the_listener_takes() -> None:
    order, check = Draft202012Validator(document("order")), Draft202012Validator(document("check"))
    assert order.is_valid(ORDER)
    assert not order.is_valid({**ORDER, "discuont": "5"})
    assert check.is_valid({"order": ORDER})
    assert not check.is_valid(ORDER)


def test_the_schema_of_all_has_a_branch_for_each_by_name() -> None:
    schema = document()
    assert [branch["title"] for branch in schema["anyOf"]] == ["order", "check", "price", "invoice"]
    assert schema["anyOf"][1]["description"] == "Refuses an order that cannot be delivered."
    assert Draft202012Validator(schema).is_valid(ORDER)


def test_groups_and_the_listeners_of_xpipe_have_schemas_too(tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text(
        "from dataclasses import dataclass\n@dataclass\nclass News: text: str\ndef hear(news: News, metadata): ...\n"
    )
    names = ("all.one", "all.two", "other")
    listeners = "".join(
        f"  - {{name: {name}, handler: 'handlers.py:hear', broadcast: {str('.' in name).lower()}}}\n" for name in names
    )
    (tmp_path / "organism.yaml").write_text(f"organism: o\nlisteners:\n{listeners}")
    definition = load_definition(tmp_path / "organism.yaml")

    assert [taker.name for taker in accepted(definition, "all")] == ["all.one", "all.two"]
    assert [cls.__name__ for cls in accepted(definition, "system.buffer")[0].classes] == ["BufferStart"]
    with pytest.raises(UsageError, match=r"has no listener 'al\.one'; did you mean \"all\.one\""):
        accepted(definition, "al.one")


def test_the_xsd_checks_real_files_of_messages() -> None:
    definition = load_definition(ORDERS / "organism.yaml")
    schema = etree.XMLSchema(etree.fromstring(xsd_of_all(accepted(definition, "order")[0].classes)))
    schema.assertValid(etree.parse(ORDERS / "orders-clean.xml"))


def test_the_command_prints_schemas_that_real_outputs_pass(bench: Bench) -> None:
    organism = bench.organism("echo", "spread")
    handlers = bench.folder / "handlers.py"
    handlers.write_text(handlers.read_text().replace("Told(ask.text)", "Ask(ask.text)") + 'print("imported")\n')
    send = ["--send", 'echo={"text": "a < b"}', "--send", 'echo={"text": "c"}']
    xml = bench.run("run", organism, *send, "--format", "xml").stdout
    jsonl = bench.run("run", organism, *send, "--jsonl").stdout

    xsd = bench.run("schema", organism, "--format", "xsd")
    of_echo = bench.run("schema", organism, "echo")

    assert (xsd.returncode, xsd.stderr) == (0, b"imported\n")
    etree.XMLSchema(etree.fromstring(xsd.stdout)).assertValid(etree.fromstring(xml))
    for line in jsonl.splitlines():
        Draft202012Validator(json.loads(of_echo.stdout)).validate(json.loads(line)["payload"])


def test_the_command_prints_the_schema_of_organism_yaml(bench: Bench) -> None:
    printed = bench.run("schema", "config")
    assert (printed.returncode, printed.stderr) == (0, b"")
    assert json.loads(printed.stdout) == config_schema()
