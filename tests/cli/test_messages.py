"""Messages from --send, --input and stdin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.bench import Bench


def outputs(stdout: bytes) -> list[dict[str, Any]]:
    found = json.loads(stdout)["outputs"]
    assert isinstance(found, list)
    return found


def texts(stdout: bytes) -> list[str]:
    return sorted(output["payload"]["text"] for output in outputs(stdout) if output["kind"] == "response")


@pytest.mark.parametrize(
    "payload", ['{"text": "a=b"}', "<Ask><text>a=b</text></Ask>", "@payload.json", "@payload.xml", "-"]
)
def test_send_takes_xml_and_json_from_the_option_a_file_or_stdin(bench: Bench, payload: str) -> None:
    (bench.folder / "payload.json").write_text('{"text": "a=b"}')
    (bench.folder / "payload.xml").write_text("<Ask><text>a=b</text></Ask>")
    run = bench.run("run", bench.organism("echo"), "--send", f"echo={payload}", "--json", stdin=b'{"text": "a=b"}')
    assert run.returncode == 0, run.stderr
    assert texts(run.stdout) == ["a=b"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", '{"text": "one"}\n{"text": \n{"text": "two"}\n{"txet": "three"}\n'),
        ("in.json", '[{"text": "one"}, {"text": 1}, {"text": "two"}, {"to": "ehco", "payload": {}}]'),
        ("in.xml", "<Ask><text>one</text></Ask><Ask><txet/></Ask><Ask><text>two</text></Ask><Sak/>"),
        ("in", "<messages><Ask><text>one</text></Ask><Ak/><Ask><text>two</text></Ask><Sak/></messages>"),
    ],
)
def test_broken_documents_are_faults_with_their_place_and_the_others_run(bench: Bench, name: str, content: str) -> None:
    (bench.folder / name).write_text(content)
    run = bench.run("run", bench.organism("echo"), "--input", name, "--json")
    assert run.returncode == 1
    assert texts(run.stdout) == ["one", "two"]
    faults = [output["payload"]["text"] for output in outputs(run.stdout) if output["kind"] == "fault"]
    assert len(faults) == 2
    assert all(fault.startswith(f"{name}:") for fault in faults)


TWO = '{"text": "one"}\n{"text": "two"}\n'


@pytest.mark.parametrize(
    ("content", "answers", "faults"),
    [
        (TWO.encode("utf-16"), ["one", "two"], 0),
        (TWO.encode("utf-16-le"), [], 1),  # Nothing tells of the encoding.
        (TWO.encode("utf-16-be"), [], 1),
        (TWO.encode("utf-16")[:-1], ["one"], 1),
        (b'{"text": "one"}\n{"seconds": ' + b"9" * 5000 + b'}\n{"text": "two"}\n', ["one", "two"], 1),
        (b'{"text": "zero", "text": "one"}\n{"text": "two"}\n', ["two"], 1),
    ],
)
def test_hostile_input_spoils_no_other_document(bench: Bench, content: bytes, answers: list[str], faults: int) -> None:
    run = bench.run("run", bench.organism("echo"), "--input", "-", "--json", stdin=content)

    assert run.returncode == (1 if faults else 0)
    assert b"Traceback" not in run.stderr
    kinds = [output["kind"] for output in outputs(run.stdout)]
    assert texts(run.stdout) == answers
    assert (kinds.count("fault") > 0) == (faults > 0)


def test_a_huge_number_in_a_send_is_a_fault(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", f'echo={{"seconds": {"9" * 5000}}}', "--json")

    assert run.returncode == 1
    assert b"Traceback" not in run.stderr
    assert [output["kind"] for output in outputs(run.stdout)] == ["fault"]


def test_every_document_of_every_input_is_a_conversation_of_its_own(bench: Bench) -> None:
    (bench.folder / "a.jsonl").write_text('{"text": "a"}\n' * 3)
    arguments = ["--input", "a.jsonl", "--input", "-", "--send", "echo={}", "--json"]
    run = bench.run("run", bench.organism("echo"), *arguments, stdin=b'{"text": "b"}\n' * 2)
    assert run.returncode == 0, run.stderr
    assert len({output["conversation"] for output in outputs(run.stdout)}) == 6
    chains = {entry["chain"] for entry in json.loads(run.stdout)["registry"]}
    assert {f"system.bench.{name}" for name in ("cli-1", "in-1", "in-5")} <= chains


def test_an_answer_is_written_while_stdin_is_still_open(bench: Bench) -> None:
    process = bench.start("run", bench.organism("echo"), "--input", "-", "--format", "jsonl")
    assert process.stdin is not None
    assert process.stdout is not None
    for text in ("first", "second"):
        process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["payload"] == {"text": text}
    stdout, _ = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (0, b"")


def test_input_larger_than_memory_should_hold_is_read_as_it_is_used(bench: Bench) -> None:
    """With two messages in flight at most, what is read ahead is bounded whatever comes."""
    limits = "limits: {in_flight: 2}\nbackend: {type: memory, max_threads: 100}\n"
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(5_000))
    run = bench.run("run", bench.organism("echo", extra=limits), "--input", "-", "--format", "jsonl", stdin=lines)
    assert run.returncode == 0, run.stderr
    got = {json.loads(line)["payload"]["text"] for line in run.stdout.splitlines()}
    assert got == {str(number) for number in range(5_000)}


def test_a_closed_stdin_is_named(bench: Bench) -> None:
    process = bench.start(
        "run", bench.organism("echo"), "--input", "-", stdin=None, preexec_fn=lambda: __import__("os").close(0)
    )
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"--input - cannot be read" in stderr


def test_no_messages_leaves_out_what_the_file_itself_sends(bench: Bench) -> None:
    organism = bench.organism("echo", extra="messages:\n  - {to: echo, payload: {text: from the file}}\n")
    run = bench.run("run", organism, "--no-messages", "--send", 'echo={"text": "asked"}', "--json")
    assert run.returncode == 0, run.stderr
    assert texts(run.stdout) == ["asked"]
