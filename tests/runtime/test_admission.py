"""How often one looks whether there is room for what comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.living import count_looks, live, payload, write
from xpipe import Organism
from xpipe.runtime import admission

CODE = """
async def echo(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""


async def send_one_by_one(organism: Organism, many: int) -> None:
    for n in range(many):
        await organism.outputs(await organism.inject("echo", payload(organism, n=n)))


@pytest.mark.parametrize(("fresh", "messages", "expected"), [(3_600.0, 100, 1), (0.0, 10, 10)])
def test_far_from_the_limits_one_look_does_for_many_messages_while_it_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: float, messages: int, expected: int
) -> None:
    monkeypatch.setattr(admission, "FRESH", fresh)

    async def scenario(organism: Organism) -> None:
        looks = count_looks(organism)
        await send_one_by_one(organism, messages)
        assert len(looks) == expected

    live(write(tmp_path, CODE, {"echo": {}}), scenario)


@pytest.mark.parametrize("limits", [{"limits": {"in_flight": 2}}, {"backend": {"max_threads": 40}}])
def test_near_a_limit_every_message_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, dict[str, int]]
) -> None:
    monkeypatch.setattr(admission, "FRESH", 3_600.0)

    async def scenario(organism: Organism) -> None:
        await send_one_by_one(organism, 18)  # With `max_threads`, 36 are kept now.
        looks = count_looks(organism)
        await send_one_by_one(organism, 2)
        assert len(looks) == 2

    live(write(tmp_path, CODE, {"echo": {}}, **limits), scenario)
