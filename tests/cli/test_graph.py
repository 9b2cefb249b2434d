"""`xpipe graph`: its forms, and what it leaves alone."""

from __future__ import annotations

import json

import pytest

from cli.bench import Bench

MORE = "  - {name: all, buffer: {target: echo, max_in_flight: 4}}\nmessages:\n  - {to: all, payload: {items: []}}\n"


def test_every_form_is_the_same_each_time(bench: Bench) -> None:
    organism = bench.organism("echo", "busy", extra=MORE)
    for form, begin in (("text", b"bench  3 listeners"), ("mermaid", b"flowchart LR"), ("dot", b'digraph "bench" {')):
        drawn = bench.run("graph", organism, "--format", form).stdout
        assert drawn.startswith(begin)
        assert bench.run("graph", organism, "--format", form, PYTHONHASHSEED="1").stdout == drawn


def test_the_json_names_nodes_and_edges(bench: Bench) -> None:
    drawn = bench.run("graph", bench.organism("echo", "busy", extra=MORE), "--json")
    document = json.loads(drawn.stdout)
    assert {node["name"]: node["kind"] for node in document["nodes"]} == {
        "messages": "messages",
        "echo": "async",
        "busy": "worker",
        "all": "buffer",
    }
    assert ("all", "echo", "item", 4) in {
        (edge["from"], edge["to"], edge["kind"], edge["max_in_flight"]) for edge in document["edges"]
    }


def test_no_imports_runs_no_code(bench: Bench) -> None:
    organism = bench.organism("echo", extra=MORE)
    (bench.folder / "handlers.py").write_text("open('ran', 'w').close()")
    drawn = bench.run("graph", organism, "--no-imports")
    assert (drawn.returncode, drawn.stderr) == (0, b"")
    assert not (bench.folder / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--format", "svg"], 2, "--format 'svg' is not one of text, mermaid, dot, json"),
        (["--format", "dot", "--json"], 2, "--json and --format dot exclude each other"),
        (["--set", "listeners.echo.typo=1"], 2, "typo"),
    ],
)
def test_wrong_options_and_files_end_as_the_table_says(
    bench: Bench, arguments: list[str], code: int, sentence: str
) -> None:
    drawn = bench.run("graph", bench.organism("echo"), *arguments)
    assert (drawn.returncode, drawn.stdout) == (code, b"")
    assert sentence in drawn.stderr.decode()
