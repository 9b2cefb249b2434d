"""The ports: what the layers above need of a backend. The contract stands here; implementations stay bare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from xpipe.core.messages import (
    Claim,
    ConversationRecord,
    Cursor,
    DeadLetter,
    Event,
    Injection,
    PumpRecord,
    Step,
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do: serve several processes, survive them, serve several hosts, expire by itself."""

    cross_process: bool
    persistent: bool
    cross_host: bool
    expiry: bool
    blocking: bool
    """Its calls may wait for a disk or a network, so that an event loop calls them from a thread."""
    remote: bool = False
    """Another process does its work, while this one may do something else."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What `advance` did.

    refused: the positions of finished steps that were not committed, each with the reason: `stale` (its claim was
    lost) or `slots` (a thread it writes to is full; the claim still stands). due: when the next join expires or the
    next delayed message is ready, in seconds since the epoch, 0 for none. late: replies that came after their call had
    ended; unanswered: calls that ended without an answer. in_flight: as in Load, afterwards.
    """

    claims: list[Claim]
    events: list[Event]
    refused: dict[int, str]
    due: float = 0.0
    late: int = 0
    unanswered: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """One thread from outside. state: active, waiting, failed or done; last_from and last_to are listener names.

    touched: when something last happened in it, in seconds since the epoch.
    """

    thread: str
    conversation: str
    chain: str
    listener: str
    state: str
    slots: int
    bytes: int
    last_from: str
    last_to: str
    touched: float


@dataclass(frozen=True, slots=True)
class RegistryRecord:
    """A pair of the registry. kind: root, thread, bound (from outside, no thread has it) or orphan (half of a pair)."""

    uuid: str
    chain: str
    kind: str


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a backend is: messages ready, parked or claimed, and how many threads it is below `max_threads`."""

    in_flight: int
    room: int

    @property
    def full(self) -> bool:
        """Whether it keeps as many threads as it may."""
        return self.room <= 0


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that belongs to nothing: what `kind` of thing, its key or id, and what it lacks."""

    kind: str
    id: str
    lacks: str


@dataclass(frozen=True, slots=True)
class Damage:
    """Stored bytes that cannot be read: their place, what is wrong, and whether they have been set aside."""

    key: str
    problem: str
    set_aside: bool


@dataclass(frozen=True, slots=True)
class JoinRecord:
    """A Buffer that waits for items: `results` are encoded replies by index, None where there is none yet."""

    id: str
    total: int
    results: list[bytes | None]

    @property
    def present(self) -> int:
        """How many items are accounted for."""
        return sum(result is not None for result in self.results)


@dataclass(frozen=True, slots=True)
class Collection:
    """What a registry of xpipe.state keeps: `head` describes it, `parts` are what has been added, by index."""

    head: bytes
    parts: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class BackendTotals:
    """Counts over a backend's whole content."""

    threads: int
    conversations: int
    conversations_active: int
    in_flight: int
    slots: int
    joins: int
    dead_letters: int


