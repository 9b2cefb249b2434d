"""What looks like a credential is shown nowhere, whatever it stands in the place of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.bench import Bench, wait_until, workers_of
from xpipe.cli.app import XPIPE
from xpipe.cli.commands import make_group
from xpipe.core.errors import EXIT_CONFIG

CANARY = "hush-canary"
URL = f"redis://me:{CANARY}@127.0.0.1:1/0?password={CANARY}"
PLAIN_URL = f"redis://me:{CANARY}@127.0.0.1:1/0"
"""For what ends at a `=`."""
ORGANISM = """organism: {name: bench}
backend: {type: memory, retention: 1h}
limits: {hops: 10}
process_pool: {workers: 2}
listeners:
  - name: echo
    handler: 'handlers.py:echo'
    timeout: 1s
    peers: [echo]
    retry: {on: [ValueError]}
    buffer: {target: echo}
  - {name: told.one, handler: 'handlers.py:echo', broadcast: true, sequence: [echo, {step: echo}]}
messages:
  - {to: echo, payload: {text: hi}}
"""
STATE = "organism: {name: bench}\nbackend: {type: sqlite, path: bench.db}\nlisteners:\n"


def spans(node: yaml.Node) -> Iterator[tuple[int, int]]:
    """Where `node` and all that is in it, keys included, stand in the file."""
    yield node.start_mark.index, node.end_mark.index
    for inner in node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else ():
        for one in inner if isinstance(inner, tuple) else (inner,):
            yield from spans(one)


def places() -> list[tuple[int, int]]:
    """All spans of ORGANISM but that of the text of its message: what handlers answer with is data."""
    return [one for one in spans(yaml.compose(ORGANISM)) if ORGANISM[slice(*one)] != "hi"]


def shows_nothing(bench: Bench, *words: object, code: tuple[int, ...] = (0, 1, 2, 3, 4), **variables: str) -> int:
    """That the command with `words` ends with one of `code`; which one."""
    end = bench.run(*words, **variables)

    assert CANARY not in (end.stdout + end.stderr).decode().replace("\n", ""), words
    assert end.returncode in code, (words, end.stderr)
    return end.returncode


@pytest.mark.parametrize("part", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2, 3))])
def test_no_place_of_a_file_shows_a_password(bench: Bench, part: int) -> None:
    file = bench.folder / "organism.yaml"
    for start, end in places()[part::4]:
        file.write_text(f"{ORGANISM[:start]}'{URL}'{ORGANISM[end:]}\n")

        if shows_nothing(bench, "run", file) != EXIT_CONFIG:
            shows_nothing(bench, "config", file)
            shows_nothing(bench, "graph", file)


def commands() -> dict[str, list[str]]:
    """The options with a value of each command that an earlier one does not have, and its arguments as ""."""
    seen, found = set(), {}
    group = make_group(XPIPE, "xpipe")
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        inner = {f"{name} {one}": command.get_command(None, one) for one in getattr(command, "commands", ())}
        for words, one in (inner or {name: command}).items():
            params = [each for each in one.params if not getattr(each, "is_flag", False)]
            new = [each.opts[0] for each in params if each.opts[0].startswith("-") and each.opts[0] not in seen]
            seen.update(new)
            found[words] = [*new, *("" for each in params if not each.opts[0].startswith("-"))]
    return found


@pytest.mark.parametrize(("command", "options"), commands().items())
def test_no_option_or_argument_shows_a_password(bench: Bench, command: str, options: list[str]) -> None:
    file = bench.folder / "organism.yaml"
    file.write_text(STATE + "  - {name: echo, handler: 'handlers.py:echo'}\n")
    bench.run("run", file, "--send", "echo={}", "--send", "echo={oops")

    for option in options:
        for url in (URL, f"{PLAIN_URL}={{}}"):
            words = [option, url] if option else [url]
            shows_nothing(bench, *command.split(), *(() if command == "init" else (file,)), *words)
        if not option:
            shows_nothing(bench, *command.split(), URL)


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["check", "FILE", "--set", f"{path}={URL}"]
            for path in ("backend", "backend.type", "limits.hops", "x", "organism.name")
        ),
        ["threads", "--backend", "redis", "--url", URL],
        ["threads", "--backend", "redis", "--url", f"{URL}&ssl_cert_reqs=wrong".replace("redis:", "rediss:")],
        ["threads", "--backend", "sqlite", "--path", URL],
        ["threads", "--backend", "sqlite", "--path", f"{PLAIN_URL}/x"],
        ["run", "FILE", "--out", f"{PLAIN_URL}/x/y"],
        ["run", "FILE", "--send", f"{PLAIN_URL}={{}}", "--json"],
        ["check", PLAIN_URL, "--format", "github"],
        ["check", PLAIN_URL, "--json"],
        [URL],
        [f"--{URL}"],
        ["run", "FILE", f"--{PLAIN_URL}"],
    ],
)
def test_no_combination_of_options_shows_a_password(bench: Bench, words: list[str]) -> None:
    file = bench.folder / "organism.yaml"
    file.write_text(ORGANISM)

    shows_nothing(bench, *(str(file) if word == "FILE" else word for word in words), code=(1, 2, 3, 4))


@pytest.mark.parametrize("variable", ["XPIPE_ORGANISM", "XPIPE_BACKEND"])
def test_no_variable_shows_a_password(bench: Bench, variable: str) -> None:
    for command in ("threads", "run"):
        shows_nothing(bench, command, code=(2, 3, 4), **{variable: URL})


def test_no_command_line_of_a_process_holds_a_secret(bench: Bench) -> None:
    backend = f"backend: {{type: manager, manager_authkey: {CANARY}}}\n"
    file = bench.organism("busy", extra=backend)
    run = bench.start("run", file, "--grace", "0s", "--send", 'busy={"text": "began", "seconds": 600}')
    wait_until((bench.folder / "began").exists)

    lines = [line for one in Path("/proc").glob("[0-9]*/cmdline") if (line := command_line(one))]

    assert len(workers_of(run.pid)) >= 2
    run.terminate()
    run.communicate(timeout=30)
    assert not [line for line in lines if CANARY.encode() in line]


def command_line(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_a_password_in_an_exception_is_not_shown(bench: Bench) -> None:
    end = bench.run("run", bench.organism("broken"), "--send", f'broken={{"text": "{URL}"}}', "--verbose")

    assert end.returncode == 1
    assert CANARY.encode() not in end.stdout.split(b"Registry")[0] + end.stderr
