"""`python -m benchmarks`: its command line, its tables, and what it takes a child's memory to be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis_server

from benchmarks.case import Case, Demand, Measure, Side
from benchmarks.cases import CASES
from benchmarks.options import Options, Size
from benchmarks.report import Bar, Report, Table, as_data, document
from benchmarks.timing import Sample

ROOT = Path(__file__).parents[2]
SPEED = Measure("hops/s", lambda one: one["hops"] / one["seconds"], 0, higher=True)
TRIPS = Measure("trips", lambda one: one["trips"])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the package `benchmarks` is."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_the_cases_are_listed_with_what_they_are() -> None:
    listed = python("-m", "benchmarks", "--list")

    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(CASES)
    assert all(len(line.split()) > 3 for line in listed.stdout.splitlines())


def test_an_unknown_case_is_a_usage_error_that_names_those_there_are() -> None:
    refused = python("-m", "benchmarks", "speed")

    assert refused.returncode == 2
    assert "no such case: speed; there are chain-memory, chain-redis" in refused.stderr


def test_what_cannot_be_profiled_is_a_usage_error_that_names_what_can() -> None:
    refused = python("-m", "benchmarks", "--profile", "scale")

    assert refused.returncode == 2
    assert "--profile scale: that cannot be profiled; these can: chain-memory" in refused.stderr


def race(*demands: Demand) -> Case:
    """We make 100, 120 and 90 hops in a second, one peer 10, 20 and 10, the other one 20, 10 and 15."""
    runs = {"we": [100, 120, 90], "one peer": [10, 20, 10], "another": [20, 10, 15]}

    def side(name: str) -> Side:
        left = iter(runs[name])
        return Side(name, lambda _: {"hops": next(left), "seconds": 1.0}, f"**{name}**: as it comes")

    return Case("race", "A race", lambda _: [side(name) for name in runs], [SPEED, TRIPS], demands)


def run(case: Case) -> Table:
    [table] = case.main(Options(repeats=3, size=Size.NORMAL))
    return table


def test_sides_are_compared_run_by_run_with_the_best_of_those_they_are_to_beat() -> None:
    table = run(race(Demand("we", SPEED, 5, 10, over=("one peer", "another"))))

    # The runs that were neighbours are 100/20, 120/10 and 90/15.
    [bar] = table.bars
    assert bar == Bar("we: hops/s, times that of another", 6.0, 5, at_least=True, aim=10)


def test_every_second_round_runs_the_sides_backwards() -> None:
    order: list[str] = []

    def side(name: str) -> Side:
        return Side(name, lambda _: order.append(name) or {"hops": 1.0, "seconds": 1.0})

    run(Case("race", "A race", lambda _: [side("a"), side("b")], [SPEED]))

    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_table_has_a_row_for_each_side_with_its_times_of_the_first() -> None:
    table = run(race())

    assert [(row[0], row[-1]) for row in table.rows] == [("we", 1.0), ("one peer", 1 / 9), ("another", 1 / 6)]
    assert table.rows[0][1] == Sample((100.0, 120.0, 90.0))


def test_what_a_side_does_not_tell_stays_empty() -> None:
    assert [row[2] for row in run(race()).rows] == ["", "", ""]


def test_a_demand_on_somebody_who_is_not_installed_is_no_bar_and_the_note_says_who() -> None:
    absent = Side("Celery", lambda _: {}, missing="celery")
    here = Side("we", lambda _: {"hops": 1.0, "seconds": 1.0})
    demand = Demand("we", SPEED, 5, over=("Celery",))

    table = run(Case("race", "A race", lambda _: [here, absent], [SPEED], [demand]))

    assert not table.bars
    assert "Celery did not take part: celery is not installed." in table.note


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [
        (4.9, True, "MISSED"),
        (5.0, True, "met"),
        (10.0, True, "met, aim reached"),
        (5.1, False, "MISSED"),
        (5.0, False, "met"),
    ],
)
def test_a_bar_is_met_or_missed_and_its_aim_reached_or_not(value: float, at_least: bool, verdict: str) -> None:
    assert Bar("speed", value, 5, at_least, aim=10 if at_least else 2).verdict == verdict


def test_the_document_has_all_bars_in_one_table_and_what_failed() -> None:
    table = run(race(Demand("we", SPEED, 5, 10, over=("another",))))
    report = Report("2025-01-01", "python -m benchmarks", {"cores": "2"}, {}, {"race": [table]}, {"slow": "it\nhung"})

    text = document(report)

    assert "| race | we: hops/s, times that of another | 6 | ≥ 5 | ≥ 10 | met |" in text
    assert "| slow | not measured: it | | | | FAILED |" in text
    assert "| we | 100 (90 to 120) |  | 1.00 |" in text
    assert as_data(report)["cases"]["race"][0]["rows"][0]["hops/s"] == {"median": 100, "runs": [100, 120, 90]}


def test_the_peak_memory_of_a_child_is_its_own_and_not_that_of_who_measures() -> None:
    measured = python(
        "-c",
        "from benchmarks.child import run; import sys; ballast = bytearray(b'x') * 200_000_000;"
        "print(run(sys.executable, '-c', 'print(1)').peak)",
    )

    assert 1 < float(measured.stdout) < 100


def test_a_child_that_fails_is_named_with_what_it_said() -> None:
    failed = python("-c", "from benchmarks.child import run_xpipe; run_xpipe('threads', '--backend', 'nothing')")

    assert "benchmarks.errors.Failed" in failed.stderr
    assert "exit code 2: xpipe: there is no backend 'nothing'" in failed.stderr


@pytest.mark.slow
@pytest.mark.skipif(redis_server.binary() is None, reason=redis_server.NO_SERVER)
def test_the_case_scale_fills_four_tables_and_writes_the_same_as_json(tmp_path: Path) -> None:
    done = python("-m", "benchmarks", "scale", "--quick", "--repeats", "1", "--json", str(tmp_path / "scale.json"))

    # Whether a bar is met at this size, on whatever machine this is, is not what is tested.
    assert done.returncode in (0, 1), done.stderr
    written = json.loads((tmp_path / "scale.json").read_text(encoding="utf-8"))
    tables = written["cases"]["scale"]
    assert [len(table["rows"]) for table in tables] == [2, 10, 6, 4]
    assert all(table["bars"] for table in tables)
    assert all(f"### {table['title']}" in done.stdout for table in tables)
    assert {"processor", "cores", "memory", "system"} <= written["machine"].keys()
    assert written["versions"]["redis-server"] in done.stdout
