"""The Redis backend: state shared by several machines. Each commit is one Lua script, whatever the batch."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

import msgspec

from xpipe.backends.redis_content import RedisContent
from xpipe.backends.redis_link import BLOCK, Link
from xpipe.backends.redis_upkeep import Upkeep
from xpipe.backends.redis_wire import packed_start, packed_step, read_claim, read_events
from xpipe.core import chains
from xpipe.core.errors import BackendError
from xpipe.core.messages import (
    FAULT,
    REQUEST,
    Injection,
    Message,
    PumpRecord,
    Step,
    encode_message,
)
from xpipe.ports import Advanced, Capabilities

LAYOUT = 1
FORGET_AT_ONCE = 200
_encode = msgspec.msgpack.Encoder().encode
_decode_pump = msgspec.msgpack.Decoder(PumpRecord).decode


class RedisBackend(RedisContent):
    def __init__(
        self,
        url: str = "redis://localhost:6379",
        prefix: str = "xpipe:",
        ttl: int = 0,
        max_threads: int = 100_000,
    ) -> None:
        self.capabilities = Capabilities(
            cross_process=True, persistent=True, cross_host=True, expiry=ttl > 0, blocking=True
        )
        self._link = Link(url, prefix, ttl)
        self._prefix = prefix
        self._ttl = ttl
        self._max_threads = max_threads
        self._root = ""
        self._secret = b""
        self._slots_per_thread = 0
        self._tokens = (f"{name}{number}" for name in (secrets.token_hex(6),) for number in count())
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._listening: set[str] = set()
        self._upkeep = Upkeep(self._link, prefix, ttl, self.forget)
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisBackend({self._link.place})"

    def open(self, organism: str | None, slots_per_thread: int) -> None:
        secret = secrets.token_bytes(32)
        root = chains.root(organism) if organism is not None else ""
        self._link.root_id = ""
        found = self._link.run("open", root, secret, chains.thread_id(secret, root))
        if not found:
            raise BackendError(f"{self._link.place}: there is no organism; run one first, or correct the prefix")
        there, self._secret, root_id, layout = found
        if layout > LAYOUT:
            raise BackendError(f"{self._link.place}: a newer xpipe wrote this (layout {layout}); upgrade xpipe")
        self._root = there.decode()
        if root not in ("", self._root):
            raise BackendError(f"{self._link.place}: holds {self._root}, not {root}; give each a prefix of its own")
        self._link.root_id = root_id.decode()
        self._slots_per_thread = slots_per_thread

    def secret(self) -> bytes:
        self._require_open()
        return self._secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        self._require_open()
        rooms = [value for pair in room.items() for value in pair]
        steps = map(packed_step, finished)
        with self._turns[pump]:  # A pump's last answer is kept until its next call, in case it is lost on its way.
            head = (self._slots_per_thread, next(self._tokens), pump, repr(now), most, len(room))
            answer = self._link.run("advance", *head, *rooms, *steps)
        refused, claims, events, due, late, unanswered = answer
        reasons = {int(at): reason.decode() for at, reason in zip(refused[::2], refused[1::2], strict=True)}
        return Advanced(
            [read_claim(*one) for one in claims], read_events(events), reasons, float(due), late, unanswered
        )

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        self._require_open()
        if not messages:
            return []
        numbers = self._reserve(Counter(one.source for one in messages))
        starts = [self._start(one, next(numbers[one.source])) for one in messages]
        with self._turns[pump]:
            head = (self._slots_per_thread, next(self._tokens), pump, repr(now))
            threads: int = self._link.run("inject", *head, *(packed_start(one) for one in starts))
        if threads > self._max_threads:
            self._forget_oldest()
        return [start[0] for start in starts]

    def _reserve(self, wanted: Mapping[str, int]) -> dict[str, count[int]]:
        name = f"{self._prefix}numbers"
        last = {source: self._link.send("HINCRBY", name, source, number) for source, number in wanted.items()}
        return {source: count(int(last[source]) - number + 1) for source, number in wanted.items()}

    def _start(
        self, injection: Injection, number: int
    ) -> tuple[str, str, str, bytes | None, list[tuple[str, str, bytes, str, str]]]:
        initiator = f"{injection.source}-{number}"
        chain = chains.extend(self._root, initiator)
        id = chains.thread_id(self._secret, chain)
        fault = None
        if injection.fault is not None:
            fault = encode_message(Message(id, FAULT, id, "system", initiator, "Fault", injection.fault, id, 0))
        requests = [self._request(injection, id, initiator, chain, at) for at in range(len(injection.to))]
        return id, chain, initiator, fault, requests

    def _request(
        self, injection: Injection, id: str, initiator: str, chain: str, at: int
    ) -> tuple[str, str, bytes, str, str]:
        to = injection.to[at]
        call = f"{id}.{at}" if at else id
        message = Message(call, REQUEST, id, initiator, to, injection.type, injection.payload, call, 1)
        below = chains.extend(chain, to)
        return call, to, encode_message(message), chains.thread_id(self._secret, below), below

    def _forget_oldest(self) -> None:
        """Conversations go one by one, each in small commands, so that the server answers others in between."""
        while self._link.send("ZCARD", f"{self._prefix}threads") > self._max_threads:
            oldest = self._link.send("ZRANGE", f"{self._prefix}finished", 0, 0)
            if not oldest:
                return
            self.forget(oldest[0].decode())

    def forget(self, conversation: str) -> bool:
        while (left := self._link.run("forget", conversation, FORGET_AT_ONCE)) == 0:
            pass
        return bool(left == 1)

    def adopt(self, pump: str, conversation: str) -> bool:
        return bool(self._link.run("conversation_set", conversation, pump, 0))

    def delivered(self, conversation: str, outputs: int) -> None:
        self._link.run("conversation_set", conversation, "", outputs)

    def enroll(self, pump: PumpRecord) -> None:
        self._link.run("pump", "enroll", pump.id, repr(pump.expires), _encode(pump))
        self._listening.add(pump.id)

    def retire(self, pump: str) -> None:
        self._release(pump, lost=False)

    def bury_pump(self, pump: str) -> int:
        return self._release(pump, lost=True)

    def _release(self, pump: str, lost: bool) -> int:
        self._listening.discard(pump)
        return int(self._link.run("release", self._slots_per_thread, pump, int(lost)))

    def renew(self, pump: str, expires: float) -> bool:
        known = bool(self._link.run("pump", "renew", pump, repr(expires)))
        self._upkeep.when_due()
        return known

    def pumps(self) -> list[PumpRecord]:
        found = self._link.send("HGETALL", f"{self._prefix}pumps")
        leases = self._link.send("HGETALL", f"{self._prefix}leases")
        ends = dict(zip(leases[::2], leases[1::2], strict=True))
        records = []
        for id, data in zip(found[::2], found[1::2], strict=True):
            record = _decode_pump(data)
            record.expires = float(ends.get(id, record.expires))
            records.append(record)
        return records

    def wait(self, pump: str, seconds: float) -> bool:
        if pump not in self._listening:
            self._link.run("listen", pump)
            self._listening.add(pump)
        end = time.monotonic() + seconds
        while not self._closed and (left := end - time.monotonic()) > 0:
            if self._woken(pump, min(left, BLOCK)):
                return True
        return False

    def _woken(self, pump: str, seconds: float) -> bool:
        try:
            return self._link.block("BLPOP", self._key("wake", pump), f"{max(seconds, 0.001):.3f}") is not None
        except BackendError:
            if self._closed:  # Its connection was closed under it.
                return False
            raise

    def info(self) -> dict[str, Any]:
        self._require_open()
        bound: int = self._link.run("totals")[-1]
        totals = self.totals()
        counts = {
            "buffer_threads": sum(1 for _ in self.buffer_list_threads()),
            "registry_entries": totals.threads + bound + 1,
            "ttl_seconds": self._ttl,
            "server_version": self._server_version(),
        }
        return {"type": "redis", "place": self._link.place, **counts, **asdict(totals)}

    def _server_version(self) -> str:
        try:
            lines = self._link.send("INFO", "server").decode().splitlines()
        except BackendError:  # A user may be forbidden to ask.
            return "unknown"
        return next((line.partition(":")[2] for line in lines if line.startswith("redis_version:")), "unknown")

    def ping(self) -> bool:
        return bool(self._link.send("PING") == b"PONG")

    def close(self) -> None:
        self._closed = True
        self._link.close()
