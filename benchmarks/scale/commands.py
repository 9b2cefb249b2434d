"""How long the longest single Redis command of a listing holds up the server, by the server's own slow log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

import redis

from benchmarks.report import Bar, Cell, Column, Table
from benchmarks.scale.contents import Crowd
from benchmarks.talk import tell
from benchmarks.timing import Sample, interleaved, timed
from xpipe.backends.redis_scripts import script
from xpipe.ports import SharedBackend

MOST_MILLISECONDS = 10.0
LOG_LENGTH = 1_000_000
LOGGED_MICROSECONDS = 100
"""What takes less is not logged: a log of each small command that a script calls would make the script slower."""
COLUMNS = (
    *(Column("verb"), Column("things"), Column("seconds", 3), Column("ms of the longest")),
    *(Column("ms without pauses"), Column("which one")),
)
NOTE = (
    f"By SLOWLOG, from {LOGGED_MICROSECONDS} us on, a script counting as one command; reset before each verb. Without "
    "pauses: every run sends the same commands; of each the shortest time counts, as the system's pauses lengthen some "
    "in each run. The bar is for the longest of these."
)


@dataclass(frozen=True, slots=True)
class Served:
    """What a verb asked of the server: how many things it listed, and its commands with their milliseconds."""

    things: int
    seconds: float
    commands: dict[bytes, float]

    @property
    def longest(self) -> float:
        return max(self.commands.values(), default=0.0)


def longest_commands(crowd: Crowd, repeats: int) -> Table:
    """Every verb that lists, on everything that there is."""
    tell("the longest Redis command of each listing")
    with redis.Redis.from_url(crowd.url) as client:
        client.config_set("slowlog-max-len", LOG_LENGTH)
        client.config_set("slowlog-log-slower-than", LOGGED_MICROSECONDS)
        verbs = {name: partial(_served, client, verb) for name, verb in _verbs(crowd.backend).items()}
        runs = interleaved(verbs, repeats)
    without_pauses = {name: _without_pauses(served) for name, served in runs.items()}
    rows = [_row(name, served, *without_pauses[name]) for name, served in runs.items()]
    worst = max(without_pauses, key=lambda name: without_pauses[name][0])
    bar = Bar(f"milliseconds of the longest command of all ({worst})", without_pauses[worst][0], MOST_MILLISECONDS)
    return Table("The longest single Redis command", COLUMNS, rows, [bar], f"{NOTE} {crowd.description}")


def _without_pauses(served: list[Served]) -> tuple[float, str]:
    """The longest command by its shortest time, and its name."""
    texts = served[0].commands.keys()
    shortest = {text: min(one.commands.get(text, 0.0) for one in served) for text in texts}
    longest = max(shortest, key=lambda text: shortest[text], default=b"")
    return shortest.get(longest, 0.0), _name(longest)


def _row(name: str, served: list[Served], longest: float, command: str) -> Sequence[Cell]:
    seconds, longest_of_runs = Sample.of(one.seconds for one in served), Sample.of(one.longest for one in served)
    return name, served[-1].things, seconds, longest_of_runs, longest, command


def _verbs(backend: SharedBackend) -> dict[str, Callable[[], Iterable[object]]]:
    return {
        "registry_entries()": backend.registry_entries,
        "threads()": backend.threads,
        "threads(newest=True)": lambda: backend.threads(newest=True),
        "find_threads('a', 50)": lambda: backend.find_threads("a", 50),
        "conversations()": backend.conversations,
        "buffer_iter_threads()": backend.buffer_iter_threads,
        "orphans()": backend.orphans,
        "damages()": backend.damages,
        "totals()": lambda: [backend.totals()],
        "info()": lambda: [backend.info()],
    }


def _served(client: redis.Redis, verb: Callable[[], Iterable[object]]) -> Served:
    client.slowlog_reset()
    listed = timed(lambda: sum(1 for _ in verb()))
    commands: dict[bytes, float] = {}
    for entry in client.slowlog_get(LOG_LENGTH):
        text, milliseconds = entry["command"], entry["duration"] / 1_000
        if not text.startswith(b"SLOWLOG"):
            commands[text] = max(milliseconds, commands.get(text, 0.0))
    return Served(listed.result, listed.seconds, commands)


def _name(command: bytes) -> str:
    first, _, others = command.decode(errors="replace").partition(" ")
    sha = others.partition(" ")[0]
    return f"script {_scripts().get(sha, sha)}" if first == "EVALSHA" else first


@cache
def _scripts() -> dict[str, str]:
    names = (file.name.removesuffix(".lua") for file in files("xpipe.backends").joinpath("lua").iterdir())
    return {script(name).sha: name for name in names}
