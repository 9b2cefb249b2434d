"""The effective configuration: defaults and variables resolved, secrets masked, and itself a valid organism."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xpipe.cli.yaml_text import yaml_lines
from xpipe.config.effective import effective_config
from xpipe.config.loading import Examined, check_definition, examine
from xpipe.config.schema import BACKEND, BUFFER, LIMITS, LISTENERS, POOL, RETRY, Section
from xpipe.core.limits import Limits
from xpipe.core.organism import Listener, PoolSettings, no_handler
from xpipe.core.retry import RetryPolicy
from xpipe.state.config import BackendConfig

ROOT = Path(__file__).parents[3]
SAMPLES = sorted(ROOT.glob("organisms/*/organism*.yaml"))


def text_of(examined: Examined) -> str:
    return "\n".join(yaml_lines(effective_config(examined.shape))) + "\n"


def config(text: str, environ: dict[str, str] | None = None, exact: bool = False) -> dict[str, Any]:
    Path("organism.yaml").write_text(text)
    examined = examine("organism.yaml", environ or {}, imports=False)
    assert examined.definition is not None, examined.findings
    return effective_config(examined.shape, exact)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.parent.name)
def test_that_of_a_sample_organism_is_the_same_organism(sample: Path, tmp_path: Path) -> None:
    first = examine(sample, {}, imports=False)
    (tmp_path / "organism.yaml").write_text(text_of(first))
    second = examine(tmp_path / "organism.yaml", {}, imports=False)
    assert second.findings == []
    assert text_of(second) == text_of(first)
    assert first.definition is not None
    assert second.definition is not None
    assert second.definition.listeners == first.definition.listeners
    assert second.definition.limits == first.definition.limits
    assert second.definition.pool == first.definition.pool
    same = replace(second.definition.backend, options=dict(first.definition.backend.options))
    assert same == first.definition.backend
    assert [(one.to, one.payload) for one in second.definition.messages] == [
        (one.to, one.payload) for one in first.definition.messages
    ]


EVERYTHING = """\
organism: x
backend: {type: redis, redis_url: "redis://me:hush@host/0", path: unused.db, retention: 90s}
limits: {payload_bytes: 1500kB, conversation_duration: 36h}
listeners:
  - {name: a, handler: handlers.greet, timeout: 0, retry: 5, peers: [], description: "from ${WHO}"}
  - {name: b, buffer: a}
  - {name: c, buffer: {target: a, min_success: 2, on_partial: fault, timeout: 250ms}}
  - {name: s, sequence: [a, {step: c, timeout: 1.5s, retry: {on: timeout}}]}
messages:
  - {to: a, payload: '{"name": "${WHO}"}', type: Greeting}
"""


def test_all_is_resolved(folder: Path) -> None:
    del folder
    found = config(EVERYTHING, {"WHO": "Ada"})
    assert list(found) == ["organism", "backend", "process_pool", "limits", "listeners", "messages"]
    assert found["backend"] == {
        "type": "redis",
        "redis_url": "redis://***@host/0",
        "redis_prefix": "xp:",
        "redis_ttl": "1d",
        "retention": "90s",
        "max_slots_per_thread": 10_000,
        "max_threads": 100_000,
    }
    assert (found["limits"]["payload_bytes"], found["limits"]["conversation_duration"]) == (1_500_000, "36h")
    a, b, c, s = found["listeners"]
    assert (a["timeout"], a["peers"], a["description"]) == ("0s", [], "from Ada")
    assert a["retry"] == {"max_attempts": 5, "backoff": "1s", "max_backoff": "1m", "jitter": 0.5}
    assert b["buffer"] == {
        "target": "a",
        "max_in_flight": 1000,
        "timeout": "0s",
        "on_partial": "complete",
        "cancel_rest": False,
    }
    assert (c["buffer"]["min_success"], c["buffer"]["timeout"]) == (2, "250ms")
    assert [step["step"] for step in s["sequence"]] == ["a", "c"]
    assert s["sequence"][1]["retry"]["on"] == ["timeout"]
    assert found["messages"] == [{"to": "a", "payload": '{"name": "Ada"}', "type": "Greeting"}]


def test_it_is_exact_where_programs_read_it(folder: Path) -> None:
    del folder
    found = config(EVERYTHING, {"WHO": "Ada"}, exact=True)
    assert found["limits"]["payload_bytes"] == 1_500_000
    assert found["limits"]["conversation_duration"] == 36 * 3600
    assert found["listeners"][3]["sequence"][1]["timeout"] == 1.5


def test_what_everything_becomes_is_taken_again(folder: Path) -> None:
    Path("organism.yaml").write_text(EVERYTHING)
    first = examine("organism.yaml", {"WHO": "Ada"}, imports=False)
    (folder / "again.yaml").write_text(text_of(first))
    definition, findings = check_definition("again.yaml", {}, imports=False)
    assert definition is not None, findings
    assert text_of(examine("again.yaml", {}, imports=False)) == text_of(first)


SECRETS = """\
organism: x
backend: {type: manager, manager_address: "h:1", manager_authkey: "${KEY}"}
listeners:
  - {name: a, handler: handlers.greet, description: "asks http://me:hush@host/"}
messages:
  - {to: a, payload: {name: "${API_TOKEN}", password: hush, inner: {secrets: [hush]}, plain: "${KEY}x"}}
  - {to: a, payload: '{"name": "Bearer ${API_TOKEN}"}'}
"""


def test_secrets_are_masked_wherever_they_come_from(folder: Path) -> None:
    del folder
    found = config(SECRETS, {"KEY": "hush", "API_TOKEN": "hush"})
    assert "hush" not in str(found)
    assert found["backend"]["manager_authkey"] == "***"
    assert found["listeners"][0]["description"] == "asks http://***@host/"
    assert found["messages"][0]["payload"] == {
        "name": "***",
        "password": "***",
        "inner": {"secrets": ["***"]},
        "plain": "***",
    }
    assert found["messages"][1]["payload"] == "***"


def defaults(section: Section) -> dict[str, object]:
    return {key.name: key.default for key in section.keys if key.default is not None}


def test_the_defaults_of_the_schema_are_those_that_hold() -> None:
    names = {"type": "backend_type", "path": "sqlite_path"}
    for section, made in [(LIMITS, Limits()), (POOL, PoolSettings()), (RETRY, RetryPolicy())]:
        assert defaults(section) == {name: getattr(made, name) for name in defaults(section)}
        assert {key.name for key in section.keys} >= set(defaults(section))
    assert defaults(BACKEND) == {name: getattr(BackendConfig(), names.get(name, name)) for name in defaults(BACKEND)}
    listener = Listener("a", no_handler, ())
    assert defaults(LISTENERS) == {name: getattr(listener, name) for name in defaults(LISTENERS)}
    assert defaults(BUFFER) == {"max_in_flight": 1000, "timeout": 0.0, "on_partial": "complete", "cancel_rest": False}
