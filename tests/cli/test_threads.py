"""`xpipe threads`: what lives in a backend, the newest first, and what one thread has recorded."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter

import pytest

from cli.bench import Bench
from cli.stored import STATE_FILE, Stored, in_sqlite
from cli.test_terminal import Terminal

ECHO = 'echo={"text": "hello"}'
SPREAD = 'spread={"items": 3}'


def test_the_table_shows_every_thread_the_newest_first_and_says_how_many(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO, ECHO)

    head, *rows, blank, count = stored.text("threads").splitlines()

    assert head.split() == ["thread", "conversation", "call", "chain", "state", "slots", "size", "age", "last"]
    chains = ["system.bench.cli-2.echo", "system.bench.cli-2", "system.bench.cli-1.echo", "system.bench.cli-1"]
    assert [row.split()[2] for row in rows] == chains
    ids = {one["chain"]: one["thread"] for one in ran["threads"]}
    assert [row.split()[0] for row in rows] == [ids[chain] for chain in chains]
    assert all(" done " in row for row in rows)
    assert rows[0].endswith("cli-2 -> echo")
    assert (blank, count) == ("", "4 threads")


def test_json_is_what_run_says_and_when_something_last_happened(stored: Stored) -> None:
    stored.organism("echo", "broken")
    ran = stored.run(ECHO, "broken={}")

    rows = stored.json("threads")["threads"]

    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["touched"]) for row in rows)
    wanted = {one["thread"]: one for one in ran["threads"]}
    assert {row["thread"]: row for row in rows} == wanted
    assert stored.jsonl("threads") == stored.json("threads")["threads"]


def test_a_limit_shows_the_newest_and_says_of_how_many(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(*[ECHO] * 30)

    assert stored.text("threads").splitlines()[-1] == "50 of 60 threads; --limit N or --limit all shows more"
    assert stored.text("threads", "--limit", "1").splitlines()[1].endswith("cli-30 -> echo")
    assert stored.text("threads", "--limit", "all").splitlines()[-1] == "60 threads"
    assert len(stored.jsonl("threads")) == 60
    assert len(stored.json("threads", "-n", "7")["threads"]) == 7


def test_filters_choose_threads_by_state_listener_conversation_and_age(stored: Stored) -> None:
    stored.organism("echo", "broken")
    ran = stored.run(ECHO, "broken={}")
    [failed] = [one for one in ran["threads"] if one["state"] == "failed"]

    def found(*options: str) -> set[str]:
        return {row["thread"] for row in stored.jsonl("threads", *options)}

    assert found("--state", "failed") == {failed["thread"]}
    assert found("--state", "failed", "--state", "done") == {one["thread"] for one in ran["threads"]}
    assert found("--listener", "broken") == {failed["thread"]}
    assert found("--conversation", failed["conversation"][:20]) == {failed["thread"], failed["conversation"]}
    assert found("--older-than", "1h") == set()
    assert stored.text("threads", "--state", "failed").splitlines()[-1] == "1 of 4 threads"
    assert stored.text("threads", "--older-than", "1h").startswith("none of 4 threads matches")


def test_a_tree_draws_who_called_whom(stored: Stored) -> None:
    stored.organism("spread", "busy", "broken")
    stored.run(SPREAD, "broken={}")

    text = stored.text("threads", "--tree")

    lines = [re.split(r"  +(?=done|failed)", line) for line in text.splitlines()[1:-2]]
    calls = {re.sub(r"~\w+-\d+", "~", call): rest.split()[0] for call, rest in lines}
    assert calls == {
        "system.bench.cli-1": "done",
        "└─ spread": "done",
        "   └─ system.buffer~": "done",
        "      ├─ 0.busy": "done",
        "      ├─ 1.busy": "done",
        "      └─ 2.busy": "done",
        "system.bench.cli-2": "done",
        "└─ broken": "failed",
    }
    assert text.endswith("\n8 threads\n")


def test_a_tree_of_one_thread_is_that_of_its_conversation_and_a_limit_cuts_it(stored: Stored) -> None:
    stored.organism("spread", "busy", "echo")
    ran = stored.run(SPREAD, ECHO)
    item = next(one for one in ran["threads"] if one["listener"] == "busy")

    whole = stored.text("threads", item["thread"], "--tree")
    first = stored.text("threads", item["thread"], "--tree", "--limit", "4")

    assert "cli-1" in whole
    assert "echo" not in whole
    assert whole.count("busy") == 3
    assert first.count("busy") == 1
    assert first.endswith("the first 4 threads; --limit N or --limit all shows more\n")


def test_a_unique_prefix_shows_one_thread_with_its_payloads(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO)
    [thread] = [one for one in ran["threads"] if one["listener"] == "echo"]

    text = stored.text("threads", thread["thread"][:30])

    assert f"thread        {thread['thread']}\n" in text
    assert "call chain    system.bench.cli-1.echo\n" in text
    assert "\n0  request  cli-1 -> echo  Ask\n   text: hello\n" in text
    assert text.endswith("\n1 slot\n")


def test_one_thread_in_json_has_its_slots(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO)
    [thread] = [one for one in ran["threads"] if one["listener"] == "echo"]

    found = stored.json("threads", thread["thread"])

    slot = {"index": 0, "kind": "request", "from": "cli-1", "to": "echo", "type": "Ask", "problem": None}
    assert found["thread"]["thread"] == thread["thread"]
    assert found["slots"] == [slot | {"payload": {"text": "hello"}}]
    assert stored.jsonl("threads", thread["thread"]) == [{"thread": thread["thread"], **found["slots"][0]}]


def test_payloads_inside_a_payload_are_shown_without_the_users_code(stored: Stored) -> None:
    stored.organism("spread", "busy")
    ran = stored.run(SPREAD)
    (stored.bench.folder / "handlers.py").write_text("raise RuntimeError('nobody may import this')")
    [buffer] = [one for one in ran["threads"] if one["listener"] == "system.buffer"]
    [spread] = [one for one in ran["threads"] if one["listener"] == "spread"]

    start = stored.jsonl("threads", buffer["thread"])[0]["payload"]
    complete = stored.jsonl("threads", spread["thread"])[-1]["payload"]

    assert start["items"] == [{"type": "Ask", "payload": {"text": "", "seconds": 0.0, "items": 0}}] * 3
    assert [one["result"] for one in complete["results"]] == [{"type": "Told", "payload": {"text": "worked"}}] * 3


def test_a_limit_on_one_thread_shows_its_last_slots(stored: Stored) -> None:
    stored.organism("spread", "busy")
    ran = stored.run(SPREAD)
    [spread] = [one for one in ran["threads"] if one["listener"] == "spread"]

    text = stored.text("threads", spread["thread"], "--limit", "1")

    assert "\n1  response  system.buffer -> spread  BufferComplete\n" in text
    assert "request" not in text
    assert text.endswith("the last 1 of 2 slots; --limit N or --limit all shows more\n")


def test_2_and_the_candidates_for_an_ambiguous_id(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(*[ECHO] * 10)
    firsts = Counter(one["thread"][0] for one in ran["threads"])
    first, count = firsts.most_common(1)[0]
    assert count > 1, "twenty ids begin with sixteen digits"

    looked = stored.bench.run("threads", "organism.yaml", first)

    assert (looked.returncode, looked.stdout) == (2, b"")
    told = looked.stderr.decode()
    assert f"more than one thread begins with '{first}': " in told
    assert sum(one["thread"] in told for one in ran["threads"]) == min(count, 10)


@pytest.mark.parametrize("id", ["nothing-like-this", ""])
def test_2_for_an_unknown_id(stored: Stored, id: str) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    for arguments in ([id], ["--conversation", id], [id, "--tree"]):
        looked = stored.bench.run("threads", "organism.yaml", *arguments)
        assert (looked.returncode, looked.stdout) == (2, b"")
        assert looked.stderr.startswith(b"xpipe: ")
        assert looked.stderr.count(b"\n") == 1


def test_nothing_that_is_stored_can_steer_a_terminal(stored: Stored) -> None:
    stored.organism("echo")
    stored.run("echo=" + json.dumps({"text": "\x1b[31m\x9b1m\u202e\n"}))
    [thread] = [one["thread"] for one in stored.jsonl("threads", "--listener", "echo")]
    for arguments in (["threads", thread], ["threads", thread, "--json"], ["outputs"], ["outputs", "--jsonl"]):
        shown = stored.look(*arguments).stdout
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", shown)
        assert b"u001b[31m" in shown


def test_a_damaged_slot_is_shown_as_such_and_hides_nothing_else(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("spread", "busy")
    ran = stored.run(SPREAD)
    [spread] = [one["thread"] for one in ran["threads"] if one["listener"] == "spread"]
    with sqlite3.connect(bench.folder / STATE_FILE) as file:
        file.execute(
            "UPDATE slots SET data = x'c1' WHERE at = 0 AND thread = (SELECT n FROM threads WHERE id = ?)", [spread]
        )

    first, second = stored.jsonl("threads", spread)

    assert (first["kind"], first["payload"]) == ("damaged", None)
    assert "is damaged" in first["problem"]
    assert (second["type"], second["problem"]) == ("BufferComplete", None)
    assert "0  damaged\n   it is damaged" in stored.text("threads", spread)


def test_without_threads_it_says_what_to_do(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    stored.look("gc", "--older-than", "0")
    assert "start with `xpipe run`" in stored.text("threads")
    assert stored.json("threads")["threads"] == []
    assert stored.jsonl("threads") == []


@pytest.mark.parametrize(
    ("columns", "whole"),
    [pytest.param(60, False, marks=pytest.mark.slow), (80, False), pytest.param(200, True, marks=pytest.mark.slow)],
)
def test_a_table_fits_the_terminal(bench: Bench, columns: int, whole: bool) -> None:
    stored = in_sqlite(bench)
    stored.organism("spread", "busy")
    ran = stored.run(SPREAD)
    for arguments in (["threads"], ["threads", "--tree"], ["registry"], ["gc", "--dry-run"]):
        terminal = Terminal(columns)
        environ = bench.environment(TERM="xterm-256color", NO_COLOR="1")
        command, *options = arguments
        process = bench.start(command, "organism.yaml", *options, env=environ, stdout=terminal.theirs)
        lines = terminal.read(process).decode().splitlines()
        assert process.returncode == 0
        assert all(len(line) <= columns for line in lines), arguments
        if command == "threads":
            assert all(any(one["thread"][: 36 if whole else 8] in line for line in lines) for one in ran["threads"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--state", "gone"], "--state 'gone' is not one of active, waiting, done, failed"),
        (["--limit", "0"], "--limit '0' is not a number of rows"),
        (["--limit", "many"], "--limit 'many' is not a number of rows"),
        (["--older-than", "soon"], "--older-than: 'soon' is not a duration"),
        (["--json", "--jsonl"], "--json and --jsonl exclude each other"),
    ],
)
def test_2_for_wrong_options(bench: Bench, arguments: list[str], sentence: str) -> None:
    in_sqlite(bench).organism("echo")
    looked = bench.run("threads", "organism.yaml", *arguments)
    assert (looked.returncode, looked.stdout) == (2, b"")
    assert sentence in looked.stderr.decode()
    assert looked.stderr.count(b"\n") == 1


def test_a_listener_that_nobody_knows_is_a_mistake_and_one_that_has_not_run_is_none(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo", "sleeper")
    stored.run(ECHO)

    wrong = bench.run("threads", "organism.yaml", "--listener", "slepeer", "--json")
    by_backend = bench.run("threads", *stored.options, "--listener", "ecco")

    assert (wrong.returncode, wrong.stdout, by_backend.returncode) == (2, b"", 2)
    assert b"there is no listener 'slepeer', nor has one of that name run; did you mean sleeper?" in wrong.stderr
    assert b"did you mean echo?" in by_backend.stderr
    assert "none of 2 threads matches" in stored.text("threads", "--listener", "sleeper")


def test_a_conversation_that_is_not_there_is_called_one(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)

    as_thread = bench.run("threads", "organism.yaml", "nope")
    as_conversation = bench.run("threads", "organism.yaml", "-c", "nope")

    assert b"there is no thread whose id begins with 'nope'" in as_thread.stderr
    assert b"there is no conversation whose id begins with 'nope'" in as_conversation.stderr
