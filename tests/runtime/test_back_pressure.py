"""`limits.in_flight` holds back the items of Buffers, however they are nested; the same on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.living import assert_nothing_left, live, payload, write
from runtime.stores import section
from xpipe import Organism
from xpipe.ports import Advanced

CODE = """
async def item(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    return respond(Answer(ask.n))
"""
DECLARED = [{"name": "inner", "buffer": "item"}, {"name": "outer", "buffer": "inner"}]
MOST = 20


def organism_in(folder: Path, backend: str) -> Path:
    path = write(folder, CODE, {"item": {}}, limits={"in_flight": MOST}, backend=section(backend))
    document = yaml.safe_load(path.read_text())
    document["listeners"] += DECLARED
    path.write_text(yaml.safe_dump(document))
    return path


def watch(organism: Organism) -> list[int]:
    """Grows with each commit by the number of messages in flight after it."""
    seen: list[int] = []
    advance = organism.backend.advance

    def watched(*arguments: Any) -> Advanced:
        advanced = advance(*arguments)
        seen.append(advanced.in_flight)
        return advanced

    organism.backend.advance = watched  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("backend", ["memory", "manager", "sqlite", "redis"])
def test_buffers_in_buffers_stay_within_twice_the_limit_and_all_complete(tmp_path: Path, backend: str) -> None:
    async def scenario(organism: Organism) -> None:
        seen = watch(organism)
        items = payload(organism, "Items", items=[{"items": [{"n": n} for n in range(25)]} for _ in range(25)])

        [output] = await organism.outputs(await organism.inject("outer", items))

        assert [one.result.successful for one in output.payload.results] == [25] * 25
        assert MOST // 2 <= max(seen) <= 2 * MOST
        assert_nothing_left(organism)

    live(organism_in(tmp_path, backend), scenario, deadline=100.0)


def test_what_is_held_back_costs_few_hops(tmp_path: Path) -> None:
    async def scenario(organism: Organism) -> None:
        items = payload(organism, "Items", items=[{"n": n} for n in range(400)])

        [output] = await organism.outputs(await organism.inject("inner", items))

        assert output.payload.successful == 400
        assert organism.stats.hops <= 400 + 2 + 400 // 4, "the Buffer is asked for a further piece, not for each item"

    live(organism_in(tmp_path, "memory"), scenario, deadline=100.0)
