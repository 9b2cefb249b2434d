"""The Redis backend: state shared by several machines. Each commit is one Lua script, whatever the batch."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import count, islice
from typing import Any

import msgspec

from xpipe.backends.arguments import unclaimed
from xpipe.backends.redis_content import RedisContent
from xpipe.backends.redis_keeping import RedisKeeping
from xpipe.backends.redis_link import BLOCK, Link
from xpipe.backends.redis_paging import PAGE
from xpipe.backends.redis_upkeep import Upkeep
from xpipe.backends.redis_wire import (
    Request,
    Start,
    encoded,
    letter_field,
    packed_start,
    packed_step,
    read_claim,
    read_conversation,
    read_events,
    shown,
    text,
)
from xpipe.core import chains
from xpipe.core.errors import BackendError, EmptyBackendError
from xpipe.core.messages import (
    REQUEST,
    ConversationRecord,
    Cursor,
    Injection,
    Message,
    PumpRecord,
    Step,
    encode_message,
    rejected_message,
)
from xpipe.core.organism import (
    DEFAULT_MAX_SLOTS,
    DEFAULT_MAX_THREADS,
    DEFAULT_REDIS_PREFIX,
    DEFAULT_REDIS_TTL,
    DEFAULT_REDIS_URL,
)
from xpipe.core.stages import Stages, in_stages
from xpipe.ports import Advanced, Capabilities, Load, Orphan

log = logging.getLogger("xpipe.redis")

LAYOUT = 5
_encode = msgspec.msgpack.Encoder().encode
_decode_pump = msgspec.msgpack.Decoder(PumpRecord).decode
_decode_cursor = msgspec.msgpack.Decoder(Cursor).decode


class RedisBackend(RedisContent, RedisKeeping):
    """`former_prefix`: where an organism may be that was run before the default prefix was another one, "" for nowhere.

    An `open` that finds none under `prefix`, but one there, is refused.
    """

    def __init__(
        self,
        url: str = DEFAULT_REDIS_URL,
        prefix: str = DEFAULT_REDIS_PREFIX,
        ttl: int = int(DEFAULT_REDIS_TTL),
        max_threads: int = DEFAULT_MAX_THREADS,
        slots_per_thread: int = DEFAULT_MAX_SLOTS,
        *,
        former_prefix: str = "",
    ) -> None:
        self._link = Link(url, prefix, ttl)
        self._prefix = prefix
        self._former_prefix = former_prefix
        self._ttl = ttl
        self._max_threads = max_threads
        self._root = ""
        self._secret = b""
        self._slots_per_thread = slots_per_thread
        self._has_met = False
        self._process = secrets.token_hex(6)
        self._numbers = count(1)
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # The last call of each pump enrolled here that changed something.
        self._kept: dict[str, int] = {}
        # By source the last number that this process has given to an initiator.
        self._last: dict[str, int] = {}
        self._listening: set[str] = set()
        self._upkeep = Upkeep(self._link, prefix, self.forget, self.bury_pump)
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        expiry = self._link.ttl > 0
        return Capabilities(
            cross_process=True, persistent=True, cross_host=True, expiry=expiry, blocking=True, remote=True
        )

    def __repr__(self) -> str:
        return f"RedisBackend({self._link.place})"

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        is_first, root = not self._secret, chains.root(organism) if organism is not None else ""
        self._closed = False
        self._link.reopen()
        self._link.ttl = self._ttl
        self._refuse_former(root)
        if not self._identify(root):
            raise EmptyBackendError(f"{self._link.place}: no organism here; run one first, or correct the prefix")
        self._slots_per_thread = slots_per_thread or self._slots_per_thread
        if is_first:
            self._warn_of_eviction()

    def _refuse_former(self, root: str) -> None:
        """Raises BackendError when the organism, "" for any, is under the former prefix and not under this one."""
        if not self._former_prefix:
            return
        wanted, here = encoded(root), self._link.send("HGET", f"{self._prefix}organism", "root")
        if here is not None and wanted in (b"", here):
            return
        found = self._link.read_elsewhere("HGET", f"{self._former_prefix}organism", "root")
        if found is None or wanted not in (b"", found):
            return
        raise BackendError(
            f"{self._link.place}: {shown(found)} is not here, but under {self._former_prefix!r}, the default prefix of "
            f'earlier versions; pass redis_prefix: "{self._former_prefix}" to keep using it, or '
            f'redis_prefix: "{self._prefix}" to start over'
        )

    def _before_writing(self) -> None:
        if not self._has_met:
            self._look()
        if not self._link.root_id:  # Else those do it who renew a lease.
            self._upkeep.when_due()

    def _look(self) -> bool:
        return bool(self._link.root_id) or self._identify("")

    def _identify(self, root: str) -> bool:
        """Claim it for `root`, or read which organism owns it; returns whether one does."""
        secret = secrets.token_bytes(32)
        self._link.root_id = ""
        found = self._link.run("open", LAYOUT, root, secret, chains.thread_id(secret, root))
        self._has_met = True
        if not found:
            return False
        layout, there, secret, root_id, ttl = found
        if layout > LAYOUT:
            raise BackendError(f"{self._link.place}: a newer xpipe wrote this (layout {layout}); upgrade xpipe")
        if layout < LAYOUT:
            hint = "finish it with that one, or take another prefix (backend.redis_prefix)"
            raise BackendError(f"{self._link.place}: an older xpipe wrote this (layout {layout}); {hint}")
        held = self._link.decoded(text, there, f"{self._prefix}organism root")
        if root not in ("", held):
            raise BackendError(f"{self._link.place}: holds {held}, not {root}; give each a prefix of its own")
        self._root, self._secret, self._link.ttl = held, secret, ttl
        self._link.root_id = self._link.decoded(text, root_id, f"{self._prefix}organism root_id")
        return True

    def _warn_of_eviction(self) -> None:
        memory = self._link.facts("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory", "0") != "0" and policy != "noeviction":
            told = "%s: a server whose maxmemory-policy is %s drops live state when its memory is full; %s"
            log.warning(told, self._link.place, policy, "set `maxmemory-policy noeviction`")

    def _require_claimed(self) -> None:
        if not self._look():
            raise unclaimed(self._link.place)

    def root(self) -> str:
        return self._root if self._look() else ""

    def secret(self) -> bytes:
        self._require_claimed()
        return self._secret

    def _call(self, script: str, pump: str, *args: Any) -> Any:
        """The answer of `script`, which may be run again when it is lost: it knows its last call (calls.lua)."""
        self._require_claimed()
        with self._turns[pump]:
            number = next(self._numbers)
            answer = self._link.run(script, pump, self._process, number, self._kept.get(pump, ""), *args)
            if answer and answer[0] and pump in self._kept:
                self._kept[pump] = number
        return answer

    @in_stages
    def advance(
        self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float
    ) -> Stages[Advanced]:
        head = (repr(now), self._slots_per_thread, most, _encode(dict(room)))
        answer = yield partial(self._call, "advance", pump, *head, *map(packed_step, finished))
        _, refused, claims, events, due, *counts = answer
        reasons = {int(at): reason.decode() for at, reason in zip(refused[::2], refused[1::2], strict=True)}
        rows = zip(*(claims[at::4] for at in range(4)), strict=True)
        read = [self._link.read(read_claim, row, "thread:") for row in rows]
        told = self._link.decoded(read_events, events, f"{self._prefix}inbox:{pump}")
        return Advanced(read, told, reasons, float(due), *counts)

    @in_stages
    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> Stages[list[str]]:
        if not messages and cursor is None:
            return []
        read = (cursor.name, _encode(cursor), _encode(seen) if seen else "") if cursor else ("", "", "")
        return (yield self._injection(pump, messages, now, *read, "")) or []

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        ids = self._injection(pump, [injection], now, "", "", "", letter_field(number))()
        return ids[0] if ids else None

    def _injection(
        self, pump: str, messages: Sequence[Injection], now: float, *how: bytes | str
    ) -> Callable[[], list[str] | None]:
        """Puts `messages` in; the ids of the conversations, None if what they are to replace is not there.

        The initiators get the numbers after the last ones known here. If they are taken by now, others are reserved.
        """
        wanted = Counter(one.source for one in messages)
        last = {source: self._last.get(source, 0) for source in wanted}
        guess = [value for source, many in wanted.items() for value in (source, many, last[source])]
        ids, starts = self._numbered(messages, now, last)
        head = (repr(now), self._slots_per_thread, *how)

        def put_in() -> list[str] | None:
            done, *reserved = self._call("inject", pump, *head, _encode(guess), *starts)
            if not reserved:
                return self._given(last, wanted, ids) if done else None
            others = dict(zip(wanted, reserved, strict=True))
            other_ids, other_starts = self._numbered(messages, now, others)
            [done] = self._call("inject", pump, *head, _encode([]), *other_starts)
            return self._given(others, wanted, other_ids) if done else None

        return put_in

    def _numbered(
        self, messages: Sequence[Injection], now: float, last: Mapping[str, int]
    ) -> tuple[list[str], list[bytes]]:
        """The ids, and the starts for the script, of conversations with the numbers after the `last` of each source."""
        numbers = {source: count(number + 1) for source, number in last.items()}
        starts = [self._start(one, next(numbers[one.source]), now) for one in messages]
        return [start[0] for start in starts], [packed_start(start) for start in starts]

    def _given(self, last: Mapping[str, int], wanted: Mapping[str, int], ids: list[str]) -> list[str]:
        self._last |= {source: last[source] + many for source, many in wanted.items()}
        return ids

    def cursor(self, name: str) -> Cursor | None:
        key = f"{self._prefix}cursors"
        data = self._link.send("HGET", key, name)
        return None if data is None else self._link.decoded(_decode_cursor, data, key)

    def _start(self, injection: Injection, number: int, now: float) -> Start:
        initiator = f"{injection.source}-{number}"
        chain = chains.extend(self._root, initiator)
        id = chains.thread_id(self._secret, chain)
        requests = [self._request(injection, id, initiator, chain, at, now) for at in range(len(injection.to))]
        rejected = rejected_message(injection, id, initiator, now) if injection.rejected else None
        return id, chain, initiator, injection.fault, requests, injection.retried_from, rejected

    def _request(self, injection: Injection, id: str, initiator: str, chain: str, at: int, now: float) -> Request:
        to = injection.to[at]
        call = f"{id}.{at}" if at else id
        message = Message(call, REQUEST, id, initiator, to, injection.type, injection.payload, call, 1, at=now)
        below = chains.extend(chain, to)
        return call, to, encode_message(message), chains.thread_id(self._secret, below), below

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        answer = self._call("cancel", "", repr(now), self._slots_per_thread, conversation, fault)
        return bool(answer[0])

    def drop_dead(self, numbers: Sequence[int]) -> int:
        fields, dropped = map(letter_field, numbers), 0
        while page := list(islice(fields, PAGE)):
            dropped += self._call("drop_dead", "", *page)[1]
        return dropped

    def load(self) -> Load:
        in_flight, threads = self._link.run("load")
        return Load(in_flight, self._max_threads - threads)

    def ready_listeners(self) -> list[str]:
        found: list[bytes] = self._link.send("LRANGE", f"{self._prefix}lanes", 0, -1)
        return [self._link.read(text, (name,), "lanes ") for name in found]

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        answer = self._call("adopt", pump, conversation, owner)
        if not answer:
            return None
        return self._link.read(read_conversation, answer[1], "conversations ", "registry ", "conversation:")

    def enroll(self, pump: PumpRecord) -> None:
        self._link.run("enroll", pump.id, repr(pump.expires - time.time()), _encode(pump))
        self._listening.add(pump.id)
        self._kept.setdefault(pump.id, 0)

    def retire(self, pump: str) -> None:
        self._release(pump, lost=False)
        self._kept.pop(pump, None)

    def bury_pump(self, pump: str) -> int:
        return self._release(pump, lost=True)

    def _release(self, pump: str, lost: bool) -> int:
        self._listening.discard(pump)
        return int(self._link.run("release", pump, int(lost), self._process))

    def renew(self, pump: str, expires: float) -> bool:
        kept = self._kept.get(pump, "")
        known = bool(self._link.run("lease", pump, self._process, 0, kept, repr(expires - time.time())))
        self._upkeep.when_due()
        return known

    def pumps(self) -> list[PumpRecord]:
        server_now, found, leases = self._link.run("pumps")
        ahead = time.time() - float(server_now)  # The clock here, of that of the server.
        ends = dict(zip(leases[::2], leases[1::2], strict=True))
        records = []
        for id, data in zip(found[::2], found[1::2], strict=True):
            record = self._link.decoded(_decode_pump, data, f"{self._prefix}pumps {shown(id)}")
            record.expires = float(ends.get(id, 0)) + ahead
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

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        self._require_claimed()
        yield from self._upkeep.orphans(remove)

    def info(self) -> dict[str, Any]:
        bound: int = self._link.run("totals")[-1]
        totals = self.totals()
        counts = {
            "buffer_threads": sum(1 for _ in self.buffer_iter_threads()),
            "registry_entries": totals.threads + bound + self._look(),
            "ttl_seconds": self._link.ttl,
            "server_version": self._link.facts("server").get("redis_version", "unknown"),
        }
        return {"type": "redis", "place": self._link.place, **counts, **asdict(totals)}

    def ping(self) -> bool:
        try:
            return bool(self._link.send("PING") == b"PONG")
        except BackendError:
            return False

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._link.close()
