"""Records that live in a state file: they know each other by number and are read when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from xpipe.core.messages import Join, PumpRecord
from xpipe.ledger.records import Conversation, JoinState, Thread

if TYPE_CHECKING:
    from xpipe.backends.sqlite_cache import Records

_encode = msgspec.msgpack.Encoder().encode
_decode_mailbox = msgspec.msgpack.Decoder(list[int]).decode
_decode_open = msgspec.msgpack.Decoder(dict[str, str]).decode

Row = tuple[Any, ...]

FIXED = "n, id, conversation, parent, chain, listener, caller, place"
CALM = "attempt, deliveries, failed, no_answer, state, joined, due"
BUSY = "call, fence, mailbox, open, owner, pending, slots, bytes, touched"
"""What every hop changes."""
SELECT_PUMPS = "SELECT id, host, pid, started, expires, serves FROM pumps ORDER BY rowid"


def marks(count: int) -> str:
    """The places of `count` values in a statement."""
    return ", ".join("?" * count)


def pump_of(row: Row) -> PumpRecord:
    """The pump of a row of SELECT_PUMPS."""
    id, host, pid, started, expires, serves = row
    return PumpRecord(id, host, pid, started, expires, bool(serves))


def mailbox_of(data: bytes | None) -> list[int] | None:
    """The mailbox stored as `data`. Raises a MsgspecError when that is damaged."""
    return None if data is None else _decode_mailbox(data)


def open_calls_of(data: bytes | None) -> dict[str, str] | None:
    """The open calls stored as `data`. Raises a MsgspecError when that is damaged."""
    return None if data is None else _decode_open(data)


class Slots:
    """The slots of a thread, as far as a ledger uses a sequence."""

    __slots__ = ("bytes", "count", "n", "store")

    def __init__(self, store: Records, n: int) -> None:
        self.store = store
        self.n = n
        self.count = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> bytes:
        return self.store.slot(self.n, index + self.count if index < 0 else index)


class StoredThread(Thread):
    """`saved` is what its rows in the file say, the columns CALM and the columns BUSY; None while there are none."""

    __slots__ = ("conversation_n", "join_n", "n", "parent_n", "place", "saved", "store")

    slots: Slots  # type: ignore[assignment]  # all that a ledger needs of a sequence

    def __init__(self, store: Records, fixed: Row) -> None:
        self.store = store
        self.join_n: int | None = None
        self.n, id, self.conversation_n, self.parent_n, chain, listener, caller, place = fixed
        super().__init__(id, chain, listener, caller, None, None, place)  # type: ignore[arg-type]
        self.slots = Slots(store, self.n)
        self.place = 0
        """In the queue of its listener, if it stands there."""
        self.saved: tuple[Row, Row] | None = None

    @property
    def parent(self) -> Thread | None:
        return None if self.parent_n is None else self.store.numbered(self.parent_n)

    @parent.setter
    def parent(self, parent: Thread | None) -> None:
        """Set for good by its number."""

    @property
    def is_initial(self) -> bool:
        return bool(self.parent_n == self.conversation_n)

    @property
    def conversation(self) -> Conversation:
        return self.store.conversation_numbered(self.conversation_n)

    @conversation.setter
    def conversation(self, conversation: Conversation) -> None:
        """Set for good by its number."""

    @property
    def join(self) -> JoinState | None:
        return None if self.join_n is None else self.store.join_numbered(self.join_n)

    @join.setter
    def join(self, join: JoinState | None) -> None:
        if self.join_n is not None:
            self.store.remove_join(self.join_n)
        self.join_n = None if join is None else self.store.keep_join(join.terms, self.n)

    @property
    def fixed(self) -> Row:
        """The row's columns FIXED."""
        return (
            self.n,
            self.id,
            self.conversation_n,
            self.parent_n,
            self.chain,
            self.listener,
            self.caller,
            self.index,
        )

    def busy(self) -> Row:
        """The row's columns BUSY."""
        slots = self.slots
        return (
            self.call,
            self.fence,
            _encode(self.mailbox) if self.mailbox else None,
            _encode(self.open) if self.open else None,
            self.owner,
            self.pending,
            slots.count,
            slots.bytes,
            self.touched,
        )

    def calm(self) -> Row:
        """The row's columns CALM."""
        return (
            self.attempt,
            self.deliveries,
            self.failed,
            self.no_answer,
            self.state,
            self.join_n,
            self.due,
        )

    def move(self, calm: Row, busy: Row) -> None:
        """Take over what its rows say. Raises a MsgspecError when they are damaged."""
        self.saved = calm, busy
        self.call, self.fence, mailbox, open, self.owner, self.pending, *rest = busy
        self.slots.count, self.slots.bytes, self.touched = rest
        self.attempt, self.deliveries, failed, no_answer, self.state, self.join_n, self.due = calm
        self.failed, self.no_answer = bool(failed), bool(no_answer)
        self.mailbox = mailbox_of(mailbox)
        self.open = open_calls_of(open)


