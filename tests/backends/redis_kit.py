"""What the tests of the Redis backend share."""

from __future__ import annotations

from collections.abc import Callable

import redis as client
from contract_kit import Driver, answered, done, failed

from xpipe.backends.redis import RedisBackend

Make = Callable[..., RedisBackend]


def keys(raw: client.Redis, prefix: str) -> set[str]:
    found = {key.decode("utf-8", "surrogatepass") for key in raw.keys("*")}
    return {key[len(prefix) :] for key in found if key.startswith(prefix)}


def content(raw: client.Redis, prefix: str) -> dict[str, object]:
    """What is stored under each key; a dump of a hash depends on its past."""
    return {
        key: raw.hgetall(name) if raw.type(name) == b"hash" else raw.dump(name)
        for key in keys(raw, prefix)
        for name in (f"{prefix}{key}",)
    }


def play(drive: Driver) -> str:
    """A conversation with everything in it: calls, messages to itself, a Buffer, a fault, a late reply."""
    id = drive.inject("a")
    claim = drive.claim()
    drive.commit(done(claim, own=[drive.own(claim)], sends=[drive.send(claim, "b"), drive.send(claim, "buffer")]))
    drive.commit(done(drive.claim()))
    buffer = drive.claim("buffer")
    items = [drive.send(buffer, "c", f"{n}.c", n) for n in range(2)]
    drive.commit(done(buffer, join=drive.join(buffer, 2, expires=drive.now + 90), sends=items, state=b"s"))
    drive.commit(*[answered(one) for one in drive.advance(room={"c": 9}).claims])
    drive.commit(answered(drive.claim("buffer"), ends=True))
    callee = drive.claim("b")
    drive.commit(failed(drive.claim()))
    drive.commit(answered(callee))
    drive.advance()
    return id
