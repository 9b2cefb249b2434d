"""What has to hold after runs were killed. Each check yields a sentence for everything that is wrong."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing

import redis
import redis_server

from faults.shapes import answers_in, document_of, expected_shapes, shape_of
from faults.world import World
from xpipe.ports import SharedBackend

ROOT = "system.mortal"
ROUND = 100
"""Expected shapes are made for this many documents at a time."""


class Verdict:
    """Looks at the state that a scenario left. `conversations`: those in it; `answers`: what answers they have."""

    def __init__(self, world: World, forgetful: bool = False) -> None:
        self.conversations = self.answers = 0
        self._world = world
        self._forgetful = forgetful
        self._expected = expected_shapes(-(-world.documents // ROUND) * ROUND)
        self._seen: defaultdict[int, set[str]] = defaultdict(set)

    def wrong(self) -> list[str]:
        """All that is wrong, before what is over is forgotten."""
        with self._world.look() as backend:
            return [
                *self._wrong_conversations(backend),
                *self._wrong_outputs(),
                *self._wrong_documents(),
                *unsound(backend),
            ]

    def _wrong_conversations(self, backend: SharedBackend) -> Iterator[str]:
        ids: Counter[str] = Counter()
        for one in backend.conversations():
            shape, messages = shape_of(backend, one.id)
            ids.update(messages)
            document = document_of(shape)
            self._seen[document].add(one.id)
            self.conversations += 1
            self.answers += one.outputs
            outputs = len(answers_in(self._expected[document]))
            if (one.state, one.outputs, one.delivered, one.threads) != ("done", outputs, outputs, len(shape)):
                yield f"document {document}: {one}"
            if shape != self._expected[document]:
                yield f"document {document}: its threads are {shape}, not {self._expected[document]}"
        yield from (f"{times} messages have the id {id}" for id, times in ids.items() if times > 1)

    def _wrong_outputs(self) -> Iterator[str]:
        """No answer is missing among those that were printed, or is another one."""
        printed = self._world.printed()
        answers = {answer for shape in self._expected[: self._world.documents] for answer in answers_in(shape)}
        for one in printed:
            self._seen[one.document].add(one.conversation)
            if one.kind != "response" or one.answer not in answers:
                yield f"{one} was printed, which is no answer to any document"
        for document, result in sorted(answers - {one.answer for one in printed}):
            yield f"the answer {result} to document {document} was never printed"

    def _wrong_documents(self) -> Iterator[str]:
        """Each document was injected once. Only where conversations are forgotten may one be gone from the state."""
        for document, conversations in self._seen.items():
            if len(conversations) != 1 or document not in range(self._world.documents):
                yield f"document {document} belongs to the conversations {conversations}"
        if not self._forgetful and self.conversations != self._world.documents:
            yield f"{self.conversations} conversations for {self._world.documents} documents"


def unsound(backend: SharedBackend) -> list[str]:
    """What contradicts itself, or is still under way although all is over."""
    return [*_wrong_totals(backend), *_belonging_to_nothing(backend), *_damaged(backend)]


def _wrong_totals(backend: SharedBackend) -> Iterator[str]:
    """The counters say what the listings show."""
    threads, totals = list(backend.threads()), backend.totals()
    counted = {
        "threads": len(threads),
        "conversations": sum(1 for _ in backend.conversations()),
        "conversations_active": 0,
        "in_flight": 0,
        "slots": sum(len(backend.buffer_get_thread(one.thread)) for one in threads),
        "joins": sum(1 for _ in backend.joins()),
        "dead_letters": sum(1 for _ in backend.dead_letters()),
    }
    for name, count in counted.items():
        if getattr(totals, name) != count:
            yield f"the total of {name} is {getattr(totals, name)}, and there are {count}"
    if totals.joins or totals.dead_letters or backend.load().in_flight or list(backend.ready_listeners()):
        yield f"something is left: {totals}, {backend.load()}, ready for {backend.ready_listeners()}"


def _belonging_to_nothing(backend: SharedBackend) -> Iterator[str]:
    of_conversations = [one.thread for found in backend.conversations() for one in backend.threads(found.id)]
    threads = {one.thread: one.chain for one in backend.threads()}
    if sorted(of_conversations) != sorted(threads):
        yield f"threads of no conversation, or of two: {set(threads) ^ set(of_conversations)}"
    pairs = backend.registry_list_all()
    roots = [uuid for uuid, chain in pairs.items() if chain == ROOT]
    if len(roots) != 1 or pairs.items() - threads.items() != {(roots[0], ROOT)} or threads.items() - pairs.items():
        yield f"the registry differs from the threads: {set(pairs.items()) ^ set(threads.items())}"
    if strange := set(backend.buffer_list_threads()) - set(threads):
        yield f"slots of no thread: {strange}"
    if pumps := backend.pumps():
        yield f"pumps that are gone are kept: {pumps}"


def _damaged(backend: SharedBackend) -> Iterator[str]:
    yield from map(str, backend.orphans())
    yield from map(str, backend.damages())
    verify = getattr(backend, "verify", list)
    yield from verify()


def left_behind(world: World) -> list[str]:
    """What there is besides the root when all that is over has been forgotten."""
    with world.look() as backend:
        left = unsound(backend)
        left += [str(one) for one in backend.threads()]
        left += [f"pair: {one}" for one in backend.registry_list_all().items() if one[1] != ROOT]
    return left + (_rows(world) if world.backend == "sqlite" else _keys(world))


_KEPT_TABLES = {"organism", "counters", "numbers", "cursors"}


def _rows(world: World) -> list[str]:
    with closing(sqlite3.connect(world.file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    return [f"{rows} rows in {name}" for name, rows in counts.items() if rows and name not in _KEPT_TABLES]


_KEPT_KEYS = {"organism", "secret", "counters", "numbers", "cursors", "registry", "upkeep"}


def _keys(world: World) -> list[str]:
    with world.look() as backend:
        kept = _KEPT_KEYS | {f"chain:{ROOT}", f"uuid:{backend.registry_get_uuid(ROOT)}"}
    with redis.Redis.from_url(redis_server.shared().url) as raw:
        names = {key.decode().removeprefix(world.prefix) for key in raw.scan_iter(f"{world.prefix}*", count=1_000)}
        # By the number of its last call a late one of a pump is told from a new one; it goes by itself.
        calls = {name for name in names if name.startswith("call:") and raw.ttl(world.prefix + name) > 0}
    return [f"key {name}" for name in sorted(names - kept - calls)]
