"""Buffers through the running pump: windows, files, groups, early ends, and pumps that come and go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, live, payload, until
from runtime.primitive_kit import handled, organism_in
from runtime.stores import on_every_backend, on_lasting_backends
from xpipe import Organism


def fan(path: Path, target: str, count: int = 0, **options: Any) -> Any:
    """What a Buffer of `count` items for `target` ends in."""

    async def scenario(organism: Organism) -> Any:
        found = await answer(organism, "fan", "Fan", target=target, count=count, options=options)
        assert_nothing_left(organism)
        return found

    return live(path, scenario, deadline=100.0)


def lines(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(count)))
    return path


async def stopped_in_the_middle(organism: Organism, folder: Path, started: int) -> None:
    """Wait until `started` items have begun, then stop the organism."""
    await until(lambda: len(handled(folder, "begun")) >= started)
    organism.pump.stop_claiming()
    await organism.stop()


@on_every_backend
def test_two_thousand_items_are_never_more_than_sixteen_at_once(tmp_path: Path, backend: str) -> None:
    async def scenario(organism: Organism) -> None:
        [output] = await ask(organism, "all16", "Items", items=[{"n": n} for n in range(2_000)])
        complete = output.payload
        assert (complete.total, complete.success) == (2_000, True)
        assert [one.result.n for one in complete.results] == list(range(2_000))
        assert max(int(one.result.text) for one in complete.results) <= 16
        assert_nothing_left(organism)

    declared = {"all16": {"buffer": {"target": "counted", "max_in_flight": 16}}}
    live(organism_in(tmp_path, backend, declared), scenario, deadline=100.0)


def test_a_wide_buffer_has_few_messages_in_flight(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        conversation = await organism.inject("fan", payload(organism, "Fan", target="echo", count=20_000))
        most = 0
        while conversation in organism._waiting.running:
            most = max(most, organism.backend.load().in_flight)
            await asyncio.sleep(0)
        [output] = await organism.outputs(conversation)
        assert output.payload.ns == list(range(20_000))
        assert 250 <= most <= 1_001
        assert_nothing_left(organism)

    live(organism_in(tmp_path), scenario, deadline=100.0)


@on_lasting_backends
@pytest.mark.parametrize("from_file", [False, True])
def test_a_stopped_buffer_goes_on_in_the_next_run_with_each_item_once(
    tmp_path: Path, backend: str, from_file: bool
) -> None:
    path = organism_in(tmp_path, backend)
    lines(tmp_path / "in.jsonl", 60)
    options = {"items_from": "in.jsonl"} if from_file else {}

    async def first(organism: Organism) -> None:
        count = 0 if from_file else 60
        await organism.inject(
            "fan", payload(organism, "Fan", target="gated", count=count, options={"max_in_flight": 8, **options})
        )
        await stopped_in_the_middle(organism, tmp_path, 18)

    async def second(organism: Organism) -> Any:
        (tmp_path / "go").touch()
        [conversation] = await organism.resume()
        [output] = await organism.outputs(conversation)
        assert_nothing_left(organism)
        return output.payload

    live(path, first)
    assert 10 <= len(handled(tmp_path, "begun")) < 60
    told = live(path, second)
    assert (told.codes, told.ns) == (["fine"] * 60, list(range(60)))


@on_lasting_backends
def test_a_buffer_whose_time_had_passed_before_it_began_completes_at_once(tmp_path: Path, backend: str) -> None:
    told = fan(organism_in(tmp_path, backend), "gated", 3, timeout=-3e9, cancel_rest=True)

    assert told.codes == ["timeout"] * 3


@on_lasting_backends
def test_a_buffer_ends_in_time_although_the_run_that_started_it_is_gone(tmp_path: Path, backend: str) -> None:
    path = organism_in(tmp_path, backend)

    async def first(organism: Organism) -> None:
        options = {"timeout": 1.0, "max_in_flight": 4, "cancel_rest": True}
        await organism.inject("fan", payload(organism, "Fan", target="gated", count=30, options=options))
        await stopped_in_the_middle(organism, tmp_path, 14)

    async def second(organism: Organism) -> Any:
        [conversation] = await organism.resume()
        [output] = await organism.outputs(conversation)
        assert_nothing_left(organism)
        return output.payload

    live(path, first)
    told = live(path, second)
    assert told.codes == [*["fine"] * 10, *["timeout"] * 4, *["cancelled"] * 16]


def test_a_file_is_read_to_its_end_and_its_bad_lines_are_failed_items(tmp_path: Path) -> None:
    path = organism_in(tmp_path)
    values = [json.dumps({"n": n}) if n % 100 else '{"n": }' for n in range(1_500)]
    (tmp_path / "in.jsonl").write_text("\n".join(values))

    told = fan(path, "echo", items_from="in.jsonl", max_in_flight=50)

    assert told.total == 1_500
    assert told.codes == ["fine" if n % 100 else "bad_payload" for n in range(1_500)]
    assert told.text.startswith("items[0]: in.jsonl:1:")
    assert sorted(handled(tmp_path)) == told.ns == [n for n in range(1_500) if n % 100]


def test_a_file_may_be_xml(tmp_path: Path) -> None:
    path = organism_in(tmp_path)
    elements = "\n".join(f"<Ask><n>{n}</n></Ask>" for n in range(300))
    (tmp_path / "in.xml").write_text(f"<?xml version='1.0'?>\n<messages>{elements}<Oops/></messages>")

    told = fan(path, "echo", items_from="in.xml", max_in_flight=20)

    assert (told.ns, told.codes[-1]) == (list(range(300)), "bad_payload")


def test_a_file_that_is_not_there_is_a_buffer_error_that_names_it(tmp_path: Path) -> None:
    told = fan(organism_in(tmp_path), "echo", items_from="missing.jsonl")

    assert (told.what, told.code) == ("BufferError", "unreadable_items")
    assert "missing.jsonl" in told.text


def test_a_file_that_changes_meanwhile_is_a_buffer_error_and_ends_the_rest(tmp_path: Path) -> None:
    path = organism_in(tmp_path)
    lines(tmp_path / "in.jsonl", 100)

    async def scenario(organism: Organism) -> None:
        options = {"items_from": "in.jsonl", "max_in_flight": 5}
        conversation = await organism.inject("fan", payload(organism, "Fan", target="gated", options=options))
        await until(lambda: len(handled(tmp_path, "begun")) >= 15)
        lines(tmp_path / "in.jsonl", 99)
        (tmp_path / "go").touch()
        [output] = await organism.outputs(conversation)
        assert (output.payload.what, output.payload.code) == ("BufferError", "unreadable_items")
        assert "in.jsonl" in output.payload.text
        assert len(handled(tmp_path, "begun")) < 100
        assert_nothing_left(organism)

    live(path, scenario)


def test_a_file_with_too_many_items_ends_as_soon_as_that_is_known(tmp_path: Path) -> None:
    path = organism_in(tmp_path, limits={"fan_out": 40})
    lines(tmp_path / "in.jsonl", 1_000)

    told = fan(path, "echo", items_from="in.jsonl", max_in_flight=8)

    assert (told.what, told.code) == ("BufferError", "fan_out_too_wide")
    assert len(handled(tmp_path)) <= 40


@on_every_backend
def test_a_group_answers_item_by_item_and_member_by_member(tmp_path: Path, backend: str) -> None:
    told = fan(organism_in(tmp_path, backend), "team", 20, max_in_flight=7)

    assert told.listeners == ["team.one", "team.two"] * 20
    assert told.ns == [n + base for n in range(20) for base in (100, 200)]


@on_every_backend
def test_enough_successes_end_a_buffer_whose_rest_would_not(tmp_path: Path, backend: str) -> None:
    told = fan(organism_in(tmp_path, backend), "gated", 40, max_in_flight=20, min_success="25%", cancel_rest=True)

    assert told.codes == [*["fine"] * 10, *["cancelled"] * 30]


def test_too_many_faults_end_a_buffer_in_a_fault(tmp_path: Path) -> None:
    options = {"min_success": 90, "on_partial": "fault", "cancel_rest": True, "max_in_flight": 4}
    told = fan(organism_in(tmp_path), "picky", 100, **options)

    assert (told.what, told.code) == ("BufferError", "too_few_successes")
    assert "11 failed" in told.text


def test_fire_and_forget_keeps_to_its_window_and_runs_every_item(tmp_path: Path) -> None:
    told = fan(organism_in(tmp_path), "echo", 500, collect=False, max_in_flight=10)

    assert (told.what, told.total) == ("dispatched", 500)
    assert sorted(handled(tmp_path)) == list(range(500))


@on_every_backend
def test_a_declared_buffer_is_called_like_any_listener(tmp_path: Path, backend: str) -> None:
    declared = {
        "all": {"buffer": {"target": "picky", "max_in_flight": 4, "timeout": "20s", "min_success": "50%"}},
        "all-strict": {"buffer": {"target": "picky", "min_success": "90%", "on_partial": "fault"}},
    }
    path = organism_in(tmp_path, backend, declared)

    complete, error = fan(path, "all", 20), fan(path, "all-strict", 20)

    assert complete.codes == ["fine", "exception"] * 10
    assert (error.what, error.code) == ("BufferError", "too_few_successes")


def test_bad_items_of_a_file_count_as_faults_of_the_run_like_failed_ones(tmp_path: Path) -> None:
    path = organism_in(tmp_path, declared={"all": {"buffer": {"target": "echo"}}})
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": }\n{"n": "two"}\n')

    async def scenario(organism: Organism) -> None:
        [output] = await organism.outputs(await organism.inject("all", {"items_from": "in.jsonl"}))
        assert (output.payload.total, output.payload.successful) == (3, 1)
        assert organism.stats.fault_count == 2
        assert [(one.code, one.origin) for one in organism.stats.faults] == [("bad_payload", "echo")] * 2

    live(path, scenario)


@pytest.mark.parametrize(
    "items",
    [
        {"items": [{"n": 1}, {"n": 2}]},
        {"items_from": "in.jsonl"},
        '{"items": ["<Ask><n>1</n></Ask>", {"n": 2}]}',
        '<Items><items><item><Ask><n>1</n></Ask></item><item>{"n": 2}</item></items></Items>',
        "<Items><items_from>in.jsonl</items_from></Items>",
    ],
)
def test_a_declared_buffer_takes_items_from_outside_in_any_form(tmp_path: Path, items: Any) -> None:
    path = organism_in(tmp_path, declared={"all": {"buffer": {"target": "echo"}}})
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n{"n": 2}\n')

    async def scenario(organism: Organism) -> None:
        [output] = await organism.outputs(await organism.inject("all", items))
        assert [one.result.n for one in output.payload.results] == [1, 2]

    live(path, scenario)
