"""`xpipe trace` through the real executable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.bench import Bench, wait_until
from cli.stored import SQLITE, Stored, rows

SPREAD = 'spread={"items": 3, "seconds": 0.001}'


@pytest.fixture
def lasting(bench: Bench) -> Stored:
    """An organism whose state is in a file."""
    stored = Stored(bench, SQLITE, ())
    stored.organism("spread", "busy", "broken", "sleeper")
    return stored


def test_a_conversation_is_told_as_a_tree_on_every_backend(stored: Stored) -> None:
    stored.organism("spread", "busy", "broken", "sleeper")
    stored.run(SPREAD)

    document = stored.json("trace", "cli-1", "--payloads")

    facts = document["conversation"]
    assert (facts["initiator"], facts["state"], facts["retries"], facts["damaged"]) == ("cli-1", "done", 0, 0)
    told = [(call["depth"], call["to"], call["state"]) for call in document["calls"]]
    assert told == [(0, "spread", "done"), (1, "system.buffer", "done"), *[(2, "busy", "done")] * 3]
    top = document["calls"][0]
    assert (top["payload"]["items"], top["reply"]["payload"]) == (3, {"text": "3 of 3"})
    by_name = stored.json("trace", facts["conversation"][:8])
    assert by_name["conversation"] == facts
    assert "payload" not in by_name["calls"][0]
    assert rows(stored.look("trace", "--jsonl").stdout) == by_name["calls"]


def test_people_see_a_tree_with_bars(lasting: Stored) -> None:
    lasting.run(SPREAD, 'broken={"text": "this"}')

    spread, broken = lasting.text("trace", "cli-1", "--limit", "2"), lasting.text("trace", "cli-2", "--payloads")

    assert "└─ system.buffer  BufferStart -> BufferComplete" in spread
    assert "   ├─ busy  Ask " in spread
    assert "   └─ 1 more of busy" in spread
    assert "--limit N or --limit all shows more" in spread
    assert "█" in spread
    assert "failed: exception" in broken
    assert "text: ValueError: cannot do this" in broken.replace('"', "")


def test_without_an_id_the_newest_conversation_is_shown(lasting: Stored) -> None:
    lasting.run('broken={"text": "first"}', SPREAD)

    assert lasting.json("trace")["conversation"]["initiator"] == "cli-2"


def test_following_tells_what_happens_until_the_end(bench: Bench, lasting: Stored) -> None:
    running = bench.start("run", "organism.yaml", "--send", 'sleeper={"text": "begun", "seconds": 1}')
    wait_until((bench.folder / "begun").exists)

    lines = rows(lasting.look("trace", "cli-1", "--follow", "--jsonl").stdout)

    assert [(line["listener"], line["fault"]) for line in lines] == [("sleeper", None)]
    assert running.wait(timeout=30) == 0
    text = lasting.text("trace", "--follow")
    assert "sleeper  done in " in text
    assert "sleeper  Ask -> Told" in text


def test_following_what_nobody_runs_says_so_and_how_far_it_is(lasting: Stored) -> None:
    sent = lasting.bench.run("send", "organism.yaml", "sleeper={}")
    following = lasting.bench.start("trace", "organism.yaml", "--follow", "--payloads")
    assert following.stdout is not None
    assert following.stderr is not None

    told = following.stderr.readline().decode()

    assert told == ("xpipe: no run works on this conversation; continue it with `xpipe run organism.yaml --resume`\n")
    head = [following.stdout.readline().decode() for _ in range(4)]
    assert head[0] == f"send-1  {sent.stdout.decode().strip()}  running\n"
    assert "  sleeper  waits, sent " in head[3]
    lasting.bench.run("cancel", "organism.yaml", "send-1")
    rest, _ = following.communicate(timeout=20)
    assert "send-1 -> sleeper  Ask" in rest.decode()
    assert following.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nothing"], 2, "there is no conversation whose id begins with 'nothing'"),
        (["cli-99"], 2, "there is no conversation whose id begins with 'cli-99'"),
        (["--follow", "--json"], 2, "--follow does not work with --json"),
        (["--follow", "--jsonl", "--payloads"], 2, "attempts, which have no payloads"),
        (["--limit", "0"], 2, "--limit '0' is not a number of rows"),
        (["a", "b"], 2, "see xpipe trace --help"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_sentence(
    lasting: Stored, arguments: list[str], code: int, text: str
) -> None:
    lasting.run('broken={"text": "this"}')

    looked = lasting.bench.run("trace", "organism.yaml", *arguments)

    assert (looked.returncode, looked.stdout) == (code, b"")
    assert text in looked.stderr.decode()
    assert looked.stderr.count(b"\n") == 1


def test_an_empty_backend_says_so(lasting: Stored) -> None:
    document: dict[str, Any] = json.loads(lasting.bench.run("run", "organism.yaml", "--json").stdout)
    assert document["outputs"] == []

    looked = lasting.bench.run("trace", "organism.yaml")

    assert (looked.returncode, looked.stdout) == (2, b"")
    assert b"no conversation: nothing has run yet" in looked.stderr
