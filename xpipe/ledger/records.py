"""What a backend keeps of a thread, a join and a conversation."""

from __future__ import annotations

from collections.abc import MutableSequence

from xpipe.core.messages import Join

VERDICTS = ("done", "failed", "cancelled")
"""How a conversation may end: nothing else, a fault reached its initiator, or somebody cancelled it."""
DONE, FAILED, CANCELLED = range(3)


class JoinState:
    """The results of a Buffer so far, by index. `thread` is told when all are there; None for a join without one.

    missing: items under way; faults: failed ones among the others; feeding: the thread has been asked for more items,
    by the message in its slot `more_at`. since: the fence of the thread when it began, which tells its joins apart.
    """

    __slots__ = ("faults", "feeding", "missing", "more_at", "open", "results", "since", "terms", "thread")

    def __init__(self, terms: Join, thread: Thread | None) -> None:
        self.terms = terms
        self.thread = thread
        self.results: list[bytes | None] = [None] * terms.total
        self.missing = terms.total
        self.faults = 0
        self.feeding = False
        self.more_at = -1
        self.open = terms.is_awaited
        self.since = thread.fence if thread else 0

    def extend(self, terms: Join) -> None:
        """Go on under `terms`, whose total counts further items."""
        added = terms.total - self.terms.total
        self.results += [None] * added
        self.missing += added
        self.terms = terms
        self.feeding = False

    def awaits(self, index: int) -> bool:
        """Whether a result is missing, and `index` is that of one."""
        return self.missing > 0 and 0 <= index < self.terms.total

    def keep(self, index: int, result: bytes) -> bool:
        """Whether `result` is the first at `index`, and so was kept."""
        if not self.awaits(index) or self.results[index] is not None:
            return False
        self.results[index] = result
        return True

    def record(self, index: int, result: bytes) -> bool:
        """Whether `result`, a success, is the first at `index`, and so was kept and counted."""
        if not self.keep(index, result):
            return False
        self.count(fault=False)
        return True

    def count(self, fault: bool) -> None:
        """One item more is accounted for."""
        self.missing -= 1
        self.faults += fault

    @property
    def is_decided(self) -> bool:
        """Whether further results cannot change the outcome."""
        terms = self.terms
        successes = terms.total - self.missing - self.faults
        return 0 < terms.enough <= successes or 0 <= terms.spare < self.faults

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.is_decided or not (self.missing or self.terms.more)

    @property
    def is_hungry(self) -> bool:
        """Whether the thread is to be asked for more items."""
        return bool(self.terms.more) and not self.feeding and self.missing <= self.terms.low


class Thread:
    """One thread. `parent` is None for an initiator only.

    mailbox: the indexes of the slots to be handled, the claimed or ready one first; attempt and deliveries are those
    of the first; due: when it may be tried again, 0.0 for now. owner: the pump that has claimed it, "" for none.
    pending: its messages in flight and its child threads that are themselves pending. touched: when something last
    happened in it, in seconds since the epoch.
    Empty collections are None: most threads end with nothing in them, and there are many threads.
    """

    __slots__ = (
        "attempt",
        "call",
        "caller",
        "chain",
        "conversation",
        "deliveries",
        "due",
        "failed",
        "fence",
        "id",
        "index",
        "join",
        "listener",
        "mailbox",
        "no_answer",
        "open",
        "owner",
        "parent",
        "pending",
        "slots",
        "state",
        "touched",
    )

    def __init__(
        self,
        id: str,
        chain: str,
        listener: str,
        caller: str,
        parent: Thread | None,
        conversation: Conversation,
        index: int = -1,
    ) -> None:
        self.id = id
        self.chain = chain
        self.listener = listener
        self.caller = caller
        self.parent = parent
        self.conversation = conversation
        self.index = index
        self.attempt = 1
        self.call = ""
        self.deliveries = 0
        self.due = 0.0
        self.failed = False
        self.fence = 0
        self.join: JoinState | None = None
        self.mailbox: list[int] | None = None
        self.no_answer = False
        self.open: dict[str, str] | None = None
        self.owner = ""
        self.pending = 0
        self.slots: MutableSequence[bytes] = []
        self.state = b""
        self.touched = 0.0

    @property
    def is_initial(self) -> bool:
        """Whether an initiator calls it."""
        return self.parent is not None and self.parent.parent is None

    @property
    def status(self) -> str:
        """active, waiting, failed or done."""
        if self.mailbox:
            return "active"
        if self.open or (self.join and self.join.open and self.join.terms.collect):
            return "waiting"
        return "failed" if self.failed else "done"


class Conversation:
    """All threads that grew from one injected message. Its outputs are the first slots of its initiator.

    owner: the pump that is told of its events, "" for none; delivered: how many of its outputs have been printed;
    ended: when, in seconds since the epoch, 0.0 while it runs; place: in the order of the ends, of one that is over in
    memory; verdict: which of VERDICTS it ends with; retried_from:
    see ConversationRecord. hops: encoded HopRecords in the order of their commits.
    """

    __slots__ = (
        "delivered",
        "ended",
        "hops",
        "id",
        "outputs",
        "owner",
        "place",
        "retried_from",
        "started",
        "threads",
        "verdict",
    )

    def __init__(self, id: str, owner: str, started: float, retried_from: str = "") -> None:
        self.id = id
        self.owner = owner
        self.started = started
        self.retried_from = retried_from
        self.ended = 0.0
        self.place = 0
        self.delivered = 0
        self.verdict = DONE
        self.outputs = 0
        self.threads: MutableSequence[str] = []
        self.hops: MutableSequence[bytes] = []

    @property
    def state(self) -> str:
        """running, or one of VERDICTS."""
        return VERDICTS[self.verdict] if self.ended else "running"

    @property
    def settled(self) -> bool:
        """Whether it is over and all its outputs are delivered, so that it may be forgotten for want of room."""
        return self.ended > 0.0 and self.delivered >= self.outputs
