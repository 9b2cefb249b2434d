"""The store port: what keeps what nodes have decided. It knows no rule, and nobody but a Home speaks to it.

A node is a Home that has registered. A conversation is at home in one node at a time, or in none: then it waits in the
queue, or for its due time, or is over. Nobody but its home writes its records; whoever wants something of it posts a
letter to it. What a home has no hands for it offers; others take it, and answer by a letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from xpipe.core.messages import Claim, Cursor, DeadLetter, PumpRecord, Step
from xpipe.ports import Capabilities, Collection

QUEUE, DUE, OVER, HOME = "queue", "due", "over", "home"
"""Where a conversation is. It has a home in the last case only."""

OK, DONE, LOST, GAP, OUTSIDE = "ok", "done", "lost", "gap", "outside"
"""What becomes of an apply. Done: that number was applied before. Lost: the node is not registered. Gap: an earlier one
is missing. Outside: somebody has bound a chain or recorded a slot by hand since what the node knows."""


class Save(msgspec.Struct, array_like=True):
    """What a home did to one conversation.

    fields, slots, pairs: as in ledger.kept; outputs: how many it has; read: letters before this number have had their
    effect. release: "" to stay its home, else QUEUE (to the front), DUE (not before `due`, in seconds since the epoch,
    0.0: for letters alone) or OVER.
    """

    id: str
    fields: dict[bytes, bytes] = {}
    slots: dict[str, list[bytes]] = {}
    pairs: list[tuple[str, str]] = []
    outputs: int = 0
    read: int = 0
    release: str = ""
    due: float = 0.0
    ended: float = 0.0


class Inject(msgspec.Struct, array_like=True):
    """New conversations, of `owner`; here: at home in the node, else in the queue.

    All of them are refused unless the sources' numbers, the cursor and the dead letter they come from are as given.
    numbers: how many initiators each source has had; sources: how many these are of each.
    """

    owner: str
    here: bool
    saves: list[Save]
    numbers: dict[str, int] = {}
    sources: dict[str, int] = {}
    cursor: Cursor | None = None
    seen: Cursor | None = None
    letter: int = 0


class Offer(msgspec.Struct, array_like=True):
    """A message that any node may handle for its conversation's home."""

    conversation: str
    claim: Claim


class Answer(msgspec.Struct, array_like=True):
    """A letter: what came of an offer. deliveries: how often it was lost with its holder."""

    step: Step
    deliveries: int = 0


class Cancel(msgspec.Struct, array_like=True, tag="cancel"):
    """A letter: end the conversation with `fault`."""

    fault: bytes
    at: float


class Letter(msgspec.Struct, array_like=True):
    """One of the two."""

    answer: Answer | None = None
    cancel: Cancel | None = None


class Batch(msgspec.Struct):
    """All that one apply does, to be applied as a whole. in_flight, slots: by how much the counts change.

    outside: as in the Counts that the node has seen; now: in seconds since the epoch, by which waits are due.
    offers, withdrawn: messages that are offered, and thread and fence of those that are no longer. answers: for offers
    this node has taken, by conversation. pull: up to so many conversations without a living home; pulled: that one, if
    it has none. take: up to so many offers of each listener. adopt: conversations for `owner`, with the owner that each
    must still have. delivered: outputs that have been printed. mended: slots in place of damaged ones.
    """

    now: float = 0.0
    outside: int = 0
    saves: list[Save] = []
    inject: Inject | None = None
    offers: list[Offer] = []
    withdrawn: list[tuple[str, int]] = []
    answers: list[tuple[str, Answer]] = []
    pull: int = 0
    pulled: str = ""
    take: dict[str, int] = {}
    adopt: dict[str, str] = {}
    owner: str = ""
    delivered: dict[str, int] = {}
    dead: list[DeadLetter] = []
    mended: list[tuple[str, int, bytes]] = []
    in_flight: int = 0
    slots: int = 0

    @property
    def changes_something(self) -> bool:
        """Whether it does more than to ask for work."""
        return bool(
            self.saves
            or self.offers
            or self.withdrawn
            or self.answers
            or self.pulled
            or self.adopt
            or self.delivered
            or self.dead
            or self.mended
        )


class Counts(msgspec.Struct, array_like=True):
    """How much there is, and what waits for somebody: conversations without a home, offers by listener, next due time.

    wanted: what other nodes have asked for and not been given.
    """

    in_flight: int = 0
    threads: int = 0
    slots: int = 0
    outside: int = 0
    nodes: int = 0
    homeless: int = 0
    due: float = 0.0
    offered: dict[str, int] = {}
    wanted: dict[str, int] = {}


class Reply(msgspec.Struct, array_like=True):
    """The answer to an apply. refused: nothing was injected, for the numbers, cursor or dead letter that there are now.

    pulled: conversations that are at home here now; taken: offers; letters: by conversation, the number of the first
    one and they themselves; news: conversations of this owner that have got outputs or are over; revoked: threads whose
    taken offers are withdrawn.
    """

    status: str
    counts: Counts
    refused: bool = False
    numbers: dict[str, int] = {}
    pulled: list[str] = []
    taken: list[tuple[Offer, int]] = []
    letters: dict[str, tuple[int, list[Letter]]] = {}
    news: list[str] = []
    revoked: list[str] = []
    adopted: list[str] = []


