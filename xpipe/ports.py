"""The ports: what the layers above need of a backend. The contract stands here; implementations stay bare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from xpipe.core.messages import Claim, Event, Injection, Step


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do: serve several processes, survive them, serve several hosts, expire by itself."""

    cross_process: bool
    persistent: bool
    cross_host: bool
    expiry: bool
    blocking: bool
    """Its calls may wait for a disk or a network, so that an event loop calls them from a thread."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What `advance` did.

    refused: the positions of finished steps that were not committed, each with the reason: `stale` (its claim was
    lost) or `slots` (a thread it writes to is full; the claim still stands). due: when the next join expires, in
    seconds since the epoch, 0 for none. late: replies that came after their call had ended; unanswered: calls that
    ended without an answer.
    """

    claims: list[Claim]
    events: list[Event]
    refused: dict[int, str]
    due: float = 0.0
    late: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """One thread from outside. state: active, waiting, failed or done; last_from and last_to are listener names."""

    thread: str
    conversation: str
    chain: str
    listener: str
    state: str
    slots: int
    bytes: int
    last_from: str
    last_to: str


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
    """State of one organism. Every method is atomic; all data that goes in or out is bytes, str and int in Structs.

    Raises BackendError when the backend cannot be reached.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def open(self, organism: str, slots_per_thread: int) -> None:
        """Be the state of the organism named `organism`: bind its root chain, make its secret. Idempotent."""

    def secret(self) -> bytes:
        """The key of the organism's thread ids; never shown to a handler."""

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        """Commit the steps `finished`, each wholly or not at all; then claim messages for `pump`.

        Claims at most `room[name]` messages of each listener and `most` in all, oldest first within a listener, one
        of a thread at a time, and hands over the events of the conversations that `pump` injected. `now` is the
        time in seconds since the epoch, by which joins expire.
        """

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        """Start a conversation for each message, in one commit; their ids. Each has an initiator `<source>-<n>`."""

    def in_flight(self) -> int:
        """Messages ready, parked or claimed."""

    def slots(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The messages recorded in `thread`, oldest first; [] for an unknown thread."""

    def join_results(self, thread: str) -> list[bytes | None]:
        """The results of the Buffer of `thread` by index, None where there is none (yet)."""

    def joins(self) -> Iterator[tuple[str, int, int]]:
        """The Buffers that still wait for items: id, items accounted for, items in all."""

    def join_create(self, id: str, total: int) -> bool:
        """Open a join that no thread waits for; False if there is one called `id`."""

    def join_get(self, id: str) -> JoinRecord | None:
        """The join called `id`, if it is open."""

    def join_record(self, id: str, index: int, result: bytes) -> bool:
        """Record a result of a join made by `join_create`; False if it has one at `index`, or there is none."""

    def join_remove(self, id: str) -> bool:
        """Forget a join made by `join_create`; whether there was one."""

    def threads(self, conversation: str | None = None) -> Iterator[ThreadRecord]:
        """The threads of one conversation or of all, without the root pair, oldest first."""

    def registry(self) -> Iterator[tuple[str, str]]:
        """(uuid, chain) of every registered thread and the root."""

    def totals(self) -> BackendTotals:
        """Counts over everything."""

    def ping(self) -> bool:
        """Whether the backend answers."""

    def close(self) -> None:
        """Release what this object holds; state that persists stays."""
