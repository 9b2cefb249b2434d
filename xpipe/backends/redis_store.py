"""The store on Redis: each batch is one script, which writes what the home has decided."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from xpipe.backends.redis_link import Link
from xpipe.backends.store import LOST, OK, OVER, Answer, Batch, Counts, Kept, Letter, Offer, Reply, Save
from xpipe.core.messages import Cursor, DeadLetter, PumpRecord
from xpipe.ledger.memory import MAX_DEAD_LETTERS
from xpipe.ports import Capabilities, Collection

CAPABILITIES = Capabilities(cross_process=True, persistent=True, cross_host=True, expiry=True, blocking=True)
ALIKE = 8
"""So many characters of their ids all threads of a conversation have in common, but for ids bound by hand."""
WIDE = 240
"""Arguments of a command in a batch; more would not fit into the byte that counts them."""

_encode = msgspec.msgpack.Encoder().encode
_decode_offer = msgspec.msgpack.Decoder(Offer).decode
_decode_letter = msgspec.msgpack.Decoder(Letter).decode
_decode_step = msgspec.msgpack.Decoder(Answer).decode
_decode_dead = msgspec.msgpack.Decoder(DeadLetter).decode
_decode_node = msgspec.msgpack.Decoder(PumpRecord).decode
_decode_cursor = msgspec.msgpack.Decoder(Cursor).decode
_decode_wants = msgspec.msgpack.Decoder(dict[str, int]).decode


@cache
def _script(name: str) -> tuple[str, str]:
    source = files("xpipe.backends").joinpath("lua", f"{name}.lua").read_text("utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _raw(data: bytes) -> msgspec.Raw:
    """`data` in msgpack as Lua reads it, which knows strings only."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


def _key(thread: str, fence: int) -> str:
    return f"{thread} {fence}"


class _Commands:
    """Commands as a script takes them: their words one after the other, and how many each has."""

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.sizes = bytearray()

    def add(self, *words: Any) -> None:
        self.words += words
        self.sizes.append(len(words))

    def add_wide(self, head: tuple[Any, ...], words: Sequence[Any]) -> None:
        for at in range(0, len(words), WIDE):
            self.add(*head, *words[at : at + WIDE])


