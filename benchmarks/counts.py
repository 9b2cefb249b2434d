"""What xpipe asks of each backend for a hop, counted."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import roster
from benchmarks.case import COMMANDS_PER_HOP, ROUND_TRIPS_PER_HOP, Case, Measure, Side, side
from benchmarks.chains import chain
from benchmarks.options import some

COUNTED = {"sqlite": "statements", "redis": "sends", "manager": "proxy_calls"}
SENDS = Measure("sends/hop", lambda one: one["sends"] / one["hops"], 4)
STATEMENTS = Measure("SQLite statements/hop", lambda one: one["statements"] / one["hops"], 2)
PROXY_CALLS = Measure("proxy calls/hop", lambda one: one["proxy_calls"] / one["hops"], 4)


def _sides(share: float) -> Sequence[Side]:
    return [side(roster.xpipe(backend), {**chain(some(3_000, share)), "count": True}) for backend in COUNTED]


CASES = (
    Case(
        "counts",
        "What a hop asks of its backend, under load",
        _sides,
        (SENDS, ROUND_TRIPS_PER_HOP, COMMANDS_PER_HOP, STATEMENTS, PROXY_CALLS),
        note="A chain of three. Sends: on the client's connections; round trips and commands: by INFO of the server, "
        "commands also those that scripts call; statements: by SQLite's trace callback.",
    ),
)
