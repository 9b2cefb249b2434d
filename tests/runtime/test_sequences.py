"""Sequences through the running pump: steps in time, steps tried again, and listeners declared as a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.living import answer, ask, assert_nothing_left, live, payload, until
from runtime.primitive_kit import organism_in
from runtime.stores import on_every_backend
from xpipe import Organism


def chain(path: Path, steps: list[Any], n: int = 0) -> Any:
    """What a Sequence of `steps`, each a name or a name, a time-out and whether it is tried again, ends in."""

    async def scenario(organism: Organism) -> Any:
        found = await answer(organism, "chain", "Chain", steps=steps, n=n)
        assert_nothing_left(organism)
        return found

    return live(path, scenario)


@on_every_backend
def test_steps_with_and_without_a_time_out_follow_each_other(tmp_path: Path, backend: str) -> None:
    steps = ["plus", ["plus", 20.0, False], ["plus", 20.0, True], "plus"]
    assert chain(organism_in(tmp_path, backend), steps).ns == [4]


@on_every_backend
def test_a_step_past_its_time_is_the_error_of_that_step(tmp_path: Path, backend: str) -> None:
    told = chain(organism_in(tmp_path, backend), ["plus", ["endless", 0.2, False]])

    assert (told.what, told.code, told.text) == ("SequenceError", "timeout", "no answer within 0.2 s")


@on_every_backend
def test_a_step_whose_time_had_passed_before_it_began_is_the_error_of_that_step(tmp_path: Path, backend: str) -> None:
    told = chain(organism_in(tmp_path, backend), ["plus", ["endless", -3e9, False]])

    assert (told.what, told.code, told.text) == ("SequenceError", "timeout", "no answer within 0 s")


@on_every_backend
def test_a_step_that_fails_is_tried_again_until_it_works(tmp_path: Path, backend: str) -> None:
    told = chain(organism_in(tmp_path, backend), ["plus", ["flaky", 0.0, True], "plus"])

    assert told.ns == [3]
    assert (tmp_path / "tries-1").read_text() == "3"


def test_a_step_that_hangs_is_tried_again_in_a_thread_of_its_own(tmp_path: Path) -> None:
    assert chain(organism_in(tmp_path), [["slow_at_first", 0.3, True]]).ns == [1]


def test_a_step_past_its_time_is_found_out_by_the_next_run(tmp_path: Path) -> None:
    path = organism_in(tmp_path, "sqlite")

    async def first(organism: Organism) -> None:
        await organism.inject("chain", payload(organism, "Chain", steps=["plus", ["endless", 0.5, False]]))
        await until(lambda: (tmp_path / "begun").exists())

    async def second(organism: Organism) -> Any:
        [conversation] = await organism.resume()
        [output] = await organism.outputs(conversation)
        assert_nothing_left(organism)
        return output.payload

    live(path, first)
    assert live(path, second).code == "timeout"


@on_every_backend
def test_a_declared_sequence_answers_with_the_answer_of_its_last_step(tmp_path: Path, backend: str) -> None:
    retry = {"max_attempts": 4, "backoff": "10ms"}
    declared = {"invoice": {"sequence": ["plus", {"step": "flaky", "timeout": "20s", "retry": retry}, "echo"]}}

    async def scenario(organism: Organism) -> None:
        found = await answer(organism, "invoice", n=5)
        assert (type(found).__name__, found.n) == ("Answer", 7)
        assert_nothing_left(organism)

    live(organism_in(tmp_path, backend, declared), scenario)


def test_a_declared_sequence_that_fails_names_the_step(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        [output] = await ask(organism, "invoice", n=4)
        error = output.payload
        assert (type(error).__name__, error.code, error.step, error.index) == ("SequenceError", "exception", "picky", 1)

    live(organism_in(tmp_path, declared={"invoice": {"sequence": ["plus", "picky", "echo"]}}), scenario)


def test_declared_primitives_go_into_each_other(tmp_path: Path) -> None:
    declared = {
        "two": {"sequence": ["plus", "plus"]},
        "three": {"sequence": ["two", "plus"]},
        "all": {"buffer": {"target": "three", "max_in_flight": 3}},
    }

    async def scenario(organism: Organism) -> None:
        [output] = await ask(organism, "all", "Items", items=[{"n": n} for n in range(20)])
        assert [one.result.n for one in output.payload.results] == [n + 3 for n in range(20)]
        assert_nothing_left(organism)

    live(organism_in(tmp_path, declared=declared), scenario)
