"""hello: the tour of the README keeps its promises."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

XpipeRun = Callable[..., subprocess.CompletedProcess[str]]
ORGANISM = "organisms/hello/organism.yaml"


def texts(document: dict[str, Any]) -> list[str]:
    return sorted(output["payload"]["text"] for output in document["outputs"] if output["kind"] == "response")


def test_everybody_in_the_file_is_greeted_by_the_greeter(xpipe_run: XpipeRun) -> None:
    run = xpipe_run(ORGANISM, "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert texts(document) == ["Hello, Ada!", "Hello, Grace!"]
    assert {(output["from"], output["type"]) for output in document["outputs"]} == {("greeter", "Greeted")}
    assert document["faults"] == []


def test_each_greeting_is_a_conversation_of_its_own(xpipe_run: XpipeRun) -> None:
    document = json.loads(xpipe_run(ORGANISM, "--json").stdout)
    assert len({output["conversation"] for output in document["outputs"]}) == 2


def test_the_tables_show_both_greetings(xpipe_run: XpipeRun) -> None:
    run = xpipe_run(ORGANISM)
    assert run.returncode == 0, run.stderr
    assert "Hello, Ada!" in run.stdout
    assert "Hello, Grace!" in run.stdout


@pytest.mark.parametrize("greeting", ['{"name": "Linus"}', "<Greeting><name>Linus</name></Greeting>"])
def test_a_greeting_can_be_sent_as_json_or_xml(xpipe_run: XpipeRun, greeting: str) -> None:
    run = xpipe_run(ORGANISM, "--send", f"greeter={greeting}", "--json")
    assert run.returncode == 0, run.stderr
    assert texts(json.loads(run.stdout)) == ["Hello, Ada!", "Hello, Grace!", "Hello, Linus!"]


def test_greetings_are_read_from_a_file(xpipe_run: XpipeRun) -> None:
    run = xpipe_run(ORGANISM, "--input", "organisms/hello/more.jsonl", "--json")
    assert run.returncode == 0, run.stderr
    assert texts(json.loads(run.stdout)) == ["Hello, Ada!", "Hello, Barbara!", "Hello, Grace!", "Hello, Katherine!"]


def test_what_is_no_greeting_is_a_fault_and_the_others_are_greeted(xpipe_run: XpipeRun) -> None:
    run = xpipe_run(ORGANISM, "--send", 'greeter={"nome": "Linus"}', "--json")
    assert run.returncode == 1, run.stderr
    document = json.loads(run.stdout)
    assert texts(document) == ["Hello, Ada!", "Hello, Grace!"]
    assert [output["kind"] for output in document["outputs"]].count("fault") == 1


def test_what_a_run_has_left_can_be_looked_at_from_outside(xpipe: XpipeRun) -> None:
    nothing = xpipe("threads", ORGANISM)
    assert (nothing.returncode, nothing.stdout) == (4, "")
    assert "there is no state of an organism yet; run one" in nothing.stderr

    xpipe("run", ORGANISM)

    listed = json.loads(xpipe("threads", ORGANISM, "--json").stdout)["threads"]
    assert sorted(one["listener"] for one in listed) == ["greeter", "greeter", "yaml-1", "yaml-2"]
    assert {one["state"] for one in listed} == {"done"}


def test_each_run_shows_what_it_has_done_itself(xpipe: XpipeRun) -> None:
    xpipe("run", ORGANISM)
    document = json.loads(xpipe("run", ORGANISM, "--json").stdout)
    assert sorted(one["listener"] for one in document["threads"]) == ["greeter", "greeter", "yaml-3", "yaml-4"]
    assert len(document["registry"]) == 5
    assert len(json.loads(xpipe("outputs", ORGANISM, "--json").stdout)["outputs"]) == 4
