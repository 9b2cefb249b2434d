"""`xpipe gc`: what is over goes, what lives stays, and a dry run only says so."""

from __future__ import annotations

import json
import signal
import sqlite3
from typing import Any

import pytest

from cli.bench import Bench, wait_until
from cli.stored import STATE_FILE, Stored, in_sqlite

ECHO = 'echo={"text": "hello"}'
FOR_EVER = 'sleeper={"text": "asleep", "seconds": 60}'
ALL = ("--older-than", "0")


def collected(stored: Stored, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = stored.json("gc", *options)["collected"]
    return found


def test_all_that_is_over_goes_and_the_root_stays(stored: Stored) -> None:
    stored.organism("spread", "busy", "broken")
    ran = stored.run('spread={"items": 2}', "broken={}")

    found = stored.json("gc", *ALL)

    assert found["collected"] == {
        "conversations": {"cancelled": 0, "done": 1, "failed": 1},
        "threads": len(ran["threads"]),
        "slots": sum(one["slots"] for one in ran["threads"]),
        "bytes": sum(one["bytes"] for one in ran["threads"]),
        "undelivered_outputs": 0,
        "dead_pumps": 0,
        "handed_back": 0,
        "dead_letters": 1,
        "orphans": [],
    }
    assert (found["dry_run"], found["damaged"], found["kept"]) == (False, None, {"running": 0, "over": 0})
    assert [row["kind"] for row in stored.jsonl("registry")] == ["root"]


def test_people_are_told_what_was_freed(stored: Stored) -> None:
    stored.organism("echo", "broken")
    stored.run(ECHO, "broken={}")
    text = stored.text("gc", *ALL)
    assert text.startswith("collected:\n  2 conversations (1 done, 1 failed)\n    4 threads, 4 slots, ")
    assert "\n  1 dead letter\n" in text
    assert stored.text("gc", *ALL) == "nothing to collect\n"


def test_a_dry_run_says_the_same_and_changes_nothing(stored: Stored) -> None:
    stored.organism("echo", "broken", "sleeper")
    stored.run(ECHO, "broken={}")
    stored.kill_a_run("asleep", 'echo={"text": "unheard"}', FOR_EVER, outputs=1)
    before = stored.jsonl("threads"), stored.jsonl("registry"), stored.jsonl("outputs")

    plan = stored.json("gc", *ALL, "--dry-run")

    assert plan["dry_run"] is True
    assert (stored.jsonl("threads"), stored.jsonl("registry"), stored.jsonl("outputs")) == before
    assert stored.text("gc", *ALL, "--dry-run").startswith("would collect:\n  3 conversations (2 done, 1 failed)\n")
    done = stored.json("gc", *ALL)
    handed_back = done["collected"].pop("handed_back")
    assert (plan["collected"].pop("handed_back"), handed_back) == (0, 1)
    assert done == plan | {"dry_run": False}


def test_what_ended_within_the_retention_stays(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    assert collected(stored)["threads"] == 0
    assert stored.text("gc") == "nothing to collect\nkept: 1 conversation (1 over)\n"
    assert collected(stored, "--older-than", "1h")["threads"] == 0
    assert len(stored.jsonl("threads")) == 2


def test_the_retention_is_that_of_the_organism(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.settings = stored.settings.replace("}", ", retention: 0}")
    stored.organism("echo")
    stored.run(ECHO)
    assert collected(stored)["threads"] == 2


def test_a_state_chooses_conversations(stored: Stored) -> None:
    stored.organism("echo", "broken")
    stored.run(ECHO, "broken={}")
    assert collected(stored, *ALL, "--state", "failed")["conversations"] == {"failed": 1}
    assert {row["listener"] for row in stored.jsonl("threads")} == {"cli-1", "echo"}


def test_the_dead_letters_of_conversations_that_a_state_keeps_stay(stored: Stored) -> None:
    stored.organism("echo", "broken")
    stored.run(ECHO, "broken={}")
    assert stored.json("gc", *ALL, "--state", "done", "--dry-run")["collected"]["dead_letters"] == 0
    kept = collected(stored, *ALL, "--state", "done")
    assert (kept["conversations"], kept["dead_letters"]) == ({"done": 1}, 0)
    assert collected(stored, *ALL, "--state", "failed")["dead_letters"] == 1


def test_live_work_is_never_touched_and_the_run_goes_on(stored: Stored) -> None:
    stored.organism("echo", "waiter")
    sends = ["--send", ECHO, "--send", 'waiter={"text": "waits"}']
    process = stored.bench.start("run", "organism.yaml", "--format", "jsonl", *sends)
    wait_until(lambda: (stored.bench.folder / "waits").exists())

    found = stored.json("gc", *ALL, "--verify")

    assert found["kept"]["running"] == 1
    assert found["collected"]["dead_pumps"] == 0
    (stored.bench.folder / "go").touch()
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    texts = [json.loads(line)["payload"]["text"] for line in stdout.splitlines()]
    assert sorted(texts) == ["hello", "waited"]


def test_what_a_killed_run_had_claimed_is_handed_back_and_can_be_resumed(stored: Stored) -> None:
    stored.organism("waiter")
    stored.kill_a_run("waits", 'waiter={"text": "waits"}')

    found = stored.json("gc", *ALL)

    assert (found["collected"]["dead_pumps"], found["collected"]["handed_back"]) == (1, 1)
    assert found["kept"] == {"running": 1, "over": 0}
    (stored.bench.folder / "go").touch()
    resumed = stored.bench.run("run", "organism.yaml", "--resume", "--json")
    assert [one["payload"] for one in json.loads(resumed.stdout)["outputs"]] == [{"text": "waited"}]


def test_outputs_that_nobody_has_seen_are_told_of(stored: Stored) -> None:
    stored.organism("echo", "sleeper")
    stored.kill_a_run("asleep", ECHO, FOR_EVER, outputs=1)
    assert "1 output that no run had printed; `xpipe outputs --undelivered`" in stored.text("gc", *ALL, "--dry-run")
    assert collected(stored, *ALL)["undelivered_outputs"] == 1


def test_1_and_the_place_when_something_stored_is_damaged(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    ran = stored.run(ECHO, ECHO)
    thread = next(one["thread"] for one in ran["threads"] if one["listener"] == "echo")
    with sqlite3.connect(bench.folder / STATE_FILE) as file:
        [(n, size)] = file.execute("SELECT n, bytes FROM records WHERE id = ?", [thread]).fetchall()
        file.execute("UPDATE slots SET data = zeroblob(?) WHERE thread = ?", [size, n])

    dry = bench.run("gc", "organism.yaml", "--verify", "--dry-run")
    found = bench.run("gc", "organism.yaml", "--verify", "--json")

    assert dry.returncode == 1
    assert f"damaged: slot 0 of the thread {thread}: it is damaged" in dry.stdout.decode()
    assert b"set aside" not in dry.stdout
    assert found.returncode == 1
    [damage] = json.loads(found.stdout)["damaged"]
    assert (damage["key"], damage["set_aside"]) == (f"slot 0 of the thread {thread}", True)
    assert "verified: nothing is damaged" in stored.text("gc", "--verify")
    assert stored.jsonl("threads", thread)[0]["problem"].startswith("it was damaged and set aside")


def test_a_file_that_is_no_database_any_more_is_one_sentence(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)
    file = bench.folder / STATE_FILE
    file.write_bytes(b"x" * file.stat().st_size)
    found = bench.run("gc", "organism.yaml", "--verify")
    assert (found.returncode, found.stdout) == (4, b"")
    assert found.stderr.count(b"\n") == 1
    assert str(file).encode() in found.stderr


def test_a_run_that_waits_for_more_keeps_the_outputs_it_is_about_to_print(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo", "sleeper")
    process = bench.start("run", "organism.yaml", "--grace", "0", "--send", ECHO, "--send", FOR_EVER)
    wait_until(lambda: (bench.folder / "asleep").exists())
    wait_until(lambda: stored.jsonl("outputs", "--undelivered"))

    found = stored.json("gc", *ALL)

    assert found["kept"] == {"running": 1, "over": 1}
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=20)
    assert b"text: hello" in stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--state", "running"], "--state 'running' is not one of done, failed"),
        (["--older-than", "-1"], "--older-than: '-1' is not a duration"),
    ],
)
def test_2_for_wrong_options(bench: Bench, arguments: list[str], sentence: str) -> None:
    in_sqlite(bench).organism("echo")
    found = bench.run("gc", "organism.yaml", *arguments)
    assert (found.returncode, found.stdout) == (2, b"")
    assert sentence in found.stderr.decode()
