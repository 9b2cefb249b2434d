"""`xpipe check`: every finding at its place, in every form, and the exit code that says how bad it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cli.bench import Bench
from xpipe.cli.check import CheckPlan
from xpipe.cli.checking import check_files, worst_code
from xpipe.cli.console import Medium, Printer
from xpipe.cli.findings import finding_lines, finding_row, workflow_command
from xpipe.cli.folders import search
from xpipe.cli.output_schemas import output_schema
from xpipe.core.findings import Excerpt, Finding

ROOT = Path(__file__).parents[2]
GOOD = "organism: good\nlisteners:\n  - {name: echo, handler: handlers.py:echo}\n"
WARNED = GOOD.replace("}", ", peers: [echo]}")
TEN = """\
organism: {name: ten, colour: red}
backend: {type: reddis, path: state.db}
limits: {conversation_duration: 5 minutes}
listeners:
  - name: check
    handler: handlers.py:ehco
  - name: price
    handler: handlers.py:echo
    timeuot: 3s
    peers: [chek]
  - name: price
    handler: handlers.py:echo
    cpu_bound: maybe
  - handler: handlers.py:echo
messages:
  - {to: prise, payload: {text: "${NOPE}"}}
"""
TEN_PLACES = [
    ("unknown-key", 1, 23, "colour"),
    ("wrong-value", 2, 17, "reddis"),
    ("wrong-value", 3, 33, "5 minutes"),
    ("no-attribute", 6, 14, "handlers.py:ehco"),
    ("unknown-key", 9, 5, "timeuot"),
    ("unknown-peer", 10, 13, "chek"),
    ("duplicate-listener", 11, 11, "price"),
    ("wrong-type", 13, 16, "maybe"),
    ("missing-key", 14, 5, "handler"),
    ("unknown-target", 16, 10, "prise"),
    ("unset-variable", 16, 33, '"${NOPE}"'),
]


def plan(*paths: Path | str, **options: object) -> CheckPlan:
    given = {"overrides": (), "imports": False, "connect": False, "strict": False, "format": "text", **options}
    return CheckPlan(tuple(map(str, paths)), **given)  # type: ignore[arg-type]  # mixed options


def test_a_file_with_all_kinds_of_mistakes_shows_each_at_its_place(bench: Bench) -> None:
    file = bench.folder / "organism.yaml"
    file.write_text(TEN)
    run = bench.run("check", "organism.yaml", "--format", "json")
    found = json.loads(run.stdout)
    assert run.returncode == 3
    assert run.stderr == b"xpipe: organism.yaml: 11 errors\n"
    Draft202012Validator(output_schema("check")).validate(found)
    assert [(one["code"], one["line"], one["column"]) for one in found["findings"]] == [
        place[:3] for place in TEN_PLACES
    ]
    lines = TEN.splitlines()
    for one, (_, line, column, there) in zip(found["findings"], TEN_PLACES, strict=True):
        assert set(one) == {"code", "severity", "file", "line", "column", "message", "hint"}
        assert (one["file"], one["severity"]) == ("organism.yaml", "error")
        assert lines[line - 1][column - 1 :].startswith(there)


def test_people_see_the_line_a_caret_and_a_hint(bench: Bench) -> None:
    (bench.folder / "organism.yaml").write_text(TEN)
    run = bench.run("check", "organism.yaml")
    assert run.returncode == 3
    blocks = run.stdout.decode().rstrip("\n").split("\n\n")
    assert len(blocks) == len(TEN_PLACES)
    assert blocks[4].splitlines() == [
        'organism.yaml:9:5: error[unknown-key]: A listener has no key "timeuot".',
        "    9 |     timeuot: 3s",
        "      |     ^",
        '    hint: Did you mean "timeout"?',
    ]
    assert "the first is at line 7, column 11" in blocks[6]
    same = bench.run("run", "organism.yaml")
    assert same.returncode == 3
    assert all(block in same.stderr.decode() for block in blocks)


def test_a_good_file_says_so_and_imports_run_no_code_where_that_is_not_wanted(bench: Bench) -> None:
    (bench.folder / "handlers.py").write_text("raise SystemExit('it was imported')\n")
    (bench.folder / "organism.yaml").write_text(GOOD)
    run = bench.run("lint", "organism.yaml", "--no-imports")
    assert (run.returncode, run.stdout) == (0, b"")
    fine = b"xpipe: organism.yaml is fine: 1 listener, 0 messages, memory backend, no code imported\n"
    assert run.stderr == fine
    run = bench.run("check", "organism.yaml")
    assert run.returncode == 3
    assert b"error[import-failed]" in run.stdout


def test_what_handlers_print_when_they_are_imported_is_no_data(bench: Bench) -> None:
    (bench.folder / "handlers.py").write_text("print('imported')\n" + (bench.folder / "handlers.py").read_text())
    (bench.folder / "organism.yaml").write_text(WARNED)
    run = bench.run("check", "organism.yaml", "--json")
    assert [one["code"] for one in json.loads(run.stdout)["findings"]] == ["peer-itself"]
    assert run.returncode == 0
    assert b"imported" in run.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in [("good", GOOD), ("warned", WARNED), ("bad", "organism: x\n")]:
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def code(*paths: str, **options: object) -> int:
    chosen = plan(*paths, **options)
    return worst_code(check_files(chosen), chosen.strict)


@pytest.mark.parametrize(("file", "expected"), [("good", 0), ("warned", 0), ("bad", 3), ("nowhere", 3)])
def test_the_exit_code_is_that_of_run(folder: Path, file: str, expected: int) -> None:
    del folder
    assert code(f"{file}.yaml") == expected


def test_the_worst_of_several_files_counts(folder: Path) -> None:
    del folder
    assert code("good.yaml", "bad.yaml", "warned.yaml") == 3


def test_each_of_several_organisms_is_checked_as_if_alone(tmp_path: Path) -> None:
    code = (
        "from dataclasses import dataclass\nimport its_sibling\n@dataclass\nclass Ask: ...\ndef echo(ask: Ask): ...\n"
    )
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "handlers.py").write_text(code)
        (tmp_path / name / "organism.yaml").write_text(GOOD)
    (tmp_path / "one" / "its_sibling.py").write_text("")
    (tmp_path / "three" / "its_sibling.py").write_text("")

    checked = check_files(plan(*(tmp_path / name / "organism.yaml" for name in ("one", "two", "three")), imports=True))

    assert [[one.code for one in file.findings] for file in checked] == [[], ["import-failed"], []]
    assert not [one for one in sys.path if one.startswith(str(tmp_path))]


def test_warnings_count_with_strict(folder: Path) -> None:
    del folder
    assert code("warned.yaml", strict=True) == 1
    assert code("good.yaml", strict=True) == 0


def test_a_wrong_option_is_no_wrong_file(folder: Path) -> None:
    del folder
    assert code("good.yaml", overrides=("listeners.echo.timeout=soon",)) == 2
    assert code("bad.yaml", overrides=("limits.hops=many",)) == 3


@pytest.mark.parametrize(
    ("backend", "codes"),
    [
        ("memory", []),
        ("{type: sqlite, path: new/state.db}", []),
        ("{type: sqlite, path: good.yaml}", ["no-backend"]),
        ("{type: redis, redis_url: 'redis://127.0.0.1:1/0'}", ["no-backend"]),
        ("{type: manager, manager_address: '127.0.0.1:1', manager_authkey: k}", ["no-backend"]),
    ],
)
def test_a_backend_that_cannot_be_used_is_a_finding_of_connect(folder: Path, backend: str, codes: list[str]) -> None:
    (folder / "organism.yaml").write_text(f"{GOOD}backend: {backend}\n")
    (checked,) = check_files(plan("organism.yaml", connect=True))
    assert [(one.code, one.line) for one in checked.findings] == [(code, 4) for code in codes]
    assert checked.code(strict=False) == len(codes)
    assert not (folder / "new").exists()


def test_a_folder_is_searched_for_what_looks_like_an_organism(tmp_path: Path) -> None:
    for name, text in [
        ("a/organism.yaml", GOOD),
        ("a/organism-test.yml", "listeners: []\n"),
        ("b/pipeline.yaml", GOOD),
        ("b/values.yaml", "listeners: []\n"),
        ("b/notes.txt", GOOD),
        (".venv/organism.yaml", GOOD),
    ]:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    found = [str(Path(file).relative_to(tmp_path)) for file in search(str(tmp_path)).files]
    assert found == ["a/organism-test.yml", "a/organism.yaml", "b/pipeline.yaml"]


def test_a_folder_without_organisms_is_a_wrong_argument(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "organism.yaml").write_text("organism: {name: ''}\n")
    empty, wrong = check_files(plan(tmp_path / "empty", tmp_path / "organism.yaml"))
    assert [(one.code, one.line) for one in empty.findings] == [("no-organism", 0)]
    assert empty.code(strict=False) == 2
    assert [one.code for one in wrong.findings] == ["missing-key", "wrong-value"]
    assert worst_code([empty, wrong], strict=False) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_a_search_cannot_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "organism.yaml").write_text(GOOD)
    (tmp_path / "other.yaml").touch(mode=0o000)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    try:
        checked = {Path(one.file).name: one for one in check_files(plan(tmp_path))}
    finally:
        closed.chmod(0o700)
    assert {name: [found.code for found in one.findings] for name, one in checked.items()} == {
        "closed": ["folder-unreadable"],
        "organism.yaml": [],
        "other.yaml": ["file-unreadable"],
    }
    assert worst_code(checked.values(), strict=False) == 3


def test_the_sample_organisms_are_free_of_findings() -> None:
    checked = check_files(plan(ROOT / "organisms"))
    assert len(checked) >= 3
    assert [one.findings for one in checked] == [[] for _ in checked]


def test_workflow_commands_are_escaped() -> None:
    finding = Finding("a,b:c%.yaml", 3, 4, "code", "100% wrong:\nthis, that.", "Do it.", "note")
    assert workflow_command(finding) == (
        "::notice file=a%2Cb%3Ac%25.yaml,line=3,col=4,title=xpipe code::100%25 wrong:%0Athis, that. Do it."
    )
    option = Finding("--set a.b=1", 0, 0, "code", "Wrong.")
    assert workflow_command(option) == "::error title=xpipe code::--set a.b=1: Wrong."


def test_what_is_about_an_option_has_no_line() -> None:
    row = finding_row(Finding("--set a.b=1", 0, 0, "code", "Wrong."))
    assert (row["file"], row["line"], row["column"]) == ("--set a.b=1", None, None)


@pytest.mark.parametrize("width", [None, 40, 80, 200])
@pytest.mark.parametrize("text", ["x" * 30 + "WRONG" + "y" * 300, "世" * 100 + "WRONG" + "界" * 90, "\tWRONG \x1b[31m"])
def test_the_caret_stands_below_its_column_however_wide_the_terminal(width: int | None, text: str) -> None:
    from xpipe.cli.text import columns

    printer = Printer(Medium(width, color=False, live=False))
    finding = Finding("o.yaml", 7, 1, "code", "It is wrong.", excerpt=Excerpt(text, text.index("WRONG")))
    _, line, caret, *_ = finding_lines(printer, [finding])
    assert "\x1b" not in line
    assert columns(line) <= (width or 168)
    assert columns(line[: line.index("WRONG")]) == caret.index("^")


def test_connect_finds_that_no_worker_can_be_made(bench: Bench) -> None:
    handlers = bench.folder / "handlers.py"
    handlers.write_text(
        "import sys\nif sys.argv[0] == '-c':\n    raise RuntimeError('not in a worker')\n" + handlers.read_text()
    )
    run = bench.run("check", bench.organism("busy"), "--connect", "--set", "process_pool.workers=4")
    assert run.returncode == 1
    assert b"error[no-workers]: No worker process can be used: " in run.stdout
    assert b"not in a worker" in run.stdout
    assert bench.run("check", bench.organism("echo"), "--connect").returncode == 0
