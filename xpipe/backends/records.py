"""What a backend keeps of a thread, a join and a conversation."""

from __future__ import annotations

from xpipe.core.messages import Join


class JoinState:
    """The results of a Buffer so far, by index. `thread` is told when all are there; None for a join without one."""

    __slots__ = ("missing", "results", "terms", "thread")

    def __init__(self, terms: Join, thread: Thread | None) -> None:
        self.terms = terms
        self.thread = thread
        self.results: list[bytes | None] = [None] * terms.total
        self.missing = terms.total

    def record(self, index: int, result: bytes) -> bool:
        """Whether `result` is the first at `index`, and so was kept."""
        if not self.missing or self.results[index] is not None:
            return False
        self.results[index] = result
        self.missing -= 1
        return True


class Thread:
    """One thread. `parent` is None for an initiator only; `mailbox` holds the claimed or ready message first.

    Empty collections are None or shared: most threads end with nothing in them, and there are many threads.
    """

    __slots__ = (
        "call",
        "caller",
        "chain",
        "claimed",
        "conversation",
        "failed",
        "fence",
        "id",
        "index",
        "join",
        "listener",
        "mailbox",
        "no_answer",
        "open",
        "parent",
        "pending",
        "slots",
        "state",
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
        self.call = ""
        self.claimed = False
        self.failed = False
        self.fence = 0
        self.join: JoinState | None = None
        self.mailbox: list[bytes] | None = None
        self.no_answer = False
        self.open: dict[str, str] | None = None
        self.pending = 0
        self.slots: list[bytes] = []
        self.state = b""

    @property
    def status(self) -> str:
        """active, waiting, failed or done."""
        if self.mailbox:
            return "active"
        if self.open or (self.join and self.join.missing and self.join.terms.collect):
            return "waiting"
        return "failed" if self.failed else "done"


class Conversation:
    """All threads that grew from one injected message."""

    __slots__ = ("faulted", "id", "owner", "running", "started", "threads")

    def __init__(self, id: str, owner: str, started: float) -> None:
        self.id = id
        self.owner = owner
        self.started = started
        self.running = True
        self.faulted = False
        self.threads: list[str] = []
