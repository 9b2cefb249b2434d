"""--help: grouped, readable at 80 columns, ending with examples that work; and what a shell completes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis_server

from cli.bench import Bench, wait_until
from cli.examples import (
    REDIS_URL,
    all_examples,
    commands,
    examples,
    path_with,
    prepare,
    prepare_redis,
    prepare_unfinished,
)
from xpipe.cli.completion import with_shell

COMMANDS = list(commands())
NAMES = [" ".join(path) or "xpipe" for path, _ in COMMANDS]


@pytest.mark.parametrize("command", [command for _, command in COMMANDS], ids=NAMES)
def test_every_help_ends_with_examples_and_tells_what_each_option_does(command: Any) -> None:
    assert examples(command)
    visible = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    assert all(param.help for param in visible)
    assert {"--help", "--quiet", "--verbose", "--log-format"} <= {name for param in visible for name in param.opts}


def test_help_fits_80_columns_groups_commands_and_shows_examples_as_they_are_typed(bench: Bench) -> None:
    root = bench.run("--help", COLUMNS="80").stdout.decode()
    assert all(len(line) <= 80 for line in root.splitlines())
    panels = [
        root.index(f"─ {name}") for name in ("Writing an organism", "Running an organism", "Inspecting and cleaning up")
    ]
    assert panels == sorted(panels)
    trace = bench.run("trace", "-h", COLUMNS="200").stdout.decode()
    assert all(example in trace for _, command in COMMANDS if command.name == "trace" for example in examples(command))
    run = bench.run("run", "--help", COLUMNS="80").stdout.decode()
    assert all(len(line) <= 80 for line in run.splitlines())
    assert "<bool>" not in run + root + trace


class Prepared(NamedTuple):
    """A folder with all that the examples speak of; real: what stands there for the ids in them."""

    folder: Path
    real: dict[str, str]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    bench = Bench(tmp_path_factory.mktemp("examples"))
    return Prepared(bench.folder, prepare(bench))


@pytest.mark.parametrize("line", all_examples())
@pytest.mark.slow
def test_every_example_works_as_it_is_written(bench: Bench, prepared: Prepared, line: str) -> None:
    shutil.copytree(prepared.folder, bench.folder, dirs_exist_ok=True)
    real = dict(prepared.real)
    if "--wait" in line:
        bench.start("run", "organism.yaml", "--serve", "--no-messages")
    if "cancel" in line:
        real |= prepare_unfinished(bench)
    if REDIS_URL in line and "--backend" in line:
        if redis_server.binary() is None:
            pytest.skip(redis_server.NO_SERVER)
        real |= prepare_redis(bench)
    prefix = {"XPIPE_REDIS_PREFIX": real.pop("XPIPE_REDIS_PREFIX")} if "XPIPE_REDIS_PREFIX" in real else {}
    for example, there in real.items():
        line = line.replace(example, there)
    environ = bench.environment(PATH=path_with(bench.folder / "bin"), **prefix)
    shell = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=bench.folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    if "--serve" in line:
        wait_until(lambda: _serves(bench))
        os.killpg(shell.pid, signal.SIGTERM)
    stdout, stderr = shell.communicate(timeout=60)
    assert shell.returncode == (1 if "| grep" in line else 0), (line, stdout, stderr)
    assert b"Traceback" not in stderr


def _serves(bench: Bench) -> bool:
    sent = bench.run("send", "organism.yaml", 'greeter={"name": "Bob"}', "--wait", "--timeout", "5s")
    return sent.returncode == 0


def complete(bench: Bench, words: str, shell: str = "bash") -> list[str]:
    """What `shell` offers after `words`, by the variables with which its script asks."""
    at = len(words.split()) - (0 if words.endswith(" ") else 1)
    asked = {"bash": {"COMP_WORDS": words, "COMP_CWORD": str(at)}}.get(shell, {"_TYPER_COMPLETE_ARGS": words})
    if shell == "fish":
        asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    run = bench.run(_XPIPE_COMPLETE=f"complete_{shell}", **asked)
    assert (run.returncode, run.stderr) == (0, b"")
    return run.stdout.decode().split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("xpipe r", ["run", "registry"]),
        ("xpipe dead re", ["retry"]),
        ("xpipe threads --state ", ["active", "waiting", "done", "failed"]),
        ("xpipe gc --state d", ["done"]),
        ("xpipe threads --backend s", ["sqlite"]),
        ("xpipe run --log-format ", ["text", "json"]),
        ("xpipe run --format x", ["xml"]),
        ("xpipe run --ti", ["--timeout"]),
    ],
)
def test_bash_completes_commands_options_and_their_values(bench: Bench, words: str, offered: list[str]) -> None:
    assert complete(bench, words) == offered


def test_organism_files_and_folders_are_completed(bench: Bench) -> None:
    bench.organism("echo")
    (bench.folder / "other").mkdir()
    (bench.folder / "other" / "organism.yml").touch()
    assert complete(bench, "xpipe run ") == ["organism.yaml", "other/"]
    assert complete(bench, "xpipe threads o") == ["organism.yaml", "other/"]
    assert complete(bench, "xpipe check other/") == ["other/organism.yml"]
    assert complete(bench, "xpipe schema o") == ["output", "organism.yaml", "other/"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_what_a_command_does(bench: Bench, shell: str) -> None:
    offered = " ".join(complete(bench, "xpipe th", shell))
    assert "threads" in offered
    assert "Show threads, the newest first" in offered


def test_what_fish_is_told_of_a_candidate_is_one_line_however_long(bench: Bench) -> None:
    offered = [line.split("\t") for line in complete(bench, "xpipe run --", "fish")]
    assert all(len(candidate) == 2 and candidate[0].startswith("--") for candidate in offered), offered
    assert max(len(about) for _, about in offered) > 100


def test_the_script_of_another_shell_can_be_had_by_its_name(bench: Bench) -> None:
    shown = bench.run("--show-completion", "zsh")
    assert shown.stdout.startswith(b"#compdef xpipe")
    unknown = bench.run("--install-completion", "tcsh")
    assert (unknown.returncode, unknown.stdout) == (2, b"")
    assert unknown.stderr == b"xpipe: there is no completion for the shell 'tcsh'; name one of bash, zsh, fish\n"


def test_another_shell_can_be_set_up_by_its_name(bench: Bench, tmp_path: Path) -> None:
    assert bench.run("--install-completion", "fish", HOME=str(tmp_path)).returncode == 0
    assert "complete_fish" in (tmp_path / ".config/fish/completions/xpipe.fish").read_text()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["--show-completion"], ["--show-completion", ""]),
        (["--show-completion", "zsh"], ["--show-completion", "zsh"]),
        (["-q", "--install-completion", "-v"], ["-q", "--install-completion", "", "-v"]),
        (["run", "--show-completion"], ["run", "--show-completion"]),
    ],
)
def test_the_name_of_the_shell_may_be_left_out(given: list[str], taken: list[str]) -> None:
    assert with_shell(given) == taken


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_show_completion_prints_a_script_for_the_shell_that_asks(bench: Bench, shell: str) -> None:
    # Whatever is called like the shell counts; not every machine has all of them.
    asking = bench.folder / shell
    asking.symlink_to(shutil.which("bash") or "/bin/bash")
    words = " ".join(bench.command("--show-completion"))
    run = subprocess.run(
        [str(asking), "-c", f"{words}; exit $?"], env=bench.environment(), capture_output=True, timeout=30
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert f"_XPIPE_COMPLETE=complete_{shell}".encode() in run.stdout


def test_install_completion_writes_it_where_the_shell_finds_it(bench: Bench, tmp_path: Path) -> None:
    words = " ".join(bench.command("--install-completion"))
    environ = bench.environment(HOME=str(tmp_path))
    run = subprocess.run(["bash", "-c", f"{words}; exit $?"], env=environ, capture_output=True, timeout=30)
    assert run.returncode == 0, run
    assert "_XPIPE_COMPLETE=complete_bash" in (tmp_path / ".bash_completions" / "xpipe.sh").read_text()
    assert "xpipe.sh" in (tmp_path / ".bashrc").read_text()
