"""Surroundings that no command chose: stripped docstrings, a folder that is gone, a locale that is ASCII, no memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from cli.bench import Bench
from cli.examples import commands
from xpipe.cli.errors import exit_code, explain

ORGANISM = "organism: bench\nlisteners:\n  - {{name: echo, handler: '{handlers}:echo'}}\nbackend: {backend}\n"
WORDS: dict[str, list[str]] = {
    "init": ["NEW"],
    "run": ["FILE", "--send", 'echo={"text": "hi"}'],
    "send": ["FILE", 'echo={"text": "hi"}'],
    "trace": ["FILE", "cli-1"],
    "cancel": ["FILE", "cli-1"],
    "dead show": ["FILE", "1"],
    "dead retry": ["FILE", "--all"],
    "dead drop": ["FILE", "--all", "--yes"],
}
"""What commands are called with; all others with the file alone."""
EACH = """
import contextlib, io, json, os, sys
from xpipe.cli.app import run_command_line

ends = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = run_command_line([os.fsdecode(word.encode("utf-8", "surrogateescape")) for word in words])
    ends[" ".join(words)] = (code, said.getvalue())
print(json.dumps(ends), file=open(sys.argv[2], "w"))
"""
Ends = dict[str, tuple[int, str]]


def every_command(file: str, new: str) -> list[list[str]]:
    """A command line for each command."""
    leaves = [path for path, command in commands() if path and not hasattr(command, "commands")]
    assert {" ".join(path) for path in leaves} >= WORDS.keys()
    places = {"FILE": file, "NEW": new}
    return [[*path, *(places.get(word, word) for word in WORDS.get(" ".join(path), ["FILE"]))] for path in leaves]


def ends_of(lines: list[list[str]], folder: Path, before: str = "true", **variables: str) -> Ends:
    """How each of the command lines ends, one after the other in one process that begins in `folder`."""
    with tempfile.NamedTemporaryFile() as report:
        words = [sys.executable, "-P", "-c", EACH, json.dumps(lines), report.name]
        subprocess.run(
            ["sh", "-c", f'{before}; exec "$@" >/dev/null </dev/null', "sh", *words],
            cwd=folder,
            env=Bench.environment(**variables),
            check=True,
        )
        ends: Ends = json.loads(report.read())
        return ends


def test_help_is_whole_without_docstrings() -> None:
    show = "from cli.examples import commands\nfor path, one in commands(): print(path, one.help, one.short_help)"
    tests = Path(__file__).parent.parent
    texts = [
        subprocess.run([sys.executable, *flags, "-c", show], cwd=tests, capture_output=True, check=True).stdout
        for flags in ([], ["-OO"])
    ]
    assert texts[0].count(b"Exit codes") > 10
    assert texts[0] == texts[1]


def test_a_run_goes_well_without_docstrings(bench: Bench) -> None:
    run = bench.run("run", bench.organism("echo"), "--send", 'echo={"text": "hi"}', "--jsonl", PYTHONOPTIMIZE="2")
    assert run.returncode == 0
    assert json.loads(run.stdout)["payload"] == {"text": "hi"}


def test_in_a_folder_that_is_gone_a_command_says_so(bench: Bench) -> None:
    (bench.folder / "organism.yaml").write_text(
        ORGANISM.format(handlers="handlers.py", backend="{type: sqlite, path: s.db}")
    )
    gone = bench.folder / "gone"
    gone.mkdir()

    ends = ends_of(every_command("../organism.yaml", "../new"), gone, f"rmdir '{gone}'")

    sentence = "xpipe: the current folder is gone: it was removed or replaced; change to one that exists\n"
    assert dict.fromkeys(ends, (2, sentence)) == {line: tuple(end) for line, end in ends.items()}


def test_absolute_paths_work_in_a_folder_that_is_gone(bench: Bench) -> None:
    file, gone = bench.organism("echo"), bench.folder / "gone"
    gone.mkdir()

    ends = ends_of([["run", str(file), "--send", 'echo={"text": "hi"}']], gone, f"rmdir '{gone}'")

    assert [code for code, _ in ends.values()] == [0], ends


@pytest.mark.parametrize("name", [pytest.param("ö", marks=pytest.mark.slow), b"b\xff".decode(errors="surrogateescape")])
@pytest.mark.parametrize(
    ("handlers", "backend"),
    [
        ("handlers.py", "{type: sqlite, path: s.db}"),
        ("handlers.py", "{type: sqlite, path: stäte.db}"),
        ("händlers.py", "{type: sqlite, path: s.db}"),
        ("handlers.py", "{type: manager, manager_address: sö/cket, manager_authkey: k}"),
    ],
)
def test_a_path_beyond_the_locale_is_never_a_bug(bench: Bench, name: str, handlers: str, backend: str) -> None:
    folder = bench.folder / name
    folder.mkdir()
    text = ORGANISM.format(handlers=handlers, backend=backend)
    (folder / "organism.yaml").write_text(text, encoding="utf-8")
    (folder / "handlers.py").write_bytes((bench.folder / "handlers.py").read_bytes())
    lines = every_command(f"{name}/organism.yaml", f"{name}/new")

    ends = ends_of(lines, bench.folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    codes = {line: code for line, (code, _) in ends.items()}
    assert set(codes.values()) <= {0, 2, 3, 4}, codes
    if backend.isascii() and handlers.isascii():
        assert codes[" ".join(next(line for line in lines if line[0] == "run"))] == 0
    if not backend.isascii():
        said = {end[1] for line, end in ends.items() if line.startswith(("run", "send", "threads", "gc"))}
        assert len(said) == 1
        assert "cannot express this path; use a UTF-8 locale" in said.pop()


def test_a_refusal_by_the_system_is_one_sentence() -> None:
    refused: list[BaseException] = [MemoryError(), OSError(12, "Cannot allocate memory"), OSError(24, "Too many")]
    before = threading.stack_size(1 << 46)
    try:
        threading.Thread(target=int).start()
    except (RuntimeError, MemoryError) as error:
        refused.append(error)
    finally:
        threading.stack_size(before)

    for error in refused:
        assert exit_code(error) == 1
        assert explain(error).startswith("xpipe: ")
        assert "\n" not in explain(error)
    assert len(refused) == 4


@pytest.mark.parametrize(
    "mebibytes", [200, *(pytest.param(size, marks=pytest.mark.slow) for size in (40, 100, 140, 300))]
)
def test_with_little_memory_a_run_ends_with_an_answer_or_a_sentence(bench: Bench, mebibytes: int) -> None:
    bytes_ = mebibytes << 20
    process = bench.start(
        *("run", bench.organism("echo"), "--send", 'echo={"text": "hi"}'),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_)),
    )
    _, stderr = process.communicate(timeout=60)
    lines = stderr.decode().splitlines()
    assert (process.returncode, len(lines)) in {(0, 0), (1, 1)}, stderr.decode()
    assert all(line.startswith("xpipe: ") for line in lines)
