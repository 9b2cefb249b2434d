"""Where the commands that look into a backend find it, and what they leave alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis_server

from cli.bench import Bench, wait_until
from cli.conftest import default_and_slow
from cli.stored import Stored, in_sqlite
from xpipe.backends.manager import ManagerBackend

ECHO = 'echo={"text": "hello"}'
COMMANDS = ["threads", "registry", "outputs", "gc"]
TWINS = {"--backend": "XPIPE_BACKEND", "--url": "XPIPE_REDIS_URL", "--prefix": "XPIPE_REDIS_PREFIX"}
TWINS |= {"--path": "XPIPE_SQLITE_PATH"}


def twins(stored: Stored) -> dict[str, str]:
    """The options of `stored` as variables."""
    return dict(zip(map(TWINS.__getitem__, stored.options[::2]), stored.options[1::2], strict=True))


@pytest.mark.parametrize("command", default_and_slow(*COMMANDS, "inspect-threads", "dump-registry"))
def test_a_backend_is_found_without_its_organism(stored: Stored, command: str) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    by_file = stored.bench.run(command, "organism.yaml", "--json")
    by_options = stored.bench.run(command, *stored.options, "--json")
    by_variables = stored.bench.run(command, "--json", **twins(stored))
    assert by_file.returncode == 0
    assert by_file.stdout == by_options.stdout == by_variables.stdout


def test_with_a_backend_the_argument_is_an_id(stored: Stored) -> None:
    stored.organism("echo")
    ran = stored.run(ECHO)
    thread = ran["threads"][-1]["thread"]
    by_options = stored.bench.run("threads", *stored.options, thread, "--json")
    by_variables = stored.bench.run("threads", thread, "--json", **twins(stored))
    assert json.loads(by_options.stdout)["thread"]["thread"] == thread
    assert by_options.stdout == by_variables.stdout


def test_a_file_wins_over_the_environment(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)
    elsewhere = {"XPIPE_BACKEND": "sqlite", "XPIPE_SQLITE_PATH": "nowhere.db"}
    assert bench.run("threads", "organism.yaml", **elsewhere).returncode == 0
    assert bench.run("threads", **elsewhere).returncode == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--url", "redis://localhost"], "--url needs --backend TYPE; without it the state is that of organism.yaml"),
        (["organism.yaml", "--backend", "redis"], "organism.yaml and --backend both say where the state is"),
        (["organism.yaml", "--url", "redis://localhost"], "organism.yaml and --url both say"),
        (["--backend", "sqlite"], "--backend sqlite needs the state file; add --path FILE"),
        (["--backend", "sqlite", "--path", "x", "--prefix", "y:"], "--prefix is not an option of the sqlite backend"),
        (["--backend", "postgres"], "there is no backend 'postgres'; --backend takes one of memory, manager, sqlite"),
        (["--backend", "manager"], "--backend manager needs --address"),
        (["--backend", "manager", "--address", "/nowhere"], "--backend manager needs the manager's key"),
        (["--backend", "manager", "--address", "x:1", "--authkey-file", "nowhere"], "--authkey-file nowhere cannot be"),
        (["--backend", "sqlite", "--path", "x", "3f2a", "4f2a"], "unexpected argument '4f2a'"),
    ],
)
def test_2_when_it_is_not_clear_which_state_is_meant(bench: Bench, arguments: list[str], sentence: str) -> None:
    in_sqlite(bench).organism("echo")
    looked = bench.run("threads", *arguments)
    assert (looked.returncode, looked.stdout) == (2, b"")
    assert sentence in looked.stderr.decode()
    assert looked.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_3_for_a_wrong_organism(bench: Bench, command: str) -> None:
    in_sqlite(bench).organism("echo", more="mesages: []\n")
    looked = bench.run(command, "organism.yaml")
    assert (looked.returncode, looked.stdout) == (3, b"")
    assert b"organism.yaml:5:1: error[" in looked.stderr
    missing = bench.run(command, "nowhere.yaml")
    assert (missing.returncode, missing.stdout) == (3, b"")


@pytest.mark.parametrize("command", COMMANDS)
def test_4_and_what_to_use_instead_on_a_memory_backend(bench: Bench, command: str) -> None:
    bench.organism("echo")
    for arguments in (["organism.yaml"], ["--backend", "memory"]):
        looked = bench.run(command, *arguments)
        assert (looked.returncode, looked.stdout) == (4, b"")
        assert b"exists only during a run" in looked.stderr
        assert b"sqlite or redis" in looked.stderr
        assert looked.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_4_and_nothing_is_made_when_nothing_has_run_yet(stored: Stored, command: str) -> None:
    stored.organism("echo")
    before = sorted(stored.bench.folder.rglob("*"))
    for arguments in (["organism.yaml"], stored.options):
        looked = stored.bench.run(command, *arguments)
        assert (looked.returncode, looked.stdout) == (4, b"")
        assert b"run one" in looked.stderr
        assert looked.stderr.count(b"\n") == 1
    assert sorted(stored.bench.folder.rglob("*")) == before
    if "--url" in stored.options:
        import redis

        client = redis.Redis.from_url(redis_server.shared().tcp)
        assert client.keys(f"{stored.options[-1]}*") == []


def test_4_when_no_server_answers_and_its_password_is_not_shown(bench: Bench) -> None:
    looked = bench.run("threads", "--backend", "redis", "--url", "redis://me:hushhush@127.0.0.1:1/0")
    assert (looked.returncode, looked.stdout) == (4, b"")
    assert b"127.0.0.1:1" in looked.stderr
    assert b"hush" not in looked.stderr
    assert looked.stderr.count(b"\n") == 1


def test_4_when_the_backend_holds_another_organism(stored: Stored) -> None:
    stored.organism("echo")
    stored.run(ECHO)
    file = stored.bench.folder / "organism.yaml"
    file.write_text(file.read_text().replace("name: bench", "name: other"))
    looked = stored.bench.run("threads", "organism.yaml")
    assert (looked.returncode, looked.stdout) == (4, b"")
    assert b"holds the state of system.bench, not of system.other" in looked.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_users_code_is_not_run(bench: Bench, command: str) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)
    (bench.folder / "handlers.py").write_text("open('ran', 'w').close()")
    stored.look(command)
    assert not (bench.folder / "ran").exists()


@pytest.mark.parametrize("command", default_and_slow(*COMMANDS))
def test_what_is_not_needed_is_not_imported(bench: Bench, command: str) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)
    code = "import sys; from xpipe.cli.app import run_command_line as run; run(sys.argv[1:]); print(*sys.modules)"
    looked = subprocess.run(
        [sys.executable, "-c", code, command, "organism.yaml"],
        cwd=bench.folder, env=bench.environment(), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    unwanted = {"redis", "rich", "lxml", "multiprocessing", "xpipe.assembly", "xpipe.runtime.pump"}
    assert not unwanted & set(looked.stderr.split())
    assert "xpipe.backends.sqlite" in looked.stderr.split()


@pytest.mark.parametrize("command", default_and_slow("threads", "registry", "outputs"))
def test_head_is_quiet(bench: Bench, command: str) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(*[ECHO] * 200)
    process = bench.start(command, "organism.yaml", "--jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


def test_a_closed_stdout_is_quiet(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo")
    stored.run(ECHO)
    process = bench.start("threads", "organism.yaml", preexec_fn=lambda: os.close(1), stdout=None)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, b"")
    stored.look("gc", "--verify")


def test_the_manager_of_a_run_is_found_while_it_lasts(bench: Bench) -> None:
    bench.organism("echo", "sleeper", extra="backend: {type: manager}\n")
    sends = ["--send", ECHO, "--send", 'sleeper={"text": "asleep", "seconds": 60}']
    process = bench.start("run", "organism.yaml", "--grace", "0", *sends)
    wait_until(lambda: (bench.folder / "asleep").exists())

    looked = {command: bench.run(command, "organism.yaml", "--json") for command in COMMANDS}

    assert [one.returncode for one in looked.values()] == [0] * 4
    listeners = {row["listener"]: row["state"] for row in json.loads(looked["threads"].stdout)["threads"]}
    assert (listeners["echo"], listeners["sleeper"]) == ("done", "active")
    assert json.loads(looked["outputs"].stdout)["outputs"][0]["payload"] == {"text": "hello"}
    process.terminate()
    process.wait(20)
    after = bench.run("threads", "organism.yaml")
    assert (after.returncode, after.stdout) == (4, b"")
    assert b"no run of organism.yaml has a manager now" in after.stderr


def test_a_second_run_does_not_hide_the_manager_of_the_first(bench: Bench) -> None:
    organism = bench.organism("echo", "sleeper", extra="backend: {type: manager}\n")
    process = bench.start("run", organism, "--grace", "0", "--send", 'sleeper={"text": "began", "seconds": 600}')
    wait_until(lambda: (bench.folder / "began").exists())

    second = bench.run("run", organism, "--send", ECHO)

    assert second.returncode == 0
    assert b"another run of this organism has a manager already" in second.stderr
    threads = json.loads(bench.run("threads", organism, "--json").stdout)["threads"]
    assert "sleeper" in {row["listener"] for row in threads}
    process.terminate()
    process.wait(20)


def test_a_manager_is_found_at_its_address_with_its_key(bench: Bench, tmp_path: Path) -> None:
    key = "a key that both of them know"
    socket, key_file = tmp_path / "m.sock", tmp_path / "key"
    key_file.write_text(f"{key}\n")
    manager = ManagerBackend(bind=str(socket), authkey=key)
    try:
        bench.organism("echo", extra=f"backend: {{type: manager, manager_address: m.sock, manager_authkey: {key}}}\n")
        assert bench.run("run", "organism.yaml", "--send", ECHO).returncode == 0
        options = ["--backend", "manager", "--address", "m.sock"]

        by_file = bench.run("threads", "organism.yaml", "--json")
        by_options = bench.run("threads", *options, "--authkey-file", "key", "--json")
        variables = {"XPIPE_BACKEND": "manager", "XPIPE_MANAGER_ADDRESS": "m.sock", "XPIPE_MANAGER_AUTHKEY": key}
        by_variables = bench.run("threads", "--json", **variables)

        assert len(json.loads(by_file.stdout)["threads"]) == 2
        assert by_file.stdout == by_options.stdout == by_variables.stdout
        wrong = bench.run("threads", *options, XPIPE_MANAGER_AUTHKEY="a wrong key")
        assert (wrong.returncode, wrong.stdout) == (4, b"")
        assert b"wrong key" not in wrong.stderr
    finally:
        manager.close()


def test_bytes_that_are_no_text_are_a_wrong_option_or_id(stored: Stored) -> None:
    stored.organism("echo")
    stored.run('echo={"text": "a"}')
    place = stored.options[:2]

    for arguments in (["organism.yaml", "\udcff"], ["organism.yaml", "-c", "\udcff"], [*place, "--prefix", "\udcff"]):
        looked = stored.bench.run("threads", *arguments)

        assert looked.returncode == 2, looked
        assert b"not valid UTF-8" in looked.stderr
        assert looked.stderr.count(b"\n") == 1
