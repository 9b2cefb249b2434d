"""Tests of the organism; run them with `pytest`. State lives in memory, so nothing remains."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from handlers import Description, Note

from xpipe import Organism, Output

FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True)
def state_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND", "memory")


async def outputs_of(payload: object) -> list[Output]:
    """The outputs of `describe` for `payload`."""
    async with Organism.load(FOLDER / "organism.yaml") as organism:
        conversation = await organism.inject("describe", payload)
        return await organism.outputs(conversation)


def test_a_note_is_described() -> None:
    [output] = asyncio.run(outputs_of(Note("Monday", "rain and sunshine")))

    assert (output.kind, output.sender) == ("response", "describe")
    assert output.payload == Description("Monday", 3, "sunshine")


def test_a_note_without_words_is_a_fault() -> None:
    [output] = asyncio.run(outputs_of(Note("Monday", "")))

    assert (output.kind, output.payload.code, output.payload.origin) == ("fault", "exception", "count")


@pytest.mark.parametrize("line", (FOLDER / "input.jsonl").read_text(encoding="utf-8").splitlines())
def test_every_sample_is_answered(line: str) -> None:
    [output] = asyncio.run(outputs_of(line))

    assert output.kind == "response"
