"""Whether a state file is whole: its pages, what its tables say of each other, and every message that waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from xpipe.backends.sqlite_records import COUNTED, Row, mailbox_of, open_calls_of
from xpipe.core.errors import BackendError
from xpipe.core.messages import OUTPUT, readable

Read = Callable[..., list[Row]]
PAGE = 1_000
SHOWN = 20

_RULES = {
    "more than one thread or none is the initiator of the conversation {0}": """
        SELECT c.id FROM conversations c LEFT JOIN threads t ON t.n = c.n AND t.parent IS NULL WHERE t.n IS NULL
    """,
    "the thread {0} belongs to no conversation": """
        SELECT id FROM threads WHERE conversation NOT IN (SELECT n FROM conversations)
    """,
    "the thread {0} has no parent": """
        SELECT id FROM threads WHERE parent IS NOT NULL AND parent NOT IN (SELECT n FROM threads)
    """,
    "the thread {0} says it has {1} slots, and there are {2}": """
        SELECT id, slots, (SELECT count(*) FROM slots s WHERE s.thread = t.n) AS found
        FROM (SELECT n, id, slots FROM records UNION ALL SELECT n, id, slots FROM loose) t WHERE slots <> found
    """,
    "slots of the thread {0} are missing": """
        SELECT id FROM records t JOIN slots s ON s.thread = t.n GROUP BY t.n
        HAVING max(s.at) <> count(*) - 1 OR sum(length(s.data)) <> t.bytes
    """,
    "the thread {0} has lost its progress": """
        SELECT id FROM threads WHERE n NOT IN (SELECT n FROM progress)
    """,
    "{1} slots belong to no thread": """
        SELECT NULL, count(*) FROM slots
        WHERE thread NOT IN (SELECT n FROM threads UNION ALL SELECT n FROM loose) HAVING count(*) > 0
    """,
    "the message of the thread {0} is neither ready nor delayed nor claimed, or more than one of these": """
        SELECT id FROM records
        WHERE (mailbox IS NOT NULL) <> ((n IN (SELECT thread FROM queue)) + (due > 0) + (owner <> ''))
    """,
    "the queue of {0} has {1} messages, and says it has {2}": """
        SELECT coalesce(r.listener, l.listener), coalesce(r.found, 0), coalesce(l.ready, 0)
        FROM (SELECT listener, count(*) AS found FROM queue GROUP BY listener) r
        LEFT JOIN lanes l USING (listener) WHERE r.found <> coalesce(l.ready, 0)
        UNION ALL
        SELECT listener, 0, ready FROM lanes
        WHERE listener NOT IN (SELECT listener FROM queue)
    """,
    "the conversation {0} is over, and messages of it are in flight": """
        SELECT c.id FROM conversations c JOIN progress p ON p.n = c.n WHERE (c.finish IS NULL) <> (p.pending > 0)
    """,
    "a join of {0} has {1} results missing, and there are {2} of {3}": """
        SELECT j.id, missing, (SELECT count(*) FROM results r WHERE r.joined = j.n) AS found, total
        FROM joins j WHERE open = 1 AND collect = 1 AND missing <> total - found
    """,
    "the join {0} belongs to no thread": """
        SELECT id FROM joins WHERE thread IS NOT NULL AND thread NOT IN (SELECT n FROM threads WHERE joined = joins.n)
    """,
    "{1} results belong to no join": """
        SELECT NULL, count(*) FROM results WHERE joined NOT IN (SELECT n FROM joins) HAVING count(*) > 0
    """,
    "{1} hops belong to no conversation": """
        SELECT NULL, count(*) FROM hops WHERE conversation NOT IN (SELECT n FROM conversations) HAVING count(*) > 0
    """,
    "{1} events are for pumps that are not known": """
        SELECT NULL, count(*) FROM events WHERE pump NOT IN (SELECT id FROM pumps) HAVING count(*) > 0
    """,
    "the conversation {0} has {1} outputs, and {2} of them are delivered": """
        SELECT id, outputs, delivered FROM conversations WHERE delivered > outputs
    """,
}


def problems(path: Path, read: Read) -> Iterator[str]:
    """What is wrong with the file `path`, a sentence each."""
    try:
        yield from _pages_of_the_file(path, read)
        for sentence, sql in _RULES.items():
            for row in read(f"{sql} LIMIT {SHOWN}"):
                yield f"{path}: {sentence.format(*row)}"
        yield from _counters(path, read)
        yield from _boxes(path, read)
        yield from _messages(path, read)
    except BackendError as error:
        yield str(error)


def _pages_of_the_file(path: Path, read: Read) -> Iterator[str]:
    for (finding,) in read(f"PRAGMA integrity_check({SHOWN})"):
        if finding != "ok":
            yield f"{path}: the file is damaged: {finding}"


def _counters(path: Path, read: Read) -> Iterator[str]:
    for name, sql in COUNTED.items():
        [(says, found)] = read(f"SELECT {name}, ({sql}) FROM counters")
        if says != found:
            yield f"{path}: the counter of {name} says {says}, and there are {found}"


def _boxes(path: Path, read: Read) -> Iterator[str]:
    """Mailboxes and open calls can be read, and what is pending is what they say."""
    in_flight = 0
    children: dict[int, int] = dict(
        read("SELECT parent, count(*) FROM records WHERE pending > 0 AND parent IS NOT NULL GROUP BY parent")
    )
    for n, id, mailbox, opened, pending in _pages(read, "n, id, mailbox, open, pending", "records"):
        try:
            boxed = len(mailbox_of(mailbox) or ())
            open_calls_of(opened)
        except (msgspec.MsgspecError, TypeError):
            yield f"{path}: the table threads holds damaged data at the id {id}"
            continue
        in_flight += boxed
        if pending != boxed + children.get(n, 0):
            yield f"{path}: the thread {id} counts {pending} pending, and there are {boxed + children.get(n, 0)}"
    [(says,)] = read("SELECT in_flight FROM counters")
    if says != in_flight:
        yield f"{path}: the counter in_flight says {says}, and there are {in_flight} messages"


def _pages(read: Read, columns: str, table: str) -> Iterator[Row]:
    after: Any = 0
    while rows := read(f"SELECT {columns} FROM {table} WHERE n > ? ORDER BY n LIMIT {PAGE}", after):
        yield from rows
        after = rows[-1][0]


def _messages(path: Path, read: Read) -> Iterator[str]:
    """Messages that wait and what pumps are to be told; other slots are told of by `damages`."""
    for n, id, mailbox in _pages(read, "n, id, mailbox", "records"):
        for at in _waiting(mailbox):
            if read("SELECT 1 FROM slots WHERE thread = ? AND at = ? AND damaged(CAST(data AS BLOB))", n, at):
                yield f"{path}: the table slots holds damaged data, or data of another version, at {at} of {id}"
    for n, kind, data in _pages(read, "n, kind, message", "events"):
        if kind == OUTPUT and readable(data) is None:
            yield f"{path}: the table events holds damaged data, or data of another version, at {n}"


def _waiting(mailbox: bytes | None) -> list[int]:
    try:
        return mailbox_of(mailbox) or []
    except (msgspec.MsgspecError, TypeError):
        return []
