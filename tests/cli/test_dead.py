"""`xpipe dead`: what was given up on, as a list and one by one."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from cli.bench import Bench
from cli.given_up import BROKEN, MOODY_ONE, dead, listed, make, numbers
from cli.stored import Stored, in_sqlite, rows
from cli.test_terminal import Terminal
from xpipe.cli.console import Medium, Printer
from xpipe.cli.dead_view import LetterViews
from xpipe.cli.sources import MOST_KEPT
from xpipe.core.messages import DeadLetter
from xpipe.core.payloads import Fault
from xpipe.inspection.dead_letters import LetterView


def test_the_list_shows_what_was_given_up_on_and_why(stored: Stored) -> None:
    stored.organism("broken", "forget")
    stored.run(BROKEN)
    ran = stored.run("forget={}")

    found = dead(stored, "list")

    assert (found.returncode, found.stderr) == (0, b"")
    head, first, *_, blank, count = found.stdout.decode().splitlines()
    assert head.split() == ["number", "conversation", "listener", "code", "text", "attempts", "age", "told"]
    assert re.fullmatch(r" +1  \S{36}  broken    exception +ValueError: cannot do this +1  \d+ s  yes", first)
    assert (blank, count) == ("", "3 dead letters")
    [row] = [row for row in listed(stored) if not row["told"]]
    thread = next(one for one in ran["threads"] if one["listener"] == "broken")
    assert (row["thread"], row["conversation"]) == (thread["thread"], thread["conversation"])
    assert (row["kind"], row["from"], row["type"], row["listener"]) == ("request", "system.buffer", "Ask", "broken")
    assert (row["payload"], row["problem"]) == ({"text": "this", "seconds": 0.0, "items": 0}, None)
    assert row["attempts"] == 1
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["given_up"])
    assert (row["fault"]["code"], row["fault"]["origin"]) == ("exception", "broken")
    assert row["fault"]["traceback"].startswith("Traceback (most recent call last):\n")
    assert rows(dead(stored, "list", "--jsonl").stdout) == listed(stored)


def test_filters_choose_by_listener_code_and_age_and_a_limit_shows_the_newest(stored: Stored) -> None:
    make(stored, "broken", "moody", "forget")
    stored.run(BROKEN)
    stored.run(MOODY_ONE)
    stored.run("forget={}")
    codes = {row["number"]: row["fault"]["code"] for row in listed(stored)}
    assert list(codes) == [1, 2, 3, 4]
    [refused] = [number for number, code in codes.items() if code != "exception"]

    assert numbers(stored, "--listener", "moody") == [2]
    assert numbers(stored, "-l", "moody", "-l", "forget") == [2, refused]
    assert numbers(stored, "--code", "unaccepted_reply") == [refused]
    assert numbers(stored, "--older-than", "1h") == []
    assert numbers(stored, "--newer-than", "1h", "--older-than", "0") == [1, 2, 3, 4]
    assert numbers(stored, "--limit", "2") == [3, 4]
    text = dead(stored, "list", "--limit", "1").stdout.decode()
    assert text.splitlines()[1].split()[0] == "4"
    assert text.endswith("\n1 of 4 dead letters; --limit N or --limit all shows more\n")
    assert dead(stored, "list", "--code", "exception").stdout.endswith(b"\n3 of 4 dead letters\n")
    some = dead(stored, "list", "--code", "exception", "--limit", "1").stdout
    assert some.endswith(b"\nthe newest 1 of 3, out of 4 dead letters; --limit N or all shows more\n")
    assert dead(stored, "list", "--code", "gone").stdout.startswith(b"none of 4 dead letters matches; leave out")


def test_one_is_shown_whole(stored: Stored) -> None:
    stored.organism("broken")
    ran = stored.run(BROKEN)
    [thread] = [one for one in ran["threads"] if one["listener"] == "broken"]

    text = dead(stored, "show", "1").stdout.decode()

    assert text.startswith(
        f"dead letter   1\nconversation  {thread['conversation']}\nthread        {thread['thread']}\n"
    )
    assert "\nmessage       request  cli-1 -> broken  Ask\n" in text
    assert "\nfault         exception: ValueError: cannot do this\n" in text
    assert "\npayload\n   text: this\n" in text
    assert "\ntraceback\n   Traceback (most recent call last):\n" in text
    assert text.endswith("\n   ValueError: cannot do this\n")
    document = json.loads(dead(stored, "show", "1", "--json").stdout)
    assert document == {"schema_version": 1, "dead_letter": listed(stored)[0]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "organism.yaml"], "no dead letter; pass its number"),
        (["show", "organism.yaml", "x"], "'x' is not the number of a dead letter"),
        (["show", "organism.yaml", "-1"], "no such option: -1; see xpipe dead show --help"),
        (["list", "organism.yaml", "--limit", "0"], "--limit '0' is not a number of rows"),
        (["list", "organism.yaml", "--newer-than", "soon"], "--newer-than: 'soon' is not a duration"),
        (["retry", "organism.yaml"], "no dead letters; pass their numbers, a filter such as --listener, or --all"),
        (["drop", "organism.yaml", "--yes"], "no dead letters; pass"),
        (["drop", "organism.yaml", "1", "--all"], "pass only one of numbers, filters and --all"),
        (["retry", "organism.yaml", "1", "--code", "x"], "pass only one of numbers, filters and --all"),
        (["drop", "organism.yaml", "--all", "--older-than", "1h"], "pass only one of numbers, filters and --all"),
        (["bury", "organism.yaml"], "'bury'; see xpipe dead --help"),
    ],
)
def test_2_for_a_wrong_command_line(bench: Bench, arguments: list[str], sentence: str) -> None:
    in_sqlite(bench).organism("echo")
    found = bench.run("dead", *arguments)
    assert (found.returncode, found.stdout) == (2, b"")
    assert sentence in found.stderr.decode()
    assert found.stderr.count(b"\n") == 1


def test_without_dead_letters_it_says_so(stored: Stored) -> None:
    stored.organism("echo")
    stored.run("echo={}")
    assert dead(stored, "list").stdout == b"No dead letters.\n"
    assert listed(stored) == []
    for command in ("retry", "drop"):
        found = dead(stored, command, "--all", "--yes")
        assert (found.returncode, b"no dead letter matches" in found.stderr) == (0, True)


def test_3_and_4_as_the_other_commands_that_look_in(bench: Bench) -> None:
    bench.organism("echo")
    commands = (["list"], ["show", "1"], ["retry", "1"], ["drop", "1"])
    for command, *number in commands:
        found = bench.run("dead", command, "organism.yaml", *number)
        assert (found.returncode, found.stdout) == (4, b"")
        assert b"exists only during a run" in found.stderr
    in_sqlite(bench).organism("echo")
    assert b"run one" in bench.run("dead", "list", "organism.yaml").stderr
    assert bench.run("dead", "list", "nowhere.yaml").returncode == 3
    assert not (bench.folder / "state").exists()


def test_a_backend_is_found_without_its_organism(stored: Stored) -> None:
    stored.organism("broken")
    stored.run(BROKEN)
    by_options = stored.bench.run("dead", "show", *stored.options, "1", "--json")
    assert by_options.stdout == dead(stored, "show", "1", "--json").stdout
    retried = stored.bench.run("dead", "retry", *stored.options, "1", "--yes")
    assert retried.returncode == 0
    assert b"no run of the organism is active" in retried.stderr


HOSTILE = json.dumps({"text": "\x1b[31m[bold red]\x9b1m\u202e\nsecond"})


def test_nothing_that_is_stored_can_steer_a_terminal(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("broken")
    stored.run(f"broken={HOSTILE}")
    commands = (
        ["list"],
        ["show", "1"],
        ["show", "1", "--json"],
        ["list", "--jsonl"],
        ["drop", "1"],
        ["retry", "--all"],
    )
    for command, *arguments in commands:
        shown = dead(stored, command, *arguments, NO_COLOR="1", FORCE_COLOR="1")
        assert shown.returncode == 0
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", shown.stdout)
        assert b"[bold red]" in shown.stdout


@pytest.mark.parametrize(("columns", "whole"), [(80, False), pytest.param(200, True, marks=pytest.mark.slow)])
def test_a_table_fits_the_terminal(bench: Bench, columns: int, whole: bool) -> None:
    stored = in_sqlite(bench)
    stored.organism("broken")
    ran = stored.run("broken=" + json.dumps({"text": "a long story " * 30}), f"broken={HOSTILE}")
    for command, *arguments in (["list"], ["show", "1"], ["retry", "1"], ["drop", "--all"]):
        terminal = Terminal(columns)
        environ = bench.environment(TERM="xterm-256color", NO_COLOR="1")
        process = bench.start("dead", command, "organism.yaml", *arguments, env=environ, stdout=terminal.theirs)
        shown = terminal.read(process).decode()
        assert process.returncode == 0
        assert all(len(line) <= columns for line in shown.splitlines()), shown
        assert "\x1b" not in shown
        ids = any(one["conversation"] in shown for one in ran["outputs"])
        assert ids == (whole or command == "show")


def test_the_users_code_is_not_run_and_what_is_not_needed_is_not_imported(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("broken")
    stored.run(BROKEN)
    (bench.folder / "handlers.py").write_text("open('ran', 'w').close()")
    code = "import sys; from xpipe.cli.app import run_command_line as run; run(sys.argv[1:]); print(*sys.modules)"
    for command, *arguments in (["list"], ["show", "1"], ["retry", "1", "--yes"], ["drop", "--all"]):
        looked = subprocess.run(
            [sys.executable, "-c", code, "dead", command, "organism.yaml", *arguments],
            cwd=bench.folder, env=bench.environment(), capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        unwanted = {"redis", "rich", "lxml", "multiprocessing", "xpipe.assembly", "xpipe.runtime.pump"}
        assert not unwanted & set(looked.stderr.split())
    assert not (bench.folder / "ran").exists()


def test_without_a_command_it_shows_help(bench: Bench) -> None:
    shown = bench.run("dead")
    assert (shown.returncode, shown.stderr) == (0, b"")
    for command in ("list", "show", "retry", "drop"):
        assert command.encode() in shown.stdout
        usage = bench.run("dead", command, "--help")
        assert (usage.returncode, b"Examples" in usage.stdout) == (0, True)


def test_a_fault_cannot_forge_lines() -> None:
    trace = "Traceback:\nValueError: one\rxpipe: forged\u2028xpipe: too\x85xpipe: and this"
    fault = Fault("exception", "one\rtwo\u2028three", "echo", traceback=trace)
    view = LetterView(DeadLetter(b"", b"", told=True, number=1), None, fault, "", "echo")
    letter = "\n".join(LetterViews(Printer(Medium(None, color=False, live=False)), 0.0).whole(view))

    assert "fault         exception: one\\rtwo\\u2028three\n" in letter
    assert letter.endswith("   ValueError: one\\rxpipe: forged\\u2028xpipe: too\\x85xpipe: and this")


def test_rejected_input_is_kept_with_its_source_line_and_text(stored: Stored) -> None:
    # Given input of which two documents are no messages, and a broken one from the command line
    stored.organism("echo")
    lines = ['{"text": "fine"}', '{"text": 1}', '{"txt": "größe"', '{"text": "fine too"}']
    (stored.bench.folder / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = stored.bench.run("run", "organism.yaml", "--input", "in.jsonl", "--send", "echo={oops", "--jsonl")
    assert run.returncode == 1
    faults = [row["conversation"] for row in rows(run.stdout) if row["kind"] == "fault"]
    # When the dead letters are looked at
    found = listed(stored)
    # Then each of the three is there with what it was
    assert {row["conversation"] for row in found} == set(faults)
    assert [row["kind"] for row in found] == ["rejected"] * 3
    kept = {row["payload"]["text"]: (row["payload"]["source"], row["payload"]["line"]) for row in found}
    assert kept[lines[1]] == ("in.jsonl", 2)
    assert kept[lines[2]] == ("in.jsonl", 3)
    assert kept["{oops"][1] == 0
    assert {row["told"] for row in found} == {True}
    # and one is shown whole
    [number] = [row["number"] for row in found if row["payload"]["line"] == 3]
    shown = dead(stored, "show", str(number)).stdout.decode()
    assert "source: in.jsonl" in shown
    assert "größe" in shown
    # and cannot be sent again as it is
    retried = dead(stored, "retry", str(number), "--yes")
    assert retried.returncode == 1
    assert b"it never was a message; correct its text and send it" in retried.stderr


def test_a_file_of_the_wrong_kind_does_not_push_out_other_dead_letters(stored: Stored) -> None:
    stored.organism("echo")
    (stored.bench.folder / "in.jsonl").write_text('{"wrong": 1}\n' * (MOST_KEPT + 10))

    run = stored.bench.run("run", "organism.yaml", "--input", "in.jsonl", "--jsonl")

    assert len(rows(run.stdout)) == MOST_KEPT + 10
    assert len(listed(stored, "--limit", str(2 * MOST_KEPT))) == MOST_KEPT


def test_what_was_rejected_of_xml_is_kept_with_its_text(stored: Stored) -> None:
    stored.organism("echo")
    lines = ["<Ask><text>fine</text></Ask>", "stray", "<Ask><txet>1</txet></Ask>", "<Ask><text>größe"]
    (stored.bench.folder / "in.xml").write_text("\n".join(lines), encoding="utf-8")

    run = stored.bench.run("run", "organism.yaml", "--input", "in.xml", "--jsonl")

    assert run.returncode == 1
    kept = {row["payload"]["text"].strip(): row["payload"]["line"] for row in listed(stored)}
    assert kept == {lines[1]: 2, lines[2]: 3, lines[3]: 4}


def test_a_rejected_document_is_kept_up_to_the_limit_of_a_payload(bench: Bench) -> None:
    stored = in_sqlite(bench)
    stored.organism("echo", more="limits: {payload_bytes: 2000}\n")
    (bench.folder / "in.jsonl").write_text('{"text": "' + "x" * 5_000 + '"}\n{"text": "' + "y" * 100 + "\n")

    assert bench.run("run", "organism.yaml", "--input", "in.jsonl").returncode == 1

    kept = sorted(len(row["payload"]["text"]) for row in listed(stored))
    assert kept[-1] == 2_000