class StoredConversation(Conversation):
    """`saved` as in a thread; `finish` is its place among those that are over."""

    __slots__ = ("finish", "n", "saved")

    def __init__(self, n: int, id: str, owner: str, started: float, retried_from: str) -> None:
        super().__init__(id, owner, started, retried_from)
        self.n = n
        self.finish: int | None = None
        self.saved: Row | None = None

    def moving(self) -> Row:
        return (self.owner, self.ended, self.outputs, self.delivered, self.verdict, self.finish)

    def move(self, row: Row) -> None:
        self.saved = row
        self.owner, self.ended, self.outputs, self.delivered, self.verdict, self.finish = row


class StoredJoin(JoinState):
    """Its results are rows, and only rows: a Buffer may have tens of thousands. `saved` as in a thread."""

    __slots__ = ("n", "saved", "store", "thread_n")

    def __init__(self, store: Records, n: int, terms: Join, thread_n: int | None, moving: Row) -> None:
        self.store = store
        self.n = n
        self.terms = terms
        self.thread_n = thread_n
        self.missing, self.faults, feeding, self.more_at, opened = moving
        self.feeding, self.open = bool(feeding), bool(opened)
        self.saved = self.moving()

    @property
    def thread(self) -> Thread | None:
        return None if self.thread_n is None else self.store.numbered(self.thread_n)

    @thread.setter
    def thread(self, thread: Thread | None) -> None:
        """Set for good by its number."""

    def moving(self) -> Row:
        """The row's columns that a flush writes."""
        return (*msgspec.structs.astuple(self.terms)[1:], self.missing, self.faults, self.feeding, self.more_at)

    def extend(self, terms: Join) -> None:
        self.missing += terms.total - self.terms.total
        self.terms = terms
        self.feeding = False

    def keep(self, index: int, result: bytes) -> bool:
        return self.awaits(index) and self.store.add_result(self.n, index, result)


class Counters(msgspec.Struct, array_like=True, gc=False):
    """The table counters: how many there are of what, and the next number of what is numbered."""

    threads: int
    conversations: int
    running: int
    in_flight: int
    slots: int
    buffers: int
    joins: int
    dead: int
    bindings: int
    loose: int
    number: int
    tail: int
    head: int
    turn: int
    finish: int
    buried: int


COUNTERS = Counters.__struct_fields__
COUNTED = {
    "threads": "SELECT count(*) FROM threads",
    "conversations": "SELECT count(*) FROM conversations",
    "running": "SELECT count(*) FROM conversations WHERE finish IS NULL",
    "slots": "SELECT count(*) FROM slots",
    "buffers": "SELECT (SELECT count(*) FROM progress WHERE slots > 0) + (SELECT count(*) FROM loose)",
    "joins": "SELECT count(*) FROM joins WHERE open = 1",
    "dead": "SELECT count(*) FROM dead",
    "bindings": "SELECT count(*) FROM bindings",
    "loose": "SELECT count(*) FROM loose",
}
"""What those of them count that can be counted."""
