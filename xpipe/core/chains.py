"""Call chains: segments joined by dots, innermost last. The only place that does arithmetic on them.

A segment is a name in which `%`, `.` and `~` are percent-encoded, so that a dotted listener name stays one segment;
a tag may follow it after a `~` to tell instances apart: `greeter~2`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache, lru_cache
from typing import Any

_INITIATOR = 3
"""How many segments the chain of an initiator has."""


def escape(name: str) -> str:
    """`name` as one segment."""
    if "." in name or "%" in name or "~" in name:
        return name.replace("%", "%25").replace(".", "%2E").replace("~", "%7E")
    return name


def unescape(segment: str) -> str:
    """The name that `segment` stands for."""
    return segment.replace("%7E", "~").replace("%2E", ".").replace("%25", "%") if "%" in segment else segment


def instance(name: str, tag: str | int) -> str:
    """A segment for one of several instances of `name`."""
    return f"{escape(name)}~{tag}"


def root(organism: str) -> str:
    """The chain above all conversations of the organism named `organism`."""
    return f"system.{escape(organism)}"


def extend(chain: str, *names: str) -> str:
    """`chain` with a further segment for each of `names`."""
    return ".".join((chain, *map(escape, names)))


def depth(chain: str) -> int:
    """The number of segments of `chain`."""
    return chain.count(".") + 1


def prune(chain: str) -> tuple[str, str]:
    """The chain without its last segment, and the name of that segment. The inverse of `extend` by one name."""
    head, _, segment = chain.rpartition(".")
    return head, unescape(segment)


def last_name(chain: str) -> str:
    """The name of the last segment of `chain`, whichever instance of it that is."""
    return _untagged(chain.rpartition(".")[2])


def try_segment(index: int, number: int) -> str:
    """The index segment of the try `number` of a step that may be tried again."""
    return instance(str(index), number)


def is_try(segment: str) -> bool:
    """Whether an index segment is that of a step that may be tried again."""
    return "~" in segment


def callers(chain: str, primitives: Collection[str]) -> Iterator[tuple[str, str]]:
    """Who called the thread of `chain`, who called that one, and so on up to the initiator.

    The name of each; and for `primitives`, whose calls take two segments, the index segment of the call, "" for others.
    """
    segments = chain.split(".")
    while len(segments) > _INITIATOR:
        segments.pop()
        is_indexed = len(segments) > _INITIATOR + 1 and _untagged(segments[-2]) in primitives
        index = segments.pop() if is_indexed else ""
        yield _untagged(segments[-1]), index


def outer_caller(chain: str, primitives: Collection[str]) -> str:
    """The name of the innermost caller above `chain` that is none of `primitives`."""
    return next(name for name, index in callers(chain, primitives) if not index)


def is_asked_from_outside(chain: str, primitives: Collection[str]) -> bool:
    """Whether that caller is an initiator."""
    *between, _ = callers(chain, primitives)
    return all(index for _, index in between)


def _untagged(segment: str) -> str:
    return unescape(segment.partition("~")[0])


def initiator(chain: str) -> str:
    """The chain of the initiator that `chain` begins with."""
    return ".".join(chain.split(".", _INITIATOR)[:_INITIATOR])


def names(chain: str) -> list[str]:
    """The names of all segments, outermost first."""
    return [unescape(segment) for segment in chain.split(".")]


def thread_id(secret: bytes, chain: str) -> str:
    """The opaque id of the thread of `chain`, the same in every process that knows `secret`: a UUIDv8 (RFC 9562).

    All threads of a conversation begin alike, with its number, so that an index over ids has together what is made
    together; the rest is a keyed BLAKE2b hash of the whole chain, which tells nothing to anyone without `secret`.
    """
    segments = chain.split(".", _INITIATOR)
    head = _head(secret, segments[_INITIATOR - 1]) if len(segments) >= _INITIATOR else ""
    one = _hash()(chain.encode("utf-8", "surrogatepass"), digest_size=16, key=secret).hexdigest()
    return f"{head or one[:8]}-{one[8:12]}-8{one[12:15]}-{_VARIANTS[one[15]]}{one[16:19]}-{one[19:31]}"


_MOST_DIGITS = 18
"""Of a number; what is longer is none of a source."""
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""For each hex digit one that begins with the bits 10, which mark the UUIDs of that RFC."""


@lru_cache(512)
def _head(secret: bytes, initiator: str) -> str:
    """The last 24 bits of the number of an initiator, and 8 that tell sources apart; "" for one without a number."""
    digits = initiator.rpartition("-")[2]
    if len(digits) > _MOST_DIGITS or not (digits.isascii() and digits.isdigit()):
        return ""
    source = _hash()(initiator.encode("utf-8", "surrogatepass"), digest_size=1, key=secret).hexdigest()
    return f"{int(digits) & 0xFFFFFF:06x}{source}"


@cache
def _hash() -> Callable[..., Any]:
    from hashlib import blake2b  # Only here: it loads OpenSSL, and whoever just looks at chains needs none.

    return blake2b
