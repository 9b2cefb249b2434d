"""What cannot be read in a state file."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xpipe.backends.sqlite_reading import PAGE, Reading
from xpipe.backends.sqlite_records import mailbox_of, open_calls_of
from xpipe.core.messages import readable_hop

_RECORDS = f"SELECT n, id, mailbox, open FROM records WHERE n > ? ORDER BY n LIMIT {PAGE}"
_SLOTS = """
    SELECT t.id, t.mailbox, s.at FROM records t JOIN slots s ON s.thread = t.n
    WHERE t.n > ? AND t.n <= ? AND damaged(CAST(s.data AS BLOB)) ORDER BY t.n, s.at
"""
_CONVERSATIONS = f"SELECT n, id FROM conversations WHERE n > ? ORDER BY n LIMIT {PAGE}"
_HOPS = f"SELECT n, CAST(data AS BLOB) FROM hops WHERE conversation = ? AND n > ? ORDER BY n LIMIT {PAGE}"


def broken(reading: Reading) -> Iterator[tuple[str, int | None]]:
    """(thread, index) of each slot that cannot be read and does not wait; None for a thread's own record."""
    after = 0
    while rows := reading.read(_RECORDS, after):
        spoilt = {id for _, id, *boxes in rows if not _are_readable(*boxes)}
        yield from ((id, None) for id in spoilt)
        for id, mailbox, at in reading.read(_SLOTS, after, rows[-1][0]):
            if id not in spoilt and at not in (mailbox_of(mailbox) or ()):
                yield id, at
        after = rows[-1][0]


def broken_hops(reading: Reading) -> Iterator[tuple[str, int, int]]:
    """(conversation, index, number) of each hop that cannot be read."""
    after = 0
    while rows := reading.read(_CONVERSATIONS, after):
        for n, id in rows:
            yield from ((id, at, number) for at, number in _broken_of(reading, n))
        after = rows[-1][0]


def _broken_of(reading: Reading, conversation: int) -> Iterator[tuple[int, int]]:
    at, after = 0, 0
    while rows := reading.read(_HOPS, conversation, after):
        yield from ((place, n) for place, (n, data) in enumerate(rows, at) if readable_hop(data) is None)
        at, after = at + len(rows), rows[-1][0]


def _are_readable(mailbox: bytes | None, open_calls: bytes | None) -> bool:
    try:
        mailbox_of(mailbox)
        open_calls_of(open_calls)
    except (msgspec.MsgspecError, TypeError):
        return False
    return True
