"""The shell script and the GitHub Actions workflow of the docs do what they say, in a folder made by `xpipe init`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs.pages import REPOSITORY
from xpipe.cli.init import init

pytestmark = pytest.mark.timeout(600)
EXAMPLES = REPOSITORY / "docs" / "examples"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    init("notes")
    return tmp_path / "notes"


PATIENCE = 300


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # What is installed already is not to be looked for in the network.
    environ = os.environ | {"PATH": PATH, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def titles(answers: Path) -> list[str]:
    lines = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    return sorted(line["payload"]["title"] for line in lines if line["kind"] == "response")


@pytest.mark.slow
def test_the_script_answers_each_message_of_a_file_once_and_goes_on_where_it_was(folder: Path) -> None:
    script = (str(EXAMPLES / "batch.sh"), "organism.yaml", "input.jsonl", "answers.jsonl")

    first = run(folder, *script)
    again = run(folder, *script)

    assert (first.returncode, first.stdout) == (0, "3 answers, 0 of them faults\n"), first.stderr
    assert (again.returncode, again.stdout) == (0, "3 answers, 0 of them faults\n"), again.stderr
    assert titles(folder / "answers.jsonl") == ["Monday", "Tuesday", "Wednesday"]


@pytest.mark.slow
def test_the_script_lists_what_failed_and_ends_with_1(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"title": "Empty", "text": ""}\n{"title": "Full", "text": "words"}\n')

    ended = run(folder, str(EXAMPLES / "batch.sh"), "organism.yaml", "bad.jsonl", "answers.jsonl")

    assert (ended.returncode, ended.stdout) == (1, "2 answers, 1 of them faults\n"), ended.stderr
    assert json.loads(ended.stderr.splitlines()[0])["listener"] == "count"
    assert titles(folder / "answers.jsonl") == ["Full"]


@pytest.mark.slow
def test_every_step_of_the_workflow_succeeds(folder: Path) -> None:
    (folder / "requirements.txt").write_text("xpipe\npytest\n")
    workflow = yaml.safe_load((EXAMPLES / "organism.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]

    for step in steps:
        done = run(folder, "bash", "-eo", "pipefail", "-c", step["run"])
        assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"

    assert [step["name"] for step in steps][:3] == [
        "Install",
        "Check, with annotations at the lines that are wrong",
        "Test",
    ]
    assert titles(folder / "answers.jsonl") == ["Hello", "Monday", "Tuesday", "Wednesday"]
