"""A memory backend and one in Redis that are told the same, and compared."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import redis as client
import redis_server
from msgspec.structs import replace

from xpipe.backends.memory import InMemoryBackend
from xpipe.backends.redis import RedisBackend
from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.core.messages import Claim, Cursor, DeadLetter, Injection, PumpRecord, Step
from xpipe.core.payloads import Fault
from xpipe.ports import Advanced, Damage

PUMPS = ("p1", "p2", "p3")


class Twins(InMemoryBackend):
    """A memory backend that has Redis do the same, and compares."""

    def __init__(self, max_threads: int = 100_000) -> None:
        super().__init__(max_threads)
        self.redis = RedisBackend(redis_server.shared().url, redis_server.new_prefix(), max_threads=max_threads)
        self.redis._upkeep._next = float("inf")  # It would take away what pumps claim that are not enrolled.
        self.raw = client.Redis.from_url(redis_server.shared().url)

    def open(self, organism: str | None, slots_per_thread: int) -> None:
        super().open(organism, slots_per_thread)
        self.redis.open(organism, slots_per_thread)
        self._ledger.secret = self.redis.secret()
        self._ledger.root_id = chains.thread_id(self.redis.secret(), self._ledger.root)

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        theirs = self.redis.advance(pump, finished, room, most, now)
        ours = super().advance(pump, finished, room, most, now)
        assert comparable(theirs) == comparable(ours)
        return ours

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        ids = super().inject(pump, messages, now, cursor, seen)
        assert self.redis.inject(pump, messages, now, cursor, seen) == ids
        return ids

    def enroll(self, pump: PumpRecord) -> None:
        super().enroll(pump)
        self.redis.enroll(pump)

    def both(self, verb: str, *args: Any, **options: Any) -> Any:
        """What `verb` answers, which is the same for both."""
        ours, theirs = (answer_of(getattr(one, verb), args, options) for one in (super(), self.redis))
        assert ours == theirs, verb
        return ours

    def close(self) -> None:
        self.redis.close()
        self.raw.close()

    def corrupt(self, thread: str, index: int, data: bytes) -> None:
        self._store.threads[thread].slots[index] = data
        self.raw.lset(f"{self.redis._prefix}buffer:{thread}", index, data)

    def compare(self) -> None:
        """Everything that can be seen from outside."""
        for verb in ("root", "load", "totals", "ready_listeners", "dead_letters", "damages"):
            self.both(verb)
        # A pump that was never enrolled, or is buried, leaves traces.
        assert [one for one in self.redis.orphans() if one.kind != "pump"] == []
        for newest in (False, True):
            self.both("threads", newest=newest)
            self.both("conversations", running=newest)
        for owner in (*PUMPS, "", "nobody"):
            self.both("conversations", owner=owner)
            self.both("cursor", owner)
        for verb in ("joins", "registry_entries", "buffer_list_threads"):
            in_any_order(self, verb)
        self.both("registry_list_all")
        for id in self.buffer_list_threads():
            self.both("buffer_get_thread", id)
            self.both("join_results", id)
        for conversation in self._store.conversations:
            self.both("threads", conversation)
            self.both("threads", conversation, newest=True)
            self.both("hops", conversation)

    def compare_prefixes(self, prefix: str) -> None:
        ours, theirs = (sorted(one.find_threads(prefix, 1_000), key=repr) for one in (super(), self.redis))
        assert ours == theirs
        assert len(self.redis.find_threads(prefix, 2)) == min(2, len(ours))


def answer_of(method: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    try:
        answer = method(*args, **options)
    except LimitError as error:
        return str(error)
    return [alike(one) for one in answer] if isinstance(answer, Iterator) else answer


def alike(one: Any) -> Any:
    """Redis tells of a slot by its key; a letter of what was set aside bears the time of day."""
    if isinstance(one, Damage):
        return dataclasses.replace(one, key=slot_of(one.key))
    if isinstance(one, DeadLetter) and one.at > 1e8:
        fault = msgspec.msgpack.decode(one.fault, type=Fault)
        fault = dataclasses.replace(fault, text=slot_of(fault.text))
        return replace(one, fault=msgspec.msgpack.encode(fault), at=0.0)
    return one


def slot_of(key: str) -> str:
    return re.sub(r"\S+:buffer:(\S+) slot (\d+)", r"slot \2 of the thread \1", key)


def in_any_order(both: Twins, verb: str) -> None:
    ours, theirs = (sorted(getattr(one, verb)(), key=repr) for one in (super(Twins, both), both.redis))
    assert ours == theirs, verb


def comparable(advanced: Advanced) -> Any:
    """The order in which a claim tells the open calls of its thread means nothing."""
    claims = [
        (*(getattr(one, name) for name in Claim.__struct_fields__ if name != "open"), sorted(one.open))
        for one in advanced.claims
    ]
    return dataclasses.replace(advanced, claims=claims)
