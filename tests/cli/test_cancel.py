"""`xpipe cancel`: conversations end with everything that is under way in them, whoever runs them."""

from __future__ import annotations

import json
import subprocess

import pytest

from cli.bench import Bench, is_alive, wait_until
from cli.stored import SQLITE, Stored, in_sqlite

FOR_EVER = 'sleeper={"text": "asleep", "seconds": 600}'


def conversation_of(bench: Bench, listener: str) -> str:
    """The only conversation with a thread of `listener`."""
    looked = bench.run("threads", "organism.yaml", "--listener", listener, "--json")
    [thread] = json.loads(looked.stdout)["threads"]
    return str(thread["conversation"])


def leave_unfinished(stored: Stored, *sends: str) -> list[str]:
    """Conversations that nobody runs."""
    sent = stored.bench.run("send", "organism.yaml", *sends)
    assert sent.returncode == 0, sent.stderr
    return sent.stdout.decode().split()


def cancel(bench: Bench, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return bench.run("cancel", "organism.yaml", *arguments, stdin=stdin)


def test_a_run_stops_working_for_it_and_its_other_conversations_go_on(bench: Bench, shared: str) -> None:
    organism = bench.organism("sleeper", "waiter", extra=shared)
    other = 'waiter={"text": "other"}'
    process = bench.start("run", organism, "--json", "--send", FOR_EVER, "--send", other)
    wait_until(lambda: all((bench.folder / name).exists() for name in ("asleep", "other")))
    looked = json.loads(bench.run("threads", "organism.yaml", "--listener", "sleeper", "--json").stdout)["threads"]
    first = next(row["conversation"] for row in looked if row["chain"].startswith("system.bench.cli-1."))

    cancelled = cancel(bench, first[:30], "--reason", "no longer needed")

    assert (cancelled.returncode, cancelled.stderr) == (0, b"")
    assert cancelled.stdout.decode() == f"cancelled {first}\n"
    (bench.folder / "go").touch()
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr
    outputs = {one["conversation"]: one for one in json.loads(stdout)["outputs"]}
    fault = outputs.pop(first)
    assert (fault["kind"], fault["payload"]["code"]) == ("fault", "cancelled")
    assert fault["payload"]["text"] == "the conversation was cancelled: no longer needed"
    [answer] = outputs.values()
    assert answer["payload"] == {"text": "waited"}


def test_work_in_a_worker_process_ends_too(bench: Bench) -> None:
    organism = bench.organism("busy", extra=SQLITE)
    busy = 'busy={"text": "working", "seconds": 600}'
    process = bench.start("run", organism, "--json", "--workers", "1", "--send", busy)
    wait_until(lambda: (bench.folder / "working").exists())
    worker = int((bench.folder / "working").read_text())

    assert cancel(bench, conversation_of(bench, "busy")).returncode == 0

    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr
    assert [one["payload"]["code"] for one in json.loads(stdout)["outputs"]] == ["cancelled"]
    assert not is_alive(worker)


def test_what_nobody_runs_is_cancelled_and_a_later_run_prints_that(stored: Stored) -> None:
    stored.organism("sleeper")
    stored.kill_a_run("asleep", FOR_EVER)
    id = conversation_of(stored.bench, "sleeper")

    assert stored.text("cancel", id[:30]) == f"cancelled {id}\n"

    [row] = stored.jsonl("outputs")
    assert (row["conversation"], row["payload"]["code"], row["delivered"]) == (id, "cancelled", False)
    assert row["payload"]["text"] == "the conversation was cancelled: it was asked for"
    assert not stored.jsonl("threads", "--state", "active", "--state", "waiting")
    resumed = stored.bench.run("run", "organism.yaml", "--resume", "--json")
    assert resumed.returncode == 1, resumed.stderr
    assert [one["payload"]["code"] for one in json.loads(resumed.stdout)["outputs"]] == ["cancelled"]


def test_several_are_cancelled_each_once_and_told_of_in_json(stored: Stored) -> None:
    stored.organism("echo")
    one, two, stays = leave_unfinished(stored, "echo={}", "echo={}", "echo={}")

    document = stored.json("cancel", one, two[:30], one)

    cancelled = [{"conversation": id, "cancelled": True} for id in (one, two)]
    assert document == {"schema_version": 1, "conversations": cancelled}
    assert {row["conversation"] for row in stored.jsonl("threads", "--state", "active")} == {stays}


def test_ids_are_read_from_stdin_one_a_line(stored: Stored) -> None:
    stored.organism("echo")
    ids = leave_unfinished(stored, "echo={}", "echo={}")

    cancelled = cancel(stored.bench, "-", stdin="\n".join([*ids, "", ids[0]]).encode())

    assert (cancelled.returncode, cancelled.stderr) == (0, b"")
    assert cancelled.stdout.decode().splitlines() == [f"cancelled {id}" for id in ids]
    nothing = cancel(stored.bench, "-")
    assert (nothing.returncode, nothing.stdout) == (0, b"")
    assert b"no ids on stdin" in nothing.stderr


def test_2_for_what_is_unknown_or_over_and_the_others_are_cancelled(stored: Stored) -> None:
    stored.organism("echo")
    [over] = {one["conversation"] for one in stored.run("echo={}")["outputs"]}
    [runs] = leave_unfinished(stored, "echo={}")

    cancelled = cancel(stored.bench, over, "nothing-like-this", runs, "--json")

    assert cancelled.returncode == 2
    rows = json.loads(cancelled.stdout)["conversations"]
    assert rows == [{"conversation": over, "cancelled": False}, {"conversation": runs, "cancelled": True}]
    first, second = cancelled.stderr.decode().splitlines()
    assert first == f"xpipe: the conversation {over} has already ended; `xpipe outputs` shows its outputs"
    assert second.startswith("xpipe: there is no conversation whose id begins with 'nothing-like-this'")
    assert [row["kind"] for row in stored.jsonl("outputs", over)] == ["response"]
    again = cancel(stored.bench, runs)
    assert (again.returncode, again.stdout) == (2, b"")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["organism.yaml"], "no conversation; pass its id or a unique prefix, or - to read ids from stdin"),
        (["organism.yaml", "-", "-"], "- is given twice"),
        (["organism.yaml", "3f2a", "--reason", "\udcff"], "--reason is not valid UTF-8"),
        (["organism.yaml", "\udcff"], "not valid UTF-8"),
        (["organism.yaml", ""], "an empty id could be any"),
    ],
)
def test_2_for_a_wrong_command_line(bench: Bench, arguments: list[str], sentence: str) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    leave_unfinished(stored, "echo={}")
    cancelled = bench.run("cancel", *arguments)
    assert (cancelled.returncode, cancelled.stdout) == (2, b"")
    assert sentence in cancelled.stderr.decode()
    assert cancelled.stderr.count(b"\n") == 1


def test_4_on_a_memory_backend_and_where_nothing_has_run_yet(bench: Bench) -> None:
    bench.organism("echo")
    cancelled = cancel(bench, "3f2a")
    assert (cancelled.returncode, cancelled.stdout) == (4, b"")
    assert b"exists only during a run" in cancelled.stderr
    in_sqlite(bench).organism("echo")
    cancelled = cancel(bench, "3f2a")
    assert (cancelled.returncode, cancelled.stdout) == (4, b"")
    assert b"run one" in cancelled.stderr


def test_a_backend_is_found_without_its_organism_and_the_users_code_is_not_run(stored: Stored) -> None:
    stored.organism("echo")
    [id] = leave_unfinished(stored, "echo={}")
    (stored.bench.folder / "handlers.py").write_text("open('ran', 'w').close()")

    cancelled = stored.bench.run("cancel", *stored.options, id)

    assert (cancelled.returncode, cancelled.stdout.decode()) == (0, f"cancelled {id}\n")
    assert not (stored.bench.folder / "ran").exists()
