"""Which organism file a command takes when none, or a folder, is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.bench import Bench
from cli.stored import SQLITE, STATE_FILE

ECHO = 'echo={"text": "hi"}'
EVERY = ["run", "threads", "registry", "outputs", "trace", "gc", "dead list", "check", "config", "graph", "schema"]


@pytest.fixture
def here(bench: Bench) -> Bench:
    """A folder with an organism.yaml that has run once."""
    bench.organism("echo", extra=SQLITE)
    assert bench.run("run", "organism.yaml", "--send", ECHO).returncode == 0
    return bench


@pytest.mark.parametrize("command", EVERY)
def test_the_file_of_the_current_folder_is_the_default(here: Bench, command: str) -> None:
    named, default = (here.run(*command.split(), *file) for file in (["organism.yaml"], []))
    assert (default.returncode, named.returncode) == (0, 0), default
    if command not in ("run", "gc"):
        assert without_ages(default.stdout) == without_ages(named.stdout)


def without_ages(text: bytes) -> list[bytes]:
    return [word for word in text.split() if not word.isdigit()]


@pytest.mark.parametrize("command", EVERY)
def test_a_folder_means_the_organism_file_in_it(here: Bench, command: str) -> None:
    elsewhere = here.folder / "elsewhere"
    elsewhere.mkdir()
    before = here.folder
    here.folder = elsewhere
    assert here.run(*command.split(), "..").returncode == 0
    assert here.run(*command.split(), before).returncode == 0
    (elsewhere / "organism.yml").write_text((before / "organism.yaml").read_text())
    (elsewhere / "handlers.py").write_text((before / "handlers.py").read_text())
    assert here.run("check", ".").returncode == here.run("check").returncode == here.run("run", ".").returncode == 0


def test_ids_and_messages_need_no_file_before_them(here: Bench) -> None:
    ran = json.loads(here.run("run", "--send", ECHO, "--json").stdout)
    thread, conversation = ran["threads"][-1]["thread"], ran["outputs"][0]["conversation"]
    assert json.loads(here.run("threads", thread, "--json").stdout)["thread"]["thread"] == thread
    assert here.run("outputs", conversation).stdout.count(b"text: hi") == 1
    assert here.run("trace", conversation).returncode == 0
    assert here.run("schema", "echo").stdout == here.run("schema", "organism.yaml", "echo").stdout
    (here.folder / "ask.yaml").write_text('{"text": "from a file"}')
    sent = here.run("send", ECHO, "echo=@ask.yaml")
    assert (sent.returncode, len(sent.stdout.split())) == (0, 2)
    assert here.run("cancel", *sent.stdout.decode().split()).returncode == 0


def test_a_word_is_a_file_only_by_its_ending_or_as_a_folder(here: Bench) -> None:
    # Given a file and a folder that are called like the beginning of an id
    (here.folder / "3f2a").write_text("organism: other\n")
    (here.folder / "4f2a").mkdir()

    # Then the file is no organism file, and the folder has to have one
    cancelled = here.run("cancel", "3f2a")
    assert b"there is no conversation whose id begins with '3f2a'" in cancelled.stderr
    cancelled = here.run("cancel", "4f2a", "5f2a")
    assert cancelled.returncode == 2
    assert cancelled.stderr.startswith(b"xpipe: no organism file in 4f2a: it has no organism.yaml or organism.yml; ")


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        (["run", "--send", ECHO], True),
        (["send", ECHO], True),
        (["cancel", "3f2a"], True),
        (["gc"], True),
        (["gc", "--dry-run"], False),
        (["dead", "drop", "--all", "--yes"], True),
        (["dead", "retry", "--all", "--yes"], True),
        (["dead", "drop", "--all"], False),
        (["threads"], False),
        (["check"], False),
    ],
    ids=str,
)
def test_commands_that_change_state_name_the_default_that_they_took(
    here: Bench, command: list[str], changes: bool
) -> None:
    ran = here.run(*command)
    assert (b"xpipe: using organism.yaml\n" in ran.stderr) == changes
    named = here.run(*command, XPIPE_ORGANISM=str(here.folder))
    assert (f"xpipe: using {here.folder}/organism.yaml (XPIPE_ORGANISM)\n" in named.stderr.decode()) == changes
    explicit = here.run(*command[: 2 if command[0] == "dead" else 1], "organism.yaml", *command[1:])
    assert b"using" not in explicit.stderr


def test_the_first_of_an_argument_backend_and_the_variables_is_taken(here: Bench) -> None:
    # Given state that each of them means, in files of its own
    for name in ("argument", "variable", "option", "backend"):
        (here.folder / name).mkdir()
        for file in ("organism.yaml", "handlers.py"):
            (here.folder / name / file).write_text((here.folder / file).read_text())
        assert here.run("run", name, "--send", f'echo={{"text": "{name}"}}').returncode == 0
    options = ["--backend", "sqlite", "--path", f"option/{STATE_FILE}"]
    organism = {"XPIPE_ORGANISM": "variable"}
    backend = {"XPIPE_BACKEND": "sqlite", "XPIPE_SQLITE_PATH": f"backend/{STATE_FILE}"}

    def taken(*arguments: str, **variables: str) -> str:
        output = here.run("outputs", *arguments, "--json", **variables)
        return str(json.loads(output.stdout)["outputs"][0]["payload"]["text"])

    # Then they are taken in this order
    assert taken("argument", **organism, **backend) == "argument"
    assert taken(*options, **organism, **backend) == "option"
    assert taken(**organism, **backend) == "variable"
    assert taken(**backend) == "backend"
    assert taken() == "hi"
    cancelled = here.run("cancel", "3f2a", **backend)
    assert cancelled.stderr.startswith(b"xpipe: using the sqlite backend of XPIPE_BACKEND\n")


@pytest.mark.parametrize("command", [*EVERY, "send echo={}", "cancel 3f2a", "dead show 1", "dead drop --all"])
def test_2_and_what_to_pass_when_there_is_no_file(bench: Bench, tmp_path: Path, command: str) -> None:
    (tmp_path / "inner").mkdir()
    bench.organism("echo", extra=SQLITE)  # Folders above do not count.
    bench.folder = tmp_path / "inner"
    ran = bench.run(*command.split())
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"xpipe: no organism file; pass ORGANISM.YAML")
    assert ran.stderr.count(b"\n") == 1


def test_2_when_a_folder_has_two(here: Bench) -> None:
    (here.folder / "organism.yml").write_text((here.folder / "organism.yaml").read_text())
    for command in ("run", "threads", "check"):
        ran = here.run(command)
        assert (ran.returncode, ran.stdout) == (2, b"")
        assert ran.stderr == b"xpipe: there are both organism.yaml and organism.yml; pass one of them\n"
    assert here.run("threads", "organism.yml").returncode == 0
