"""stdout is data, stderr is talk; --json, --out and --format."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import datetime
from pathlib import Path

import foreign
import pytest
from lxml import etree

from cli.bench import Bench
from cli.stored import rows
from xpipe.cli.harvest import Harvest
from xpipe.cli.outlet import Descriptor
from xpipe.cli.run import Plan
from xpipe.cli.session import End, Reason
from xpipe.cli.telling import Result, finish
from xpipe.core.codec import PayloadTypes
from xpipe.core.errors import BackendError

CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
UUID = re.compile(rb"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
HOSTILE = "\x1b[31m[bold]red\x9b31m"
OTHER_FORMS = [["--json"], ["--format", "xml"]]


@pytest.mark.parametrize("listener", ["chatty", "chatty_worker"])
@pytest.mark.parametrize("options", [["--json"], ["--format", "jsonl"], []])
def test_what_handlers_print_goes_to_stderr(bench: Bench, listener: str, options: list[str]) -> None:
    run = bench.run("run", bench.organism(listener), "--send", f'{listener}={{"text": "hi"}}', *options)
    assert run.returncode == 0
    assert b"printed by" not in run.stdout
    assert b"written by" not in run.stdout
    assert b"printed by" in run.stderr
    assert b"written by" in run.stderr
    if options:
        json.loads(run.stdout)


def test_json_is_one_document_of_the_documented_shape(bench: Bench) -> None:
    sends = ["--send", 'echo={"text": "hi"}', "--send", "broken={}", "--send", "nobody={}"]
    run = bench.run("run", bench.organism("echo", "broken"), *sends, "--json")
    document = json.loads(run.stdout)
    assert list(document) == ["schema_version", "outputs", "faults", "threads", "registry", "totals", "timings"]
    assert document["schema_version"] == 1
    by_kind = {output["from"]: output for output in document["outputs"]}
    echo = by_kind["echo"]
    assert {**echo, "conversation": ""} == {
        "conversation": "",
        "kind": "response",
        "from": "echo",
        "type": "Told",
        "payload": {"text": "hi"},
    }
    assert (by_kind["broken"]["kind"], by_kind["broken"]["payload"]["code"]) == ("fault", "exception")
    assert by_kind["system"]["payload"]["code"] == "unknown_target"
    faults = {fault["code"]: fault for fault in document["faults"]}
    assert set(faults) == {"exception", "unknown_target"}
    keys = ["code", "text", "origin", "hop", "attempt", "retryable", "traceback", "causes", "conversation", "thread"]
    assert list(faults["exception"]) == keys
    assert "in broken" in faults["exception"]["traceback"]
    threads = {thread["listener"]: thread for thread in document["threads"]}
    keys = ["thread", "conversation", "chain", "listener", "state", "slots", "bytes", "touched", "from", "to"]
    assert list(threads["echo"]) == keys
    assert (threads["echo"]["state"], threads["broken"]["state"]) == ("done", "failed")
    assert {entry["uuid"] for entry in document["registry"]} > {thread["thread"] for thread in document["threads"]}
    expected = {"conversations": 3, "done": 1, "failed": 2, "unfinished": 0, "outputs": 3, "faults": 2, "hops": 2}
    assert expected.items() <= document["totals"].items()
    assert datetime.fromisoformat(document["timings"]["started"]).utcoffset() is not None
    assert document["timings"]["seconds"] > 0


@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.xml"])
def test_out_takes_its_format_from_the_extension_and_leaves_the_tables_on_stdout(bench: Bench, name: str) -> None:
    sends = ["--send", 'echo={"text": "ä<&"}', "--send", "broken={}"]
    run = bench.run("run", bench.organism("echo", "broken"), *sends, "--out", name)
    assert run.returncode == 1
    assert f"2 outputs written to {name}" in run.stdout.decode()
    assert b"listener  threads  states" in run.stdout
    assert sorted(kinds(bench.folder / name)) == ["Fault", "Told"]


def kinds(file: Path) -> list[str]:
    if file.suffix == ".xml":
        return [str(element.tag) for element in etree.parse(file).getroot()]
    text = file.read_text()
    found = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return [output["type"] for output in found]


@pytest.mark.parametrize("format", ["xml", "json", "jsonl"])
def test_formatted_data_on_stdout_is_alone_there_and_the_summary_on_stderr(bench: Bench, format: str) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "x"}', "--format", format, "--out", "-")
    file = bench.folder / f"copy.{format}"
    file.write_bytes(run.stdout)
    assert kinds(file) == ["Told"]
    assert run.stderr.startswith(b"xpipe: 1 conversation, 1 hop in ")


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_stdout_is_meant_by_all_its_names(bench: Bench, name: str) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "x"}', "--out", name)
    assert json.loads(run.stdout)["payload"] == {"text": "x"}


def test_more_faults_than_json_shows_are_said_to_be_more(bench: Bench) -> None:
    (bench.folder / "in.jsonl").write_text('{"to": "nobody", "payload": {}}\n' * 1_100)
    run = bench.run("run", bench.organism("echo"), "--input", "in.jsonl", "--no-messages")
    assert b"1 100 x unknown_target in " in run.stdout
    assert b"--json shows the first 1 000, one by one\n" in run.stdout


@pytest.mark.parametrize("format", ["xml", "json", "jsonl"])
def test_no_outputs_are_a_valid_document_too(bench: Bench, format: str) -> None:
    (bench.folder / "empty.jsonl").write_text("")
    run = bench.run("run", bench.organism("echo"), "--input", "empty.jsonl", "--out", f"out.{format}")
    assert run.returncode == 0
    assert kinds(bench.folder / f"out.{format}") == []


def test_an_answer_that_xml_cannot_carry_is_a_fault_in_its_place(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "\\u0001"}', "--format", "xml")
    assert run.returncode == 1
    (fault,) = etree.fromstring(run.stdout)
    assert fault.tag == "Fault"
    assert "text" in str(fault.findtext("text"))
    assert b"xpipe: 1 answer could not be written; a fault that says why replaces each" in run.stderr


def test_json_and_out_give_both(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "x"}', "--json", "--out", "out.jsonl")
    assert json.loads(run.stdout)["outputs"] == rows((bench.folder / "out.jsonl").read_bytes())


def test_an_existing_file_is_replaced_whole_and_keeps_its_mode(bench: Bench) -> None:
    out = bench.folder / "out.json"
    out.write_text("old")
    out.chmod(0o640)
    bench.run("run", bench.organism("echo"), "--send", "echo={}", "--out", out)
    assert len(json.loads(out.read_text())) == 1
    assert out.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_one_sentence(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", "echo={}", "--out", "/dev/full")
    assert run.returncode == 1
    assert run.stderr.decode() == f"xpipe: cannot write /dev/full: {foreign.DISK_FULL}; later output is lost\n"


@pytest.mark.parametrize("variables", [{}, {"TERM": "xterm-256color"}, {"COLUMNS": "40"}])
def test_in_a_pipe_there_are_no_control_characters_and_no_cut_ids(bench: Bench, variables: dict[str, str]) -> None:
    sends = ["--send", "echo=" + json.dumps({"text": HOSTILE}), "--send", "broken=" + json.dumps({"text": HOSTILE})]
    run = bench.run("run", bench.organism("echo", "broken"), *sends, "--details", **variables)
    assert not CONTROL.search(run.stdout + run.stderr)
    assert "[bold]red" in run.stdout.decode()
    assert len(UUID.findall(run.stdout)) == 5 + 4 + 2
    assert b"system.bench.cli-1.echo" in run.stdout


def test_data_for_programs_carries_no_terminal_codes_either(bench: Bench) -> None:
    send = ["--send", "echo=" + json.dumps({"text": HOSTILE})]
    run = bench.run("run", bench.organism("echo"), *send, "--format", "jsonl")
    assert not CONTROL.search(run.stdout)
    assert json.loads(run.stdout)["payload"]["text"] == HOSTILE


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colors_in_a_pipe_come_only_when_asked_for(bench: Bench, variables: dict[str, str], colored: bool) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", "echo={}", **variables)
    assert (b"\x1b[" in run.stdout) == colored
    assert b"\x1b" not in run.stderr


@pytest.mark.parametrize(
    "options", [[], ["--format", "jsonl"], *(pytest.param(one, marks=pytest.mark.slow) for one in OTHER_FORMS)]
)
def test_a_reader_that_goes_away_is_no_error(bench: Bench, options: list[str]) -> None:
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(3_000))
    (bench.folder / "in.jsonl").write_bytes(lines)
    process = bench.start("run", bench.organism("echo"), "--input", "in.jsonl", *options)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_an_endless_input_ends_when_nobody_reads_the_answers(bench: Bench) -> None:
    organism = bench.organism("echo")
    endless = subprocess.Popen(["yes", '{"text": "again"}'], stdout=subprocess.PIPE)
    process = bench.start("run", organism, "--input", "-", "--format", "jsonl", stdin=endless.stdout)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
    finally:
        endless.kill()
        endless.communicate()


@pytest.mark.parametrize("closing", [pytest.param("2>&-", marks=pytest.mark.slow), "<&- 2>&-"])
@pytest.mark.parametrize("listener", ["chatty", "chatty_worker"])
def test_stdin_and_stderr_may_be_closed(bench: Bench, closing: str, listener: str) -> None:
    command = bench.command("run", bench.organism(listener), "--send", f"{listener}={{}}")
    run = subprocess.run(["sh", "-c", f'exec "$@" {closing}', "sh", *command], capture_output=True, timeout=30)
    assert run.returncode == 0
    assert b"Traceback" not in run.stderr


def test_outputs_that_could_not_be_shown_do_not_count_as_printed() -> None:
    plan = Plan(
        Path("organism.yaml"), overrides=(), messages=True, resume=False, serve=False, inputs=(), sends=(),
        workers=None, timeout=None, grace=5.0, json=False, details=False, out=None, format=None,
    )  # fmt: skip
    gone = BackendError("the backend is gone")
    result = Result(End(Reason.FINISHED), gone, None, Harvest(PayloadTypes([]), True, None), None, None)
    stdout = Descriptor(os.open(os.devnull, os.O_WRONLY), "stdout")

    code = finish(plan, stdout, result)

    stdout.close()
    assert (code, result.told) == (4, False)