class RedisStore:
    """Keys begin with `prefix`. Those of a conversation live for `ttl` seconds after its last change."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, prefix: str, ttl: int) -> None:
        self._link = Link(url, prefix, ttl)
        self._prefix = prefix
        self._life = str(int(ttl * 1_000))
        self._by_hand: set[str] = set()  # As a home has read them last; a batch is refused if that was too early.
        self._loose: set[str] = set()
        self.collections = _Collections(self._link, prefix, self._life)

    def _send(self, *command: Any) -> Any:
        return self._link.send(*command)

    def _run(self, name: str, *arguments: Any) -> Any:
        source, sha = _script(name)
        key = f"{self._prefix}organism"
        try:
            return self._link.send("EVALSHA", sha, 1, key, self._prefix, *arguments)
        except self._link._errors.NoScriptError:
            return self._link.send("EVAL", source, 1, key, self._prefix, *arguments)

    def open(self, root: str | None, secret: bytes) -> tuple[str, bytes]:
        key = f"{self._prefix}organism"
        if root and self._send("HSETNX", key, "root", root):
            self._send("HSETNX", key, "secret", secret)
        found = self._send("HMGET", key, "root", "secret")
        return _text(found[0] or b""), found[1] or b""

    def register(self, node: PumpRecord) -> Counts:
        self._send("HSETNX", f"{self._prefix}organism", f"node:{node.id}", 0)
        self._send("HSET", f"{self._prefix}nodes", node.id, _encode(node))
        return self.counts()

    def renew(self, node: str, expires: float) -> bool:
        found = self._send("HGET", f"{self._prefix}nodes", node)
        if found is None:
            return False
        record = _decode_node(found)
        record.expires = expires
        self._send("HSET", f"{self._prefix}nodes", node, _encode(record))
        return bool(self._send("HEXISTS", f"{self._prefix}organism", f"node:{node}"))

    def expire(self, node: str, lost: bool = True) -> int | None:
        held = self._run("expire", node, int(lost))
        return None if held < 0 else held

    def nodes(self) -> list[PumpRecord]:
        return [_decode_node(data) for data in self._send("HVALS", f"{self._prefix}nodes")]

    def apply(self, node: str, number: int, batch: Batch) -> Reply:
        injected, saved = _Commands(), _Commands()
        inject = None
        if (one := batch.inject) is not None:
            for save in one.saves:
                self._write(injected, save, new=True)
            inject = {
                "numbers": one.numbers,
                "sources": one.sources,
                "letter": one.letter,
                "owner": one.owner,
                "here": one.here,
                "made": [(save.id, save.release == OVER, save.ended) for save in one.saves],
                "cursor": one.cursor.name if one.cursor else None,
                "moved": _raw(_encode(one.cursor)) if one.cursor else None,
                "seen": _raw(_encode(one.seen)) if one.seen else "",
            }
        for save in batch.saves:
            self._write(saved, save)
        for thread, at, slot in batch.mended:
            saved.add("LSET", f"{self._prefix}buffer:{thread}", at, slot)
        known = {
            "now": batch.now,
            "inject": inject,
            "adopt": batch.adopt,
            "owner": batch.owner,
            "offers": [self._offered(offer) for offer in batch.offers],
            "withdrawn": [_key(*key) for key in batch.withdrawn],
            "saves": [
                (save.id, bool(save.outputs) or save.release == OVER, save.read, save.release, save.due, save.ended)
                for save in batch.saves
            ],
            "answers": [(id, _key(one.step.thread, one.step.fence), _raw(_encode(one))) for id, one in batch.answers],
            "delivered": batch.delivered,
            "dead": [_raw(_encode(letter)) for letter in batch.dead],
            "most_dead": MAX_DEAD_LETTERS,
            "more": {
                "in_flight": batch.in_flight,
                "slots": batch.slots,
                "threads": sum(len(save.pairs) for save in self._all_saves(batch)),
            },
            "pull": batch.pull,
            "pulled": batch.pulled,
            "take": batch.take,
            "wants": _raw(_encode(batch.take)) if batch.take else "",
            "rings": bool(batch.offers or batch.answers or inject or any(save.release for save in batch.saves)),
        }
        words = (*injected.words, *saved.words)
        sizes = bytes(saved.sizes), bytes(injected.sizes)
        answer = self._run("apply", node, number, batch.outside, self._life, _encode(known), *sizes, *words)
        return _reply(answer)

    def _all_saves(self, batch: Batch) -> Iterable[Save]:
        return itertools.chain(batch.saves, batch.inject.saves if batch.inject else ())

    def _write(self, commands: _Commands, save: Save, new: bool = False) -> None:
        p, life = self._prefix, self._life
        key = f"{p}c:{save.id}"
        for chain, id in save.pairs:
            commands.add("SET", f"{p}chain:{chain}", id, "PX", life)
            commands.add("SET", f"{p}uuid:{id}", chain, "PX", life)
            if chain in self._by_hand:
                commands.add("HDEL", f"{p}bound", chain)
            if id in self._loose:
                commands.add("SREM", f"{p}loose", id)
            if id == save.id or id[:ALIKE] != save.id[:ALIKE]:
                commands.add("ZADD", f"{p}byid", 0, id)
        words: list[Any] = [word for pair in save.fields.items() for word in pair]
        if save.outputs:
            words += ("@outputs", save.outputs)
        commands.add_wide(("HSET", key), words)
        if new or save.release:
            commands.add("PEXPIRE", key, life)
        made = {id for _, id in save.pairs}
        for id, slots in save.slots.items():
            commands.add_wide(("RPUSH", f"{p}buffer:{id}"), slots)
            if id in made or id == save.id:  # An initiator gets its first slot later than others.
                commands.add("PEXPIRE", f"{p}buffer:{id}", life)

    def _offered(self, offer: Offer) -> tuple[str, str, msgspec.Raw]:
        return offer.claim.listener, _key(offer.claim.thread, offer.claim.fence), _raw(_encode(offer))

    def post(self, conversation: str, letter: Letter) -> int:
        number: int = self._run("post", conversation, b" " + _encode(letter))
        return number

    def counts(self) -> Counts:
        return _reply(self._run("apply", "", 1, 0, self._life, _encode({}), "", "")).counts

    def load(self, ids: Sequence[str], slots: bool) -> list[Kept]:
        found = []
        for id in ids:
            flat = self._send("HGETALL", f"{self._prefix}c:{id}")
            if flat:
                found.append(self._kept(id, dict(zip(flat[::2], flat[1::2], strict=True)), slots))
        return found

    def _kept(self, id: str, fields: dict[bytes, bytes], slots: bool) -> Kept:
        def own(name: bytes) -> bytes:
            return fields.pop(b"@" + name, b"")

        place, home, owner = _text(own(b"place")), _text(own(b"home")), _text(own(b"owner"))
        delivered, read = int(own(b"delivered") or 0), int(own(b"read") or 0)
        own(b"outputs"), own(b"n"), own(b"end")
        count = sum(name[:1] == b"f" for name in fields)
        threads = [msgspec.msgpack.decode(fields[b"f%d" % n])[0] for n in range(count)]
        data = [self.slots(thread, 0, None) for thread in threads] if slots else None
        return Kept(id, place, home, owner, delivered, read, threads, fields, data)

    def mine(self, node: str) -> Reply:
        p = self._prefix
        if not self._send("HEXISTS", f"{p}organism", f"node:{node}"):
            return Reply(LOST, self.counts())
        reply = Reply(OK, self.counts(), pulled=[_text(id) for id in self._send("SMEMBERS", f"{p}at:{node}")])
        reply.refused = self._send("HGET", f"{p}organism", f"refused:{node}") == b"1"
        for key in self._send("SMEMBERS", f"{p}held:{node}"):
            offer = self._send("HGET", f"{p}offers", key)
            if offer is not None:
                lost = self._send("HGET", f"{p}losses", key)
                reply.taken.append((_decode_offer(offer), int(lost or 0)))
        for id in self._send("SMEMBERS", f"{p}bell:{node}"):
            read = self._send("HGET", f"{p}c:{_text(id)}", "@read")
            mail = self._send("LRANGE", f"{p}mail:{_text(id)}", 0, -1)
            reply.letters[_text(id)] = int(read or 0), [_letter(data) for data in mail]
        unsettled = self._send("ZRANGE", f"{p}unsettled", 0, -1)
        owned = self.load([_text(id) for id in unsettled], slots=False)
        reply.news = [one.id for one in owned if one.owner == node and one.home != node]
        return reply

    def numbers(self, sources: Sequence[str]) -> dict[str, int]:
        found = self._send("HMGET", f"{self._prefix}numbers", *sources) if sources else []
        return {source: int(had or 0) for source, had in zip(sources, found, strict=True)}

    def page(self, index: str, after: int, most: int, newest: bool = False) -> list[tuple[int, str]]:
        key = f"{self._prefix}{index}"
        if newest:
            top = f"({after}" if after >= 0 else "+inf"
            flat = self._send("ZREVRANGEBYSCORE", key, top, "-inf", "WITHSCORES", "LIMIT", 0, most)
        else:
            flat = self._send("ZRANGEBYSCORE", key, f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, most)
        return [(int(float(score)), _text(id)) for id, score in zip(flat[::2], flat[1::2], strict=True)]

    def find(self, prefix: str, most: int) -> list[str]:
        start = prefix[:ALIKE].encode("utf-8", "surrogateescape")
        near = self._send("ZRANGEBYLEX", f"{self._prefix}byid", b"[" + start, b"[" + start + b"\xff")
        found: list[str] = []
        for id in map(_text, near):
            kept = self.load([id], slots=False)
            found += [one for one in (kept[0].threads if kept else [id]) if one.startswith(prefix)]
            if len(found) >= most:
                break
        return found[:most]

    def conversation_of(self, thread: str) -> str:
        chain = self.chain_of(thread)
        if chain is None:
            return ""
        id = self.uuid_of(".".join(chain.split(".")[:3]))
        return id if id is not None and self._send("EXISTS", f"{self._prefix}c:{id}") else ""

    def slots(self, thread: str, start: int, stop: int | None) -> list[bytes]:
        last = -1 if stop is None else stop - 1
        if stop == 0 or (stop is not None and start >= 0 and stop >= 0 and stop <= start):
            return []
        found: list[bytes] = self._send("LRANGE", f"{self._prefix}buffer:{thread}", start, last)
        return found

    def forget(self, ids: Sequence[str]) -> int:
        gone = [one for one in self.load(ids, slots=False) if one.place == OVER]
        p = self._prefix
        for one in gone:
            slots = 0
            for thread in one.threads:
                chain = self.chain_of(thread)
                slots += int(self._send("LLEN", f"{p}buffer:{thread}"))
                self._send("DEL", f"{p}buffer:{thread}", f"{p}uuid:{thread}", f"{p}chain:{chain}")
                self._send("ZREM", f"{p}byid", thread)
            for index in ("all", "unsettled"):
                self._send("ZREM", f"{p}{index}", one.id)
            end = self._send("HGET", f"{p}c:{one.id}", "@end")
            self._send("ZREM", f"{p}ended", end)
            self._send("DEL", f"{p}c:{one.id}")
            self._send("HINCRBY", f"{p}counters", "threads", -len(one.threads))
            self._send("HINCRBY", f"{p}counters", "slots", -slots)
        return len(gone)

    def ended(self, before: float, most: int, settled: bool) -> list[str]:
        found: list[str] = []
        at = 0
        top = "+inf" if before == float("inf") else f"({before!r}"
        while len(found) < most:
            ids = self._send("ZRANGEBYSCORE", f"{self._prefix}ended", "-inf", top, "LIMIT", at, most)
            if not ids:
                break
            at += len(ids)
            for id in (_text(one).partition(" ")[2] for one in ids):
                if not settled or self._send("ZSCORE", f"{self._prefix}unsettled", id) is None:
                    found.append(id)
        return found[:most]

    def dead(self, after: int, most: int) -> list[DeadLetter]:
        numbers = self._send("ZRANGEBYSCORE", f"{self._prefix}letters", f"({after}", "+inf", "LIMIT", 0, most)
        found = []
        kept = self._send("HMGET", f"{self._prefix}dead", *numbers) if numbers else []
        for number, data in zip(numbers, kept, strict=True):
            if data is not None:
                letter = _decode_dead(data)
                letter.number = int(number)
                found.append(letter)
        return found

    def drop_dead(self, numbers: Sequence[int]) -> int:
        if not numbers:
            return 0
        self._send("ZREM", f"{self._prefix}letters", *numbers)
        gone: int = self._send("HDEL", f"{self._prefix}dead", *numbers)
        return gone

    def cursor(self, name: str) -> Cursor | None:
        data = self._send("HGET", f"{self._prefix}cursors", name)
        return _decode_cursor(data) if data is not None else None

    def wait(self, node: str, seconds: float) -> bool:
        return self._link.block("BLPOP", f"{self._prefix}wake:{node}", f"{seconds:.3f}") is not None

    def append(self, thread: str, slot: bytes, most: int) -> int:
        p = self._prefix
        if int(self._send("LLEN", f"{p}buffer:{thread}")) >= most:
            return -1
        length: int = self._send("RPUSH", f"{p}buffer:{thread}", slot)
        if not self.conversation_of(thread):
            self._send("SADD", f"{p}loose", thread)
        if length == 1:
            self._send("PEXPIRE", f"{p}buffer:{thread}", self._life)
        self._send("HINCRBY", f"{p}counters", "slots", 1)
        self._send("HINCRBY", f"{p}organism", "outside", 1)
        return length - 1

    def delete_slots(self, thread: str) -> bool:
        p = self._prefix
        owner = self.load([self.conversation_of(thread)], slots=False)
        if owner and owner[0].place != OVER:
            return False
        slots = int(self._send("LLEN", f"{p}buffer:{thread}"))
        if not slots:
            return False
        self._send("DEL", f"{p}buffer:{thread}")
        self._send("HINCRBY", f"{p}counters", "slots", -slots)
        if owner and owner[0].id == thread:
            outputs = int(self._send("HGET", f"{p}c:{thread}", "@outputs") or 0)
            self._send("HSET", f"{p}c:{thread}", "@delivered", outputs)
            self._send("ZREM", f"{p}unsettled", thread)
        elif not owner:
            self._send("SREM", f"{p}loose", thread)
            self._send("HINCRBY", f"{p}organism", "outside", 1)
        return True

    def slot_threads(self, after: str, most: int) -> list[str]:
        p, found = self._prefix, []
        ids = set(self.loose())
        for _, id in self.page("all", -1, 1_000_000):
            ids |= {thread for kept in self.load([id], slots=False) for thread in kept.threads}
        for id in sorted(ids):
            if id > after and self._send("EXISTS", f"{p}buffer:{id}"):
                found.append(id)
                if len(found) == most:
                    break
        return found

    def bind(self, chain: str, uuid: str) -> tuple[str, str]:
        p = self._prefix
        bound, other = self.uuid_of(chain), self.chain_of(uuid)
        if bound is None and other is None:
            self._send("SET", f"{p}chain:{chain}", uuid, "PX", self._life)
            self._send("SET", f"{p}uuid:{uuid}", chain, "PX", self._life)
            self._send("HSET", f"{p}bound", chain, uuid)
            self._send("HINCRBY", f"{p}organism", "outside", 1)
        return self.uuid_of(chain) or "", self.chain_of(uuid) or ""

    def unbind(self, uuid: str) -> bool:
        p, chain = self._prefix, self.chain_of(uuid)
        if chain is None or self._send("HDEL", f"{p}bound", chain) == 0:
            return False
        self._send("DEL", f"{p}chain:{chain}", f"{p}uuid:{uuid}")
        self._send("HINCRBY", f"{p}organism", "outside", 1)
        return True

    def bound(self) -> dict[str, str]:
        flat = self._send("HGETALL", f"{self._prefix}bound")
        bound = {_text(chain): _text(uuid) for chain, uuid in zip(flat[::2], flat[1::2], strict=True)}
        self._by_hand = set(bound)
        return bound

    def loose(self) -> list[str]:
        ids = [_text(id) for id in self._send("SMEMBERS", f"{self._prefix}loose")]
        self._loose = set(ids)
        return ids

    def uuid_of(self, chain: str) -> str | None:
        found = self._send("GET", f"{self._prefix}chain:{chain}")
        return None if found is None else _text(found)

    def chain_of(self, uuid: str) -> str | None:
        found = self._send("GET", f"{self._prefix}uuid:{uuid}")
        return None if found is None else _text(found)

    def close(self) -> None:
        self._link.close()


class _Collections:
    """Those of xpipe.state. Each lives as long as its keys are added to, and `ttl` longer."""

    def __init__(self, link: Link, prefix: str, life: str) -> None:
        self._link, self._prefix, self._life = link, prefix, life

    def create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        key = f"{self._prefix}collection:{kind}:{id}"
        if not self._link.send("HSETNX", key, "size", size):
            return False
        self._link.send("HSET", key, "head", head)
        self._link.send("PEXPIRE", key, self._life)
        self._link.send("SADD", f"{self._prefix}collections:{kind}", id)
        return True

    def get(self, kind: str, id: str) -> Collection | None:
        flat = self._link.send("HGETALL", f"{self._prefix}collection:{kind}:{id}")
        fields: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        parts = {int(name): data for name, data in fields.items() if name not in (b"head", b"size")}
        return Collection(fields.get(b"head", b""), parts)

    def add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        key = f"{self._prefix}collection:{kind}:{id}"
        size = self._link.send("HGET", key, "size")
        return size is not None and 0 <= index < int(size) and bool(self._link.send("HSETNX", key, index, part))

    def remove(self, kind: str, id: str) -> bool:
        self._link.send("SREM", f"{self._prefix}collections:{kind}", id)
        return bool(self._link.send("DEL", f"{self._prefix}collection:{kind}:{id}"))

    def ids(self, kind: str) -> list[str]:
        return [_text(id) for id in self._link.send("SMEMBERS", f"{self._prefix}collections:{kind}")]


def _pairs(flat: Sequence[bytes], read: Callable[[bytes], Any]) -> dict[str, Any]:
    return {_text(name): read(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _letter(data: bytes) -> Letter:
    lost, _, inner = data.partition(b" ")
    if not lost:
        return _decode_letter(inner)
    answer = _decode_step(inner)
    answer.deliveries = int(lost)
    return Letter(answer=answer)


def _reply(raw: Sequence[Any]) -> Reply:
    (in_flight, threads, slots), outside, nodes, homeless, due, offered, wanted = raw[1]
    counts = Counts(int(in_flight or 0), int(threads or 0), int(slots or 0), int(outside), nodes, homeless, float(due))
    counts.offered = {name: count for name, count in _pairs(offered, int).items() if count > 0}
    for one in map(_decode_wants, wanted):
        for name, count in one.items():
            counts.wanted[name] = counts.wanted.get(name, 0) + count
    reply = Reply(_text(raw[0]), counts)
    if len(raw) > 2:
        _, _, refused, numbers, pulled, taken, letters, news, revoked, adopted = raw
        reply.refused, reply.numbers = bool(refused), _pairs(numbers, int)
        reply.pulled, reply.news, reply.adopted = ([_text(id) for id in ids] for ids in (pulled, news, adopted))
        reply.taken = [(_decode_offer(offer), int(lost)) for offer, lost in taken]
        reply.letters = {_text(id): (int(read), [_letter(data) for data in mail]) for id, read, mail in letters}
        reply.revoked = [_text(key).partition(" ")[0] for key in revoked]
    return reply
