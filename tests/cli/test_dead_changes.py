"""`xpipe dead retry` and `drop`: what they would do is told first, and done with --yes."""

from __future__ import annotations

import json
import sqlite3

import pytest

from cli.bench import Bench, wait_until
from cli.given_up import BROKEN, MOODY_ONE, MOODY_TWO, dead, listed, make, mend, numbers
from cli.stored import STATE_FILE, Stored, in_sqlite


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_without_yes_it_only_says_what_it_would_do(stored: Stored, command: str) -> None:
    stored.organism("broken")
    stored.run(BROKEN, BROKEN, BROKEN)
    before = stored.jsonl("threads"), listed(stored)

    for arguments in (["1", "3"], ["--older-than", "0", "--listener", "broken"], ["--all", "--json"]):
        told = dead(stored, command, *arguments)
        count = 2 if arguments[0] == "1" else 3
        assert told.returncode == 0
        assert told.stderr.decode() == f"xpipe: nothing was changed; add --yes to {command} {count} dead letters\n"
        if "--json" in arguments:
            document = json.loads(told.stdout)
            assert document["dry_run"] is True
            assert [row["number"] for row in document["dead_letters"]] == [1, 2, 3]
        else:
            assert told.stdout.decode().endswith(f"\n\nwould {command} {count} dead letters\n")

    assert (stored.jsonl("threads"), listed(stored)) == before


