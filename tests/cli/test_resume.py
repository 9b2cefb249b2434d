"""A run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

from cli.bench import Bench, wait_until

SQLITE = "backend: {type: sqlite, path: state/bench.db}\n"
ITEMS = 150


def killed_in_the_middle(bench: Bench) -> None:
    organism = bench.organism("sleeper", extra=SQLITE)
    lines = [json.dumps({"text": f"began-{number}", "seconds": 0.05}) for number in range(ITEMS)]
    (bench.folder / "in.jsonl").write_text("\n".join(lines))
    (bench.folder / "organism.yaml").write_text(
        organism.read_text().replace("timeout: 0", "timeout: 0, concurrency: 8")
    )
    process = bench.start("run", organism, "--input", "in.jsonl", "--out", "out.jsonl", "--format", "jsonl")
    wait_until(lambda: (bench.folder / "began-40").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_resume_finishes_every_conversation_of_a_killed_run_exactly_once(bench: Bench) -> None:
    killed_in_the_middle(bench)
    assert not (bench.folder / f"began-{ITEMS - 1}").exists(), "it was to be killed in the middle"

    resumed = bench.run("run", "organism.yaml", "--resume", "--json")

    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(resumed.stdout)
    answers = Counter(output["conversation"] for output in document["outputs"])
    injected = {entry["chain"] for entry in document["registry"] if entry["chain"].count(".") == 2}
    assert len(answers) == len(injected) > 40
    assert set(answers.values()) == {1}
    assert document["totals"]["in_flight"] == 0
    assert {thread["state"] for thread in document["threads"]} == {"done"}


def test_after_a_resume_nothing_is_left_to_resume(bench: Bench) -> None:
    killed_in_the_middle(bench)
    bench.run("run", "organism.yaml", "--resume")

    again = bench.run("run", "organism.yaml", "--resume", "--json")

    assert again.returncode == 0
    assert json.loads(again.stdout)["outputs"] == []


def test_a_plain_run_names_what_earlier_runs_left_unfinished(bench: Bench) -> None:
    killed_in_the_middle(bench)

    plain = bench.run("run", "organism.yaml", "--send", 'sleeper={"text": "plain"}')

    assert b"of earlier runs unfinished: " in plain.stderr
    assert b"run with --resume to go on with them" in plain.stderr