@runtime_checkable
class SharedBackend(Protocol):
    """State of one organism, or of none yet. Every method is atomic; data is bytes, str and int in Structs.

    It is ready as it comes: slots, registry and collections need no organism, everything else needs one that has
    claimed it. Raises BackendError when the backend cannot be reached or is closed, TypeError and ValueError for
    an id or a slot that cannot be stored. Safe to use from several threads.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        """Claim the backend for the organism named `organism`: bind its root chain, make its secret. Idempotent.

        With None, take part in whatever organism has claimed it. Raises BackendError when that is another one, or
        none. `slots_per_thread` replaces the limit that the backend was made with. What was closed is open again.
        """

    def root(self) -> str:
        """The chain above all conversations, `system.<organism>`; "" while no organism has claimed the backend."""

    def secret(self) -> bytes:
        """The key of the organism's thread ids; never shown to a handler."""

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        """Commit the steps `finished`, each wholly or not at all; then claim messages for `pump`.

        Claims at most `room[name]` messages of each listener and `most` in all, oldest first within a listener, one
        of a thread at a time, and hands over the events of the conversations that `pump` owns; a pump that is not
        enrolled gets nothing. `now` is the time in seconds since the epoch, by which joins expire and delayed
        messages become ready.
        """

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        """Start a conversation for each message, in one commit; their ids. Each has an initiator `<source>-<n>`.

        `pump` owns them: it is told of what happens in them, if it is enrolled; "" for nobody. The same commit moves
        the cursor of the messages' source from `seen` (None: it has none) to `cursor`. If it is not `seen` any more,
        another reader was faster: nothing is done, and the answer is empty.
        """

    def cursor(self, name: str) -> Cursor | None:
        """The cursor of the source `name`."""

    def load(self) -> Load:
        """How busy it is."""

    def make_room(self) -> bool:
        """Forget conversations that are over and delivered, the earliest ended first, until `max_threads` is not
        reached any more; whether that has come about."""

    def ready_listeners(self) -> list[str]:
        """The listeners that have a message ready."""

    def buffer_append(self, thread: str, slot: bytes) -> int:
        """Record a slot in `thread`, known or not; its index, from 0. Raises LimitError when the thread is full."""

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The slots of `thread`, oldest first; [] for an unknown thread."""

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        """The slot `index` of `thread`, counted from 0, if there is one."""

    def buffer_thread_len(self, thread: str) -> int:
        """How many slots `thread` has; 0 for an unknown thread."""

    def buffer_thread_exists(self, thread: str) -> bool:
        """Whether `thread` has a slot."""

    def buffer_delete_thread(self, thread: str) -> bool:
        """Forget the slots of `thread`; whether there were any. Refused (False) while its conversation runs.

        Outputs that go with them count as delivered: nothing is left to deliver.
        """

    def buffer_list_threads(self) -> list[str]:
        """The threads that have a slot."""

    def buffer_iter_threads(self) -> Iterator[str]:
        """As `buffer_list_threads`, page by page."""

    def buffer_clear(self) -> None:
        """`buffer_delete_thread` for all threads."""

    def registry_set(self, chain: str, uuid: str) -> str:
        """Bind `chain` to `uuid` unless one of them is bound; the uuid that `chain` is bound to now.

        Raises LimitError when `uuid` is bound to another chain.
        """

    def registry_get_uuid(self, chain: str) -> str | None:
        """The uuid that `chain` is bound to."""

    def registry_get_chain(self, uuid: str) -> str | None:
        """The chain that `uuid` is bound to."""

    def registry_delete(self, uuid: str) -> bool:
        """Undo a `registry_set` in both directions; False if there was none, or a thread has that id by now."""

    def registry_clear(self) -> None:
        """Undo every `registry_set` whose id no thread has; threads go with their conversation (`forget`)."""

    def join_results(self, thread: str) -> list[bytes | None]:
        """The results of the Buffer of `thread` by index, None where there is none (yet)."""

    def joins(self) -> Iterator[tuple[str, int, int]]:
        """The Buffers that still wait for items: id, items accounted for, items in all."""

    def join_get(self, id: str) -> JoinRecord | None:
        """The join called `id`, if it is open."""

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        """Begin the collection `id` of a kind: a head and `size` numbered parts to come. False if there is one.

        No pump looks at it; it is in no listing of an organism, in no total, and not collected by `xpipe gc`.
        """

    def collection_get(self, kind: str, id: str) -> Collection | None:
        """The collection `id` of a kind, if there is one."""

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        """Add the part `index`. False if it is there already, there is no such index, or no such collection."""

    def collection_remove(self, kind: str, id: str) -> bool:
        """Forget a collection; whether there was one."""

    def collection_ids(self, kind: str) -> Iterator[str]:
        """The ids of the collections of a kind, page by page."""

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        """The threads of one conversation or of all, without the root pair, oldest first or `newest` first."""

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        """What became of the messages of `conversation`: encoded HopRecords in the order of their commits, without the
        first `start` ones; nothing for an unknown conversation."""

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        """Up to `most` threads whose id begins with `prefix`."""

    def registry_list_all(self) -> dict[str, str]:
        """The chains of every registered thread and the root, by uuid."""

    def registry_entries(self) -> Iterator[RegistryRecord]:
        """As `registry_list_all`, page by page and with the kind of each pair; the missing half of an orphan is ""."""

    def totals(self) -> BackendTotals:
        """Counts over everything."""

    def enroll(self, pump: PumpRecord) -> None:
        """Make `pump` known, so that others can tell whether what it has claimed is still in good hands."""

    def retire(self, pump: str) -> None:
        """Forget `pump` and hand back at once what it has claimed."""

    def renew(self, pump: str, expires: float) -> bool:
        """Its leases now end at `expires`; False when they are lost: others have taken it for dead."""

    def pumps(self) -> list[PumpRecord]:
        """The pumps that are known."""

    def bury_pump(self, pump: str) -> int:
        """Forget a pump that is dead; what it had claimed is ready again, one delivery more. How many messages."""

    def wait(self, pump: str, seconds: float) -> bool:
        """Block until another process may have done something that concerns `pump`; False after `seconds`."""

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        """All conversations, or only those that run, that `owner` owns, that run or have outputs that nobody has
        printed; oldest first."""

    def conversation(self, id: str) -> ConversationRecord | None:
        """The conversation `id`, if there is one."""

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        """`pump` owns `conversation` from now on; how it is then. None if it is unknown, or not that of `owner` now."""

    def delivered(self, outputs: Mapping[str, int]) -> None:
        """Of each conversation in `outputs` the first so many outputs have been printed."""

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        """End a conversation that runs and everything under way in it; False if it is over or unknown.

        Its initiator gets `fault`, an encoded Fault, for each call that is not answered yet, and pumps are told of
        their claims in it.
        """

    def forget(self, conversation: str) -> bool:
        """Remove a conversation that is over, with its threads and their slots; False if it runs or is unknown."""

    def forget_ended(self, before: float, most: int) -> int:
        """`forget` up to `most` conversations that ended before `before`, the earliest first; how many."""

    def dead_letters(self) -> Iterator[DeadLetter]:
        """The dead letters, oldest first."""

    def drop_dead_letters(self, before: float) -> int:
        """Forget the dead letters given up before `before`; how many."""

    def drop_dead(self, numbers: Sequence[int]) -> int:
        """Forget the dead letters of these numbers; how many there were."""

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        """Replace the dead letter `number` by the conversation of `injection`; its id, None if there is no letter."""

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        """What belongs to nothing; with `remove` it is removed before it is told of."""

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        """What cannot be read. With `set_aside` a slot is kept as a dead letter and `tombstone` takes its place.

        Of a record that is set aside too, its conversation goes where it cannot do without it; whoever waits is told.
        """

    def info(self) -> dict[str, Any]:
        """What it is, for people: type, buffer_threads, registry_entries, ttl_seconds (0: none), place."""

    def ping(self) -> bool:
        """Whether the backend answers."""

    def close(self) -> None:
        """Release what this object holds; state that persists stays."""