class Kept(msgspec.Struct):
    """A conversation as it is kept. slots: of its threads, by number, if they were asked for; read: as in Save."""

    id: str
    place: str
    home: str
    owner: str
    delivered: int
    read: int
    threads: list[str]
    fields: dict[bytes, bytes]
    slots: list[list[bytes]] | None = None


class Collections(Protocol):
    """Kept for xpipe.state; nothing of an organism."""

    def create(self, kind: str, id: str, head: bytes, size: int) -> bool: ...
    def get(self, kind: str, id: str) -> Collection | None: ...
    def add(self, kind: str, id: str, index: int, part: bytes) -> bool: ...
    def remove(self, kind: str, id: str) -> bool: ...
    def ids(self, kind: str) -> list[str]: ...


class Store(Protocol):
    """Keeps the state of one organism. Every method is atomic. Raises BackendError when it cannot be reached."""

    capabilities: Capabilities

    def open(self, root: str | None, secret: bytes) -> tuple[str, bytes]:
        """Claim it for the organism whose root chain is `root`, unless one has; the root and secret it has now."""

    def register(self, node: PumpRecord) -> Counts:
        """Make a node known; its record is `node` from now on."""

    def renew(self, node: str, expires: float) -> bool:
        """Its lease ends at `expires`; False if it is not registered any more."""

    def expire(self, node: str, lost: bool = True) -> int | None:
        """Forget a node. Its conversations have no home now, what it took is offered again: how many; None: unknown.

        lost: each of these counts a delivery more.
        """

    def nodes(self) -> list[PumpRecord]:
        """The registered ones."""

    def apply(self, node: str, number: int, batch: Batch) -> Reply:
        """Do all of `batch` or nothing. Numbers count the applies of a node from 1."""

    def post(self, conversation: str, letter: Letter) -> int:
        """Post a letter; its number, -1 if the conversation is over or unknown."""

    def counts(self) -> Counts:
        """As an apply gives them."""

    def load(self, ids: Sequence[str], slots: bool) -> list[Kept]:
        """Those conversations of `ids` that there are."""

    def mine(self, node: str) -> Reply:
        """All that `node` has to do with, as if a reply told it: its conversations are pulled, its offers taken.

        refused: as its last injection was.
        """

    def numbers(self, sources: Sequence[str]) -> dict[str, int]:
        """How many initiators each source has had."""

    def page(self, index: str, after: int, most: int, newest: bool = False) -> list[tuple[int, str]]:
        """Up to `most` conversations of `index` ("all", "running", "unsettled"), by number.

        Behind the number `after`, -1 for the first ones.
        """

    def find(self, prefix: str, most: int) -> list[str]:
        """Up to `most` threads whose id begins with `prefix`."""

    def conversation_of(self, thread: str) -> str:
        """The conversation of a thread, "" for none."""

    def slots(self, thread: str, start: int, stop: int | None) -> list[bytes]:
        """The slots of a thread."""

    def forget(self, ids: Sequence[str]) -> int:
        """Remove conversations that are over; how many."""

    def dead(self, after: int, most: int) -> list[DeadLetter]:
        """Up to `most` dead letters with numbers above `after`."""

    def drop_dead(self, numbers: Sequence[int]) -> int:
        """Remove dead letters; how many."""

    def cursor(self, name: str) -> Cursor | None:
        """The cursor of a source."""

    def wait(self, node: str, seconds: float) -> bool:
        """Block until there may be something for `node`."""

    def append(self, thread: str, slot: bytes, most: int) -> int:
        """Record a slot by hand, in any thread; its index, -1 if the thread has `most` slots."""

    def delete_slots(self, thread: str) -> bool:
        """Forget the slots of a thread whose conversation is not running; whether there were any."""

    def slot_threads(self, after: str, most: int) -> list[str]:
        """Threads that have slots, by id."""

    def bind(self, chain: str, uuid: str) -> tuple[str, str]:
        """Bind them by hand unless one of them is bound; the uuid of `chain` and the chain of `uuid` now."""

    def unbind(self, uuid: str) -> bool:
        """Undo that; False if it was not bound by hand, or has become a thread."""

    def bound(self) -> dict[str, str]:
        """What is bound by hand and has not become a thread: uuids by chain."""

    def loose(self) -> list[str]:
        """Ids that have slots and no thread."""

    def uuid_of(self, chain: str) -> str | None:
        """The uuid that `chain` is bound to."""

    def chain_of(self, uuid: str) -> str | None:
        """The chain that `uuid` is bound to."""

    collections: Collections

    def ended(self, before: float, most: int, settled: bool) -> list[str]:
        """Up to `most` conversations that ended before `before`, the earliest first; or only settled ones."""

    def close(self) -> None:
        """Release what this object holds."""
