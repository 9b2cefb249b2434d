"""`xpipe config` and `--set`, as they are typed."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from cli.bench import Bench
from xpipe.cli.output_schemas import output_schema

ORGANISM = """\
organism: bench
backend: {type: sqlite, path: "${STATE:-state.db}"}
listeners:
  - {name: echo, handler: "handlers.py:echo"}
"""


@pytest.fixture(autouse=True)
def organism(bench: Bench) -> None:
    (bench.folder / "organism.yaml").write_text(ORGANISM)


def test_it_shows_the_file_with_variables_defaults_and_set_and_can_be_loaded_again(bench: Bench) -> None:
    shown = bench.run("config", "organism.yaml", "--set", "listeners.echo.concurrency=4", STATE="other.db")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"  path: other.db\n" in shown.stdout
    assert b"    timeout: 30s\n    concurrency: 4\n" in shown.stdout
    (bench.folder / "again.yaml").write_bytes(shown.stdout)
    again = bench.run("config", "again.yaml")
    assert again.stdout == shown.stdout


def test_json_is_exact_and_masks_secrets(bench: Bench) -> None:
    url = "backend.redis_url=redis://me:hush@host/0"
    shown = bench.run("config", "organism.yaml", "--json", "--set", "backend.type=redis", "--set", url)
    assert b"hush" not in shown.stdout
    found = json.loads(shown.stdout)
    Draft202012Validator(output_schema("config")).validate(found)
    assert found["config"]["backend"]["redis_url"] == "redis://***@host/0"
    assert found["config"]["listeners"][0]["timeout"] == 30


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "organism.yaml"],
        ["check", "organism.yaml"],
        ["run", "organism.yaml"],
        ["send", "organism.yaml", "echo={}"],
        ["threads", "organism.yaml"],
        ["gc", "organism.yaml"],
        ["dead", "list", "organism.yaml"],
        ["graph", "organism.yaml"],
        ["schema", "organism.yaml"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_takes_set_and_tells_what_is_wrong_with_it(bench: Bench, arguments: list[str]) -> None:
    run = bench.run(*arguments, "--set", "listeners.echo.concurency=4")
    told = (run.stdout + run.stderr).decode()
    assert run.returncode == 2
    assert '--set listeners.echo.concurency=4: error[unknown-key]: A listener has no key "concurency".' in told
    assert 'hint: Did you mean "concurrency"?' in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["config", "organism.yaml", "--set", "echo"], "--set 'echo' is not PATH=VALUE"),
        (["config", "organism.yaml", "--set", "=4"], "--set '=4' is not PATH=VALUE"),
        (
            ["threads", "--backend", "sqlite", "--path", "x.db", "--set", "a=4"],
            "--set overrides values of an organism",
        ),
    ],
)
def test_what_set_cannot_be(bench: Bench, arguments: list[str], sentence: str) -> None:
    run = bench.run(*arguments)
    assert (run.returncode, run.stdout) == (2, b"")
    assert sentence in run.stderr.decode()


def test_a_run_works_with_what_is_set(bench: Bench) -> None:
    sets = ["--set", "backend.path=elsewhere.db", "--set", "messages=[{to: echo, payload: {text: from set}}]"]
    run = bench.run("run", "organism.yaml", *sets)
    assert run.returncode == 0
    assert b"from set" in run.stdout
    assert (bench.folder / "elsewhere.db").exists()
    assert not (bench.folder / "state.db").exists()
