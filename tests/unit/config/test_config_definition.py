"""What a good organism.yaml becomes."""

from __future__ import annotations

import pytest

from xpipe.config.loading import check_definition, load_definition
from xpipe.config.scalars import resolve
from xpipe.core.errors import ConfigError
from xpipe.core.limits import Limits
from xpipe.core.organism import BackendSettings, CodeRef, PoolSettings, StartMessage
from xpipe.core.payloads import BufferComplete

WHOLE = """\
organism: {name: shop}
backend: {type: sqlite, path: shop.db, redis_ttl: 1h, retention: 7d}
process_pool: {workers: 2, max_tasks_per_child: 100}
limits: {hops: 50, payload_bytes: 64MiB, conversation_duration: 36h}
common: &common {timeout: 5s, concurrency: 3}
listeners:
  - <<: *common
    name: desk
    handler: h.desk
    description: Takes orders.
    agent: true
    peers: [search, system.buffer, desk]
  - {name: search.one, handler: "h.py:find", broadcast: true, peers: []}
  - {name: search.two, handler: "h.Tools.find", broadcast: true, timeout: 0}
  - {name: work, handler: h.work, payload_class: [h.Query, models.Order], cpu_bound: true}
messages:
  - to: desk
    payload: {id: 7, on: NO, at: 1:30, when: 2024-01-02, sku: 0123, big: 0x10, none: ~}
  - {to: search, type: Query, payload: "<Query/>"}
"""
MODULE = """
from __future__ import annotations
from dataclasses import dataclass
import models
from xpipe.core.payloads import BufferComplete

@dataclass
class Query:
    text: str = ""

async def desk(payload: "models.Order | BufferComplete", metadata: Undefined): ...
def find(payload: Query, metadata): ...
def work(payload: Query, metadata): ...

class Tools:
    @staticmethod
    def find(payload: Query, metadata): ...
"""
MODELS = "from dataclasses import dataclass\n@dataclass\nclass Order:\n    id: int = 0\n"


@pytest.fixture
def definition(folder):
    (folder / "h.py").write_text(MODULE)
    (folder / "models.py").write_text(MODELS)
    (folder / "organism.yaml").write_text(WHOLE.replace("common: &common {timeout: 5s, concurrency: 3}\n", "")
                                          .replace("<<: *common", "<<: {timeout: 5s, concurrency: 3}"))  # fmt: skip
    return load_definition(folder / "organism.yaml", {})


def test_every_section_reaches_the_definition(definition, folder):
    assert (definition.name, definition.folder) == ("shop", str(folder))
    assert definition.file == str(folder / "organism.yaml")
    options = {"path": "shop.db", "redis_ttl": 3600.0, "retention": 604800.0}
    assert definition.backend == BackendSettings("sqlite", options)
    assert definition.pool == PoolSettings(2, 100)
    assert definition.limits == Limits(hops=50, payload_bytes=64 * 1024 * 1024, conversation_duration=129_600.0)


def test_listeners_carry_their_options_and_the_same_classes(definition, folder):
    desk, one, two, work = definition.listeners
    query, order = one.accepts[0], desk.accepts[0]
    assert (desk.timeout, desk.concurrency, desk.agent, desk.description) == (5.0, 3, True, "Takes orders.")
    assert desk.peers == frozenset({"search", "system.buffer", "desk"})
    assert desk.accepts == (order, BufferComplete)
    assert (one.peers, one.timeout, two.peers, two.timeout) == (frozenset(), 30.0, None, None)
    assert two.accepts == (query,)
    assert work.accepts == (query, order)
    assert one.ref == CodeRef(str(folder), "h.py", "find")
    assert two.ref == CodeRef(str(folder), "h", "Tools.find")


def test_payload_types_can_be_found_again(definition):
    from xpipe.config.code import load_object

    assert sorted(cls.__name__ for cls in definition.payload_types) == ["Order", "Query"]
    for cls, ref in definition.payload_types.items():
        assert load_object(ref) is cls


def test_payloads_keep_what_yaml_1_1_would_change(definition, folder):
    first, second = definition.messages
    file = folder / "organism.yaml"
    data = {"id": 7, "on": "NO", "at": "1:30", "when": "2024-01-02", "sku": "0123", "big": 16, "none": None}
    assert first == StartMessage("desk", data, "", f"{file}:16:5")
    assert second == StartMessage("search", "<Query/>", "Query", f"{file}:18:5")


def test_all_findings_are_raised_together(folder):
    (folder / "o.yaml").write_text("organism: 1\n")
    with pytest.raises(ConfigError) as raised:
        load_definition("o.yaml")
    assert [finding.code for finding in raised.value.findings] == ["missing-key", "wrong-type"]
    assert raised.value.exit_code == 3


def test_warnings_do_not_keep_an_organism_from_loading(folder):
    (folder / "o.yaml").write_text("organism: x\nlisteners: [{name: a, handler: handlers.greet, agent: true}]")
    definition, findings = check_definition("o.yaml")
    assert definition is not None
    assert [finding.severity for finding in findings] == ["warning"]


def test_without_imports_the_definition_has_everything_but_code(folder):
    (folder / "o.yaml").write_text("organism: x\nlisteners: [{name: a, handler: nowhere.greet, timeout: 2}]")
    definition, findings = check_definition("o.yaml", imports=False)
    assert findings == []
    assert definition is not None
    assert [(one.name, one.timeout, one.accepts) for one in definition.listeners] == [("a", 2.0, ())]


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False), ("yes", "yes"), ("off", "off"),
     ("0", 0), ("-12", -12), ("+3", 3), ("0123", "0123"), ("0o17", 15), ("0x1F", 31), ("1:30", "1:30"),
     ("1_000", "1_000"),     ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), (".inf", float("inf")),
     ("2024-01-01", "2024-01-01"),
     ("9" * 5000, "9" * 5000), ("=", "=")],
)  # fmt: skip
def test_plain_scalars_have_the_types_of_yaml_1_2(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)
