"""A memory backend and a state file that are told the same; the file through either of two connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.sqlite import SQLiteBackend
from xpipe.core.messages import Cursor, Injection, PumpRecord, Step
from xpipe.ports import Advanced, SharedBackend, ThreadRecord

CURSORS = ("in", "other")


def seen(backend: SharedBackend) -> dict[str, Any]:
    """All that can be seen of `backend`."""
    threads, conversations = list(backend.threads()), list(backend.conversations())
    return {
        "threads": threads,
        "newest": list(backend.threads(newest=True)),
        "found": {start: by_id(backend.find_threads(start, 1_000)) for start in "0123456789abcdef"},
        "slots": [backend.buffer_get_thread(one.thread) for one in threads],
        "hops": [list(backend.hops(one.id)) for one in conversations],
        "results": [backend.join_results(one.thread) for one in threads],
        "listed": sorted(backend.buffer_list_threads()),
        "registry": backend.registry_list_all(),
        "collections": {id: backend.collection_get("buffer", id) for id in sorted(backend.collection_ids("buffer"))},
        "entries": sorted(backend.registry_entries(), key=lambda one: one.uuid),
        "conversations": conversations,
        "running": list(backend.conversations(running=True)),
        "owned": {one.owner: list(backend.conversations(owner=one.owner)) for one in conversations},
        "belonging": [list(backend.threads(one.id, newest=True)) for one in conversations],
        "joins": list(backend.joins()),
        "dead": list(backend.dead_letters()),
        "damages": list(backend.damages()),
        "orphans": list(backend.orphans()),
        "cursors": [backend.cursor(name) for name in CURSORS],
        "pumps": backend.pumps(),
        "ready": backend.ready_listeners(),
        "totals": backend.totals(),
        "load": backend.load(),
        "root": (backend.root(), backend.secret()),
        "counts": [backend.info()[name] for name in ("buffer_threads", "registry_entries")],
    }


def by_id(threads: list[ThreadRecord]) -> list[ThreadRecord]:
    return sorted(threads, key=lambda one: one.thread)


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
        assert [one for one in self.files[0].verify() if "table slots holds damaged" not in one] == []
        for file in self.files:
            file.close()


def outcome(backend: SharedBackend, verb: str, *arguments: Any) -> Any:
    """What the call returns, or the kind of what it raises."""
    try:
        result = getattr(backend, verb)(*arguments)
        return list(result) if isinstance(result, Iterator) else result
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

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        assert self.pair is not None
        ids: list[str] = self.pair.call("inject", pump, messages, now, cursor, seen)
        return ids

    def enroll(self, pump: PumpRecord) -> None:
        assert self.pair is not None
        self.pair.call("enroll", pump)
