"""Listings page by page: no command holds up the server for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xpipe.backends.redis_link import Link

PAGE = 200
"""Rows of one page."""


def pages(link: Link, name: str, *args: Any, first: str = "", last: bytes = b"") -> Iterator[Any]:
    """The rows of a script that hands them out page by page."""
    after, rows = link.run(name, *args, first, PAGE)
    yield from rows
    while after != last:
        after, rows = link.run(name, *args, after, PAGE)
        yield from rows


def hash_items(link: Link, key: str, rows: int = PAGE, like: bytes = b"*") -> Iterator[tuple[bytes, bytes]]:
    """The fields of a hash that are like the pattern `like`, with their values. One may come twice."""
    cursor: bytes | int = 0
    while True:
        cursor, found = link.send("HSCAN", key, cursor, "MATCH", like, "COUNT", rows)
        yield from zip(found[::2], found[1::2], strict=True)
        if int(cursor) == 0:
            return