def test_retried_ones_are_new_conversations_that_tell_where_they_come_from(stored: Stored) -> None:
    make(stored, "moody")
    ran = stored.run(MOODY_ONE, MOODY_TWO)
    failed = {one["conversation"] for one in ran["outputs"]}
    mend(stored)

    retried = dead(stored, "retry", "--all", "--yes")

    told = "xpipe: no run of bench is active; the messages wait for `xpipe run organism.yaml --resume`\n"
    assert (retried.returncode, retried.stderr.decode()) == (0, told)
    anew = retried.stdout.decode().split()
    assert len(set(anew)) == 2
    assert listed(stored) == []
    resumed = stored.bench.run("run", "organism.yaml", "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    outputs = json.loads(resumed.stdout)["outputs"]
    assert {one["conversation"]: one["payload"] for one in outputs}.keys() == set(anew)
    assert sorted(one["payload"]["text"] for one in outputs) == ["done one", "done two"]
    rows = {row["conversation"]: row["retried_from"] for row in stored.jsonl("outputs")}
    assert {rows[id] for id in anew} == failed
    assert {rows[id] for id in failed} == {None}
    chains = [row["chain"] for row in stored.jsonl("threads") if row["conversation"] == anew[0]]
    assert chains == ["system.bench.retry-1.moody", "system.bench.retry-1"]


def test_what_failed_in_a_killed_and_resumed_run_succeeds_when_it_is_retried(stored: Stored) -> None:
    make(stored, "moody", "slow_at_first")
    stored.kill_a_run("began", MOODY_ONE, 'slow_at_first={"text": "began"}', outputs=1)
    resumed = stored.bench.run("run", "organism.yaml", "--resume", "--json")
    kinds = sorted(one["kind"] for one in json.loads(resumed.stdout)["outputs"])
    assert (resumed.returncode, kinds) == (1, ["fault", "response"])
    [letter] = listed(stored, "--listener", "moody")
    mend(stored)

    retried = dead(stored, "retry", str(letter["number"]), "--yes", "--json")

    assert retried.returncode == 0
    [row] = json.loads(retried.stdout)["dead_letters"]
    assert (row["conversation"], row["problem"]) == (letter["conversation"], None)
    again = stored.bench.run("run", "organism.yaml", "--resume", "--json")
    assert again.returncode == 0, again.stderr
    [output] = json.loads(again.stdout)["outputs"]
    assert (output["conversation"], output["payload"]) == (row["retried_as"], {"text": "done one"})
    assert listed(stored) == []


def test_a_run_that_serves_does_what_is_retried_beside_it(bench: Bench, shared: str) -> None:
    stored = Stored(bench, shared, ())
    make(stored, "moody")
    served = bench.folder / "served"
    with open(served, "wb") as stdout:
        process = bench.start("run", "organism.yaml", "--serve", "--send", MOODY_ONE, stdout=stdout)
    wait_until(lambda: served.read_bytes().count(b"\n") == 1)
    assert [row["fault"]["code"] for row in listed(stored)] == ["exception"]
    mend(stored)

    retried = dead(stored, "retry", "1", "--yes")

    assert (retried.returncode, retried.stderr) == (0, b"")
    wait_until(lambda: served.read_bytes().count(b"\n") == 2)
    answer = json.loads(served.read_bytes().splitlines()[1])
    assert (answer["conversation"], answer["payload"]) == (retried.stdout.decode().strip(), {"text": "done one"})
    process.terminate()
    process.communicate(timeout=20)


def test_1_when_a_damaged_message_cannot_be_retried_and_the_others_are(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("broken")
    stored.run(BROKEN, BROKEN)
    with sqlite3.connect(bench.folder / STATE_FILE) as file:
        file.execute("UPDATE dead SET message = x'c1' WHERE n = 1")
    [damaged, whole] = listed(stored)
    assert (damaged["kind"], damaged["listener"], damaged["payload"]) == ("damaged", "broken", None)
    assert "is damaged" in damaged["problem"]
    assert damaged["conversation"] not in ("", whole["conversation"])
    assert "\npayload\n   it is damaged" in dead(stored, "show", "1").stdout.decode()
    sentence = b"xpipe: dead letter 1: its message cannot be read: it is damaged"

    dry = dead(stored, "retry", "--all")
    done = dead(stored, "retry", "--all", "--yes", "--json")

    assert dry.returncode == 1
    assert b"\nwould retry 1 dead letter\n" in dry.stdout
    assert dry.stderr.startswith(sentence)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    first, second = json.loads(done.stdout)["dead_letters"]
    assert (first["retried_as"], "cannot be read" in first["problem"]) == (None, True)
    assert second["retried_as"] in {row["conversation"] for row in stored.jsonl("threads", "--state", "active")}
    assert numbers(stored) == [1]
    assert dead(stored, "drop", "1", "--yes").stdout == b"dropped 1 dead letter\n"


def test_1_when_a_message_only_tells_of_a_failure(stored: Stored) -> None:
    make(stored, "sulk", "forget_sulk")
    stored.run("forget_sulk={}")
    [number] = numbers(stored, "--code", "sulking")

    retried = dead(stored, "retry", str(number), "--yes")

    assert (retried.returncode, retried.stdout) == (1, b"")
    assert b"its message is no work to be done again" in retried.stderr
    assert retried.stderr.count(b"\n") == 1
    assert numbers(stored, "--code", "sulking") == [number]


def test_dropped_ones_are_gone_and_the_others_stay(stored: Stored) -> None:
    make(stored, "broken", "moody")
    stored.run(BROKEN)
    stored.run(MOODY_ONE)
    stored.run(BROKEN)

    assert dead(stored, "drop", "--listener", "moody", "--yes").stdout == b"dropped 1 dead letter\n"
    assert numbers(stored) == [1, 3]
    document = json.loads(dead(stored, "drop", "3", "--yes", "--json").stdout)
    assert document["dry_run"] is False
    assert [row["number"] for row in document["dead_letters"]] == [3]
    assert numbers(stored) == [1]
    assert len(stored.jsonl("outputs")) == 3


def test_2_and_nothing_is_changed_for_an_unknown_number(stored: Stored) -> None:
    stored.organism("broken")
    stored.run(BROKEN)
    for command, *arguments in (["show", "99"], ["retry", "1", "99", "--yes"], ["drop", "1", "99", "--yes"]):
        found = dead(stored, command, *arguments)
        assert (found.returncode, found.stdout) == (2, b"")
        assert found.stderr == b"xpipe: there is no dead letter 99; `xpipe dead list` shows their numbers\n"
    assert numbers(stored) == [1]
