"""A memory backend and a state file that are told the same; the file through either of two connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.core.messages import Injection, Step
from xpipe.ports import Advanced, SharedBackend


def seen(backend: SharedBackend) -> dict[str, Any]:
    """All that can be seen of `backend`."""
    threads = list(backend.threads())
    return {
        "threads": threads,
        "slots": [backend.buffer_get_thread(one.thread) for one in threads],
        "results": [backend.join_results(one.thread) for one in threads],
        "listed": sorted(backend.buffer_list_threads()),
        "registry": sorted(backend.registry_list_all()),
        "conversations": list(backend.conversations()),
        "running": list(backend.conversations(running=True)),
        "joins": list(backend.joins()),
        "dead": list(backend.dead_letters()),
        "pumps": backend.pumps(),
        "totals": backend.totals(),
        "in_flight": backend.in_flight(),
        "counts": [backend.info()[name] for name in ("buffer_threads", "registry_entries")],
    }


class Pair:
    """`call` makes the same call on both; they must answer the same and look the same afterwards."""

    def __init__(self, path: Path, random: Random, max_threads: int, slots: int) -> None:
        self.random = random
        self.memory = InMemoryBackend(max_threads)
        self.files = [SQLiteBackend(path, max_threads) for _ in range(2)]
        for one in (self.memory, *self.files):
            one.open("org", slots)

    def call(self, verb: str, *arguments: Any) -> Any:
        expected = outcome(self.memory, verb, *arguments)
        file = self.random.choice(self.files)
        assert outcome(file, verb, *arguments) == expected, (verb, arguments)
        if self.random.random() < 0.2:
            self.compare()
        return expected

    def compare(self) -> None:
        assert seen(self.random.choice(self.files)) == seen(self.memory)

    def close(self) -> None:
        self.compare()
        assert self.files[0].verify() == []
        for file in self.files:
            file.close()


def outcome(backend: SharedBackend, verb: str, *arguments: Any) -> Any:
    """What the call returns, or the kind of what it raises."""
    try:
        return getattr(backend, verb)(*arguments)
    except Exception as error:
        return type(error)


class Twin(InMemoryBackend):
    """A memory backend for those who look into one; every commit is made on a file too and compared."""

    def __init__(self, path: Path, random: Random) -> None:
        super().__init__()
        self.path = path
        self.random = random
        self.pair: Pair | None = None

    def open(self, organism: str | None, slots_per_thread: int) -> None:
        super().open(organism, slots_per_thread)
        if self.pair is None:
            self.pair = Pair(self.path, self.random, self._max_threads, slots_per_thread)
            self.pair.memory._store = self._store
            self.pair.memory._state = self._state

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        assert self.pair is not None
        advanced = self.pair.call("advance", pump, finished, room, most, now)
        assert isinstance(advanced, Advanced)
        return advanced

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        assert self.pair is not None
        ids: list[str] = self.pair.call("inject", pump, messages, now)
        return ids
