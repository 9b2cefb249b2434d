"""What commands print with --json and --jsonl is what `xpipe schema output` says, key by key."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli.bench import Bench
from cli.stored import STATE_FILE, in_sqlite
from cli.warm import Warm
from xpipe.cli.app import COMMANDS
from xpipe.cli.output_schemas import ALIASES, OUTPUTS, output_schema

LISTENERS = ("echo", "broken", "forget", "sleeper")
LINES = "messages:\n  - {to: echo, payload: {text: from the file}}\n"
RUN = ("run", "organism.yaml", "--no-messages", "--send", 'echo={"text": "hi"}', "--send", "nobody={}")

# Commands in the order in which they are run: what it is for, its arguments, the command whose schema is meant.
PRINTED = [
    ("run", [*RUN, "--json"]),
    ("run", [*RUN, "--jsonl"]),
    ("send", ["send", "organism.yaml", "echo={}", "echo={}", "--json"]),
    ("send", ["send", "organism.yaml", "echo={}", "echo={}", "--jsonl"]),
    ("check", ["check", "organism.yaml", "wrong.yaml", "--json"]),
    ("lint", ["lint", "organism.yaml", "--set", "backend.typo=1", "--json"]),
    ("config", ["config", "organism.yaml", "--json"]),
    ("graph", ["graph", "organism.yaml", "--json"]),
    ("graph", ["graph", "organism.yaml", "--no-imports", "--format", "json"]),
    ("outputs", ["outputs", "organism.yaml", "--json"]),
    ("outputs", ["outputs", "organism.yaml", "--jsonl"]),
    ("threads", ["threads", "organism.yaml", "--json"]),
    ("threads", ["threads", "organism.yaml", "--jsonl"]),
    ("threads", ["threads", "organism.yaml", "--tree", "--json"]),
    ("threads", ["threads", "organism.yaml", "--tree", "--jsonl"]),
    ("threads", ["threads", "organism.yaml", "THREAD", "--json"]),
    ("threads", ["threads", "organism.yaml", "THREAD", "--jsonl"]),
    ("inspect-threads", ["inspect-threads", "organism.yaml", "--state", "failed", "--jsonl"]),
    ("trace", ["trace", "organism.yaml", "cli-1", "--payloads", "--json"]),
    ("trace", ["trace", "organism.yaml", "cli-2", "--jsonl"]),
    ("trace", ["trace", "organism.yaml", "cli-2", "--follow", "--jsonl"]),
    ("registry", ["registry", "organism.yaml", "--json"]),
    ("registry", ["registry", "organism.yaml", "--jsonl"]),
    ("dead list", ["dead", "list", "organism.yaml", "--json"]),
    ("dead list", ["dead", "list", "organism.yaml", "--jsonl"]),
    ("dead show", ["dead", "show", "organism.yaml", "1", "--json"]),
    ("dead retry", ["dead", "retry", "organism.yaml", "--all", "--json"]),
    ("dead retry", ["dead", "retry", "organism.yaml", "--all", "--jsonl"]),
    ("dead drop", ["dead", "drop", "organism.yaml", "--all", "--json"]),
    ("dead drop", ["dead", "drop", "organism.yaml", "--all", "--jsonl"]),
    ("cancel", ["cancel", "organism.yaml", "ASLEEP", "--json"]),
    ("cancel", ["cancel", "organism.yaml", "ASLEEP", "--jsonl"]),
    ("gc", ["gc", "organism.yaml", "--older-than", "0", "--dry-run", "--json"]),
    ("gc", ["gc", "organism.yaml", "--verify", "--json"]),
    ("threads", ["threads", "organism.yaml", "DAMAGED", "--jsonl"]),
    ("dead list", ["dead", "list", "organism.yaml", "--json"]),
    ("dead retry", ["dead", "retry", "organism.yaml", "1", "--yes", "--json"]),
    ("outputs", ["outputs", "organism.yaml", "--json"]),
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, warm: Warm | None) -> Iterator[list[bytes]]:
    """What each of PRINTED prints, of an organism with threads, conversations and dead letters in every state."""
    bench = Bench(tmp_path_factory.mktemp("printed"), warm)
    stored = in_sqlite(bench)
    stored.organism(*LISTENERS, more=LINES)
    (bench.folder / "wrong.yaml").write_text("organism: {name: wrong, nam: wrong}\nlisteners:\n  - name: x\n")
    ran = stored.run("broken={}", "forget={}")
    # First: a run would take over what the killed one leaves, and wait for it.
    early = {number: bench.run(*words) for number, (_, words) in enumerate(PRINTED) if words[0] == "run"}
    stored.kill_a_run("asleep", 'sleeper={"text": "asleep", "seconds": 600}')
    threads = {one["listener"]: one["thread"] for one in ran["threads"]}
    damage(bench, threads["forget"])
    asleep = stored.jsonl("threads", "--listener", "sleeper")[0]["conversation"]
    words = {"THREAD": threads["broken"], "DAMAGED": threads["forget"], "ASLEEP": asleep}
    commands = [[words.get(word, word) for word in arguments] for _, arguments in PRINTED]
    runs = [early.get(number) or bench.run(*arguments) for number, arguments in enumerate(commands)]
    assert {run.returncode for run in runs} <= {0, 1, 2, 3}
    yield [run.stdout for run in runs]
    bench.close()


def damage(bench: Bench, thread: str) -> None:
    """Make the slots of `thread` unreadable."""
    change = "UPDATE slots SET data = zeroblob(length(data)) WHERE thread = (SELECT n FROM threads WHERE id = ?)"
    with contextlib.closing(sqlite3.connect(bench.folder / STATE_FILE)) as file, file:
        assert file.execute(change, [thread]).rowcount


@pytest.mark.parametrize(
    ("number", "command", "arguments"),
    [(number, *one) for number, one in enumerate(PRINTED)],
    ids=[" ".join(arguments[:1] + arguments[2:]) for _, arguments in PRINTED],
)
def test_real_output_is_what_its_schema_says(
    printed: list[bytes], number: int, command: str, arguments: list[str]
) -> None:
    jsonl = "--jsonl" in arguments
    documents = [json.loads(text) for text in (printed[number].splitlines() if jsonl else [printed[number]])]
    assert documents, "nothing to compare"
    validator = Draft202012Validator(output_schema(command, jsonl), format_checker=Draft202012Validator.FORMAT_CHECKER)
    for document in documents:
        assert document["schema_version"] == 1
        validator.validate(document)
        for key in list(document):
            assert not validator.is_valid({**document, f"{key} more": 1})
            assert not validator.is_valid({name: value for name, value in document.items() if name != key})


def test_the_documents_show_every_state(printed: list[bytes]) -> None:
    texts = b"\n".join(printed).decode()
    for word in ("active", "waiting", "done", "failed", "request", "response", "fault", "damaged"):
        assert f'"{word}"' in texts, word


def commands() -> Iterator[tuple[str, Any]]:
    for name, entry in COMMANDS.items():
        module = importlib.import_module(entry.module)
        inner = getattr(module, "COMMANDS", None) if name == "dead" else None
        for word, one in (inner or {"": entry}).items():
            yield f"{name} {word}".rstrip(), getattr(importlib.import_module(one.module), one.name)


def test_every_command_that_has_json_or_jsonl_has_a_schema_and_is_tried_here() -> None:
    forms = {}
    for name, function in commands():
        parameters = inspect.signature(function).parameters
        if "json" in parameters:
            forms[ALIASES.get(name, name)] = "jsonl" in parameters
    assert forms == {name: bool(printed.records) for name, printed in OUTPUTS.items()}
    tried = {(ALIASES.get(name, name), "--jsonl" in arguments) for name, arguments in PRINTED}
    assert tried == {(name, jsonl) for name in forms for jsonl in {False, forms[name]}}


@pytest.mark.parametrize("command", OUTPUTS)
def test_the_schemas_are_schemas_and_let_nothing_else_through(command: str) -> None:
    for jsonl in {False, bool(OUTPUTS[command].records)}:
        schema = output_schema(command, jsonl)
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert not Draft202012Validator(schema).is_valid({"schema_version": 1, "some": "thing"})


def test_the_command_prints_them_and_lists_the_commands(bench: Bench) -> None:
    printed = bench.run("schema", "output", "dead", "list", "--jsonl")
    assert json.loads(printed.stdout) == output_schema("dead list", jsonl=True)
    listed = bench.run("schema", "output").stdout.decode().splitlines()
    assert [line.split("  ")[0] for line in listed] == list(OUTPUTS)


@pytest.mark.slow
def test_send_with_wait_prints_outputs(bench: Bench) -> None:
    in_sqlite(bench).organism("echo")
    serving = bench.start("run", "organism.yaml", "--serve", "--send", "echo={}")
    assert serving.stdout is not None
    serving.stdout.readline()
    for form in ("--json", "--jsonl"):
        sent = bench.run("send", "organism.yaml", "echo={}", "--wait", form)
        assert sent.returncode == 0
        validator = Draft202012Validator(output_schema("send", form == "--jsonl"))
        document = json.loads(sent.stdout)
        validator.validate(document)
        assert "outputs" in document or document["kind"] == "response"
    serving.terminate()
    serving.communicate(timeout=20)


def test_jsonl_of_a_run_goes_to_stdout_alone(bench: Bench) -> None:
    bench.organism("echo")
    for arguments, sentence in (
        (["--out", "x.jsonl"], "--jsonl prints the outputs; to write them to x.jsonl, pass --format jsonl instead"),
        (["--format", "xml"], "--jsonl and --format xml exclude each other"),
        (["--json"], "--json and the outputs both go to stdout"),
    ):
        run = bench.run("run", "organism.yaml", "--jsonl", *arguments)
        assert (run.returncode, run.stdout) == (2, b"")
        assert sentence in run.stderr.decode()


def test_a_schema_that_is_not_there_is_a_wrong_option(bench: Bench) -> None:
    for arguments, sentence in (
        (["output", "thraeds"], "no command 'thraeds' prints JSON; did you mean \"threads\"?"),
        (["output", "gc", "--jsonl"], "gc prints one document and no --jsonl"),
        (["config", "more"], "unexpected argument 'more'"),
    ):
        asked = bench.run("schema", *arguments)
        assert (asked.returncode, asked.stdout) == (2, b"")
        assert sentence in asked.stderr.decode()
        assert asked.stderr.count(b"\n") == 1
