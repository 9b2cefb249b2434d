"""What a backend keeps of a thread, a join and a conversation."""

from __future__ import annotations

from collections.abc import MutableSequence

from xpipe.core.messages import Join


class JoinState:
    """The results of a Buffer so far, by index. `thread` is told when all are there; None for a join without one."""

    __slots__ = ("missing", "results", "terms", "thread")

    def __init__(self, terms: Join, thread: Thread | None) -> None:
        self.terms = terms
        self.thread = thread
        self.results: list[bytes | None] = [None] * terms.total
        self.missing = terms.total

    def awaits(self, index: int) -> bool:
        """Whether a result is missing, and `index` is that of one."""
        return self.missing > 0 and 0 <= index < self.terms.total

    def record(self, index: int, result: bytes) -> bool:
        """Whether `result` is the first at `index`, and so was kept."""
        if not self.awaits(index) or self.results[index] is not None:
            return False
        self.results[index] = result
        self.missing -= 1
        return True


class Thread:
    """One thread. `parent` is None for an initiator only.

    mailbox: the indexes of the slots to be handled, the claimed or ready one first; attempt and deliveries are those
    of the first. owner: the pump that has claimed it, "" for none. pending: its messages in flight and its child
    threads that are themselves pending. touched: when something last happened in it, in seconds since the epoch.
    Empty collections are None: most threads end with nothing in them, and there are many threads.
    """

    __slots__ = (
        "attempt",
        "call",
        "caller",
        "chain",
        "conversation",
        "deliveries",
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
    def status(self) -> str:
        """active, waiting, failed or done."""
        if self.mailbox:
            return "active"
        if self.open or (self.join and self.join.missing and self.join.terms.collect):
            return "waiting"
        return "failed" if self.failed else "done"


class Conversation:
    """All threads that grew from one injected message. Its outputs are the first slots of its initiator.

    owner: the pump that is told of its events, "" for none; delivered: how many of its outputs have been printed;
    ended: when, in seconds since the epoch, 0.0 while it runs.
    """

    __slots__ = ("delivered", "ended", "faulted", "id", "outputs", "owner", "started", "threads")

    def __init__(self, id: str, owner: str, started: float) -> None:
        self.id = id
        self.owner = owner
        self.started = started
        self.ended = 0.0
        self.delivered = 0
        self.faulted = False
        self.outputs = 0
        self.threads: MutableSequence[str] = []

    @property
    def state(self) -> str:
        """running, done or failed."""
        if not self.ended:
            return "running"
        return "failed" if self.faulted else "done"

    @property
    def settled(self) -> bool:
        """Whether it is over and all its outputs are delivered, so that it may be forgotten for want of room."""
        return self.ended > 0.0 and self.delivered >= self.outputs
