"""`xpipe outputs`: what conversations have come to, whether it has been printed or not."""

from __future__ import annotations

import pytest

from cli.stored import Stored

ECHO = 'echo={"text": "hello"}'
FOR_EVER = 'sleeper={"text": "asleep", "seconds": 60}'


def test_outputs_are_those_of_the_run_oldest_first(stored: Stored) -> None:
    stored.organism("echo", "broken")
    ran = stored.run(ECHO, "broken={}", ECHO)

    rows = stored.json("outputs")["outputs"]

    names = ("conversation", "kind", "from", "type", "payload")
    found = [{name: row[name] for name in names} for row in rows]
    assert sorted(found, key=str) == sorted(ran["outputs"], key=str)
    assert [row["kind"] for row in rows] == ["response", "fault", "response"]
    assert [row["started"] for row in rows] == sorted(row["started"] for row in rows)
    assert all(row["delivered"] and row["ended"] >= row["started"] and row["problem"] is None for row in rows)
    assert stored.jsonl("outputs") == rows


def test_people_see_the_payloads(stored: Stored) -> None:
    stored.organism("echo", "broken")
    stored.run(ECHO, "broken={}")

    text = stored.text("outputs")

    assert "response  from echo  Told\n" in text
    assert "\n  text: hello\n" in text
    assert "fault  from broken  Fault\n" in text
    assert "\n  exception: ValueError: cannot do \n" in text
    assert "Traceback" not in text
    assert text.endswith("\n2 outputs\n")


def test_what_no_run_has_printed_is_undelivered_and_looking_does_not_deliver_it(stored: Stored) -> None:
    stored.organism("echo", "sleeper")
    stored.run(ECHO)
    stored.kill_a_run("asleep", 'echo={"text": "unheard"}', FOR_EVER, outputs=1)
    for _ in range(2):
        [row] = stored.jsonl("outputs", "--undelivered")
        assert (row["payload"], row["delivered"]) == ({"text": "unheard"}, False)
    assert [row["delivered"] for row in stored.jsonl("outputs")] == [True, False]
    assert "ago, not delivered\n" in stored.text("outputs")


def test_one_conversation_is_chosen_by_a_prefix_of_its_id(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO, 'echo={"text": "other"}')
    wanted = next(one for one in ran["outputs"] if one["payload"]["text"] == "other")

    assert [row["payload"] for row in stored.jsonl("outputs", wanted["conversation"][:20])] == [{"text": "other"}]


def test_a_limit_shows_the_oldest(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(ECHO, 'echo={"text": "second"}')
    text = stored.text("outputs", "--limit", "1")
    assert "hello" in text
    assert "second" not in text
    assert text.endswith("the oldest 1; --limit N or --limit all shows more\n")


@pytest.mark.parametrize("id", ["unknown", ""])
def test_2_for_an_unknown_conversation(stored: Stored, id: str) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    looked = stored.bench.run("outputs", "organism.yaml", id)
    assert (looked.returncode, looked.stdout) == (2, b"")
    assert looked.stderr.count(b"\n") == 1


def test_without_outputs_it_says_what_to_do(stored: Stored) -> None:
    stored.organism("echo", "sleeper")
    stored.run(ECHO)
    assert "leave out --undelivered" in stored.text("outputs", "--undelivered")
    stored.look("gc", "--older-than", "0")
    assert "start with `xpipe run`" in stored.text("outputs")
    stored.kill_a_run("asleep", FOR_EVER)
    [sleeper] = stored.jsonl("threads", "--listener", "sleeper")
    assert "has no outputs yet" in stored.text("outputs", sleeper["conversation"])
