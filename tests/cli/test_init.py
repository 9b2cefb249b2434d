"""`xpipe init`: what it makes runs and passes as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import foreign
import pytest

from cli.bench import Bench
from xpipe.cli.init import FILES, init
from xpipe.config.loading import load_definition
from xpipe.core.errors import UsageError


@pytest.mark.slow
def test_what_is_made_is_checked_runs_and_passes_its_tests(bench: Bench) -> None:
    made = bench.run("init", "deep/weather")
    assert (made.returncode, made.stdout) == (0, b"")
    assert b"cd deep/weather" in made.stderr
    folder = bench.folder / "deep" / "weather"
    assert sorted(os.listdir(folder)) == sorted(FILES)

    checked = bench.run("check", folder / "organism.yaml", "--strict", "--json")
    assert (checked.returncode, json.loads(checked.stdout)["findings"]) == (0, [])
    ran = bench.run("run", folder / "organism.yaml", "--input", folder / "input.jsonl", "--jsonl")
    assert ran.returncode == 0
    payloads = [json.loads(line)["payload"] for line in ran.stdout.splitlines()]
    assert {payload["title"] for payload in payloads} == {"Hello", "Monday", "Tuesday", "Wednesday"}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    passed = subprocess.run(tests, cwd=folder, env=bench.environment(), capture_output=True, timeout=60, check=False)
    assert passed.returncode == 0, passed.stdout


def test_the_last_part_of_the_path_names_the_organism_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2026.5", "null", "ünïcode-1_x", "deep/down"):
        assert init(name) == 0
        assert load_definition(f"{name}/organism.yaml").name == name.rpartition("/")[2]


def test_nothing_is_overwritten_and_what_is_there_is_named(bench: Bench) -> None:
    folder = bench.folder / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    (folder / "handlers.py").symlink_to("nowhere")
    refused = bench.run("init", "mine")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"mine already has handlers.py and README.md, and existing files are never overwritten" in refused.stderr
    assert (folder / "README.md").read_text() == "mine"
    assert sorted(os.listdir(folder)) == ["README.md", "handlers.py"]


def test_a_folder_that_is_there_is_filled(bench: Bench) -> None:
    (bench.folder / "here").mkdir()
    (bench.folder / "here" / "notes.txt").write_text("mine")
    made = bench.start("init", ".", cwd=bench.folder / "here")
    _, stderr = made.communicate(timeout=30)
    assert made.returncode == 0
    assert b"cd " not in stderr
    assert 'name: "here"' in (bench.folder / "here" / "organism.yaml").read_text()


@pytest.mark.parametrize("name", ["", "a b", "_x", "-x", "x$y", "x\ny", "x" * 101, "/", "handlers.py/inside"])
def test_2_for_a_name_that_cannot_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handlers.py").touch()
    with pytest.raises(
        UsageError, match=rf"is not a name for an organism; use letters|cannot create .*: {foreign.NO_FOLDER}"
    ):
        init(name)
    assert os.listdir(tmp_path) == ["handlers.py"]


def test_a_path_back_through_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(UsageError, match=r"\.\./x/\.\. leads through \.\./x, which is not a folder"):
        init("../x/..")
    assert os.listdir(tmp_path) == ["inside"]


def test_a_path_with_steps_back_is_the_folder_that_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    assert init("../inside/../new") == 0
    assert load_definition("../new/organism.yaml").name == "new"
