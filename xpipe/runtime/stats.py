"""What a pump has done so far, for progress and totals."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_FAULTS = 1_000
MAX_GROUPS = 100


@dataclass(slots=True)
class ListenerStats:
    """Messages of one listener: how many are done, and how many of these ended with a fault."""

    done: int = 0
    faults: int = 0


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault where it happened."""

    conversation: str
    thread: str
    code: str
    text: str
    origin: str
    hop: int
    attempt: int
    retryable: bool
    traceback: str
    causes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The class of the exception, else the code."""
        return self.causes[0] if self.code == "exception" and self.causes else self.code


@dataclass(slots=True)
class FaultGroup:
    """Faults of one kind and origin: the first of them, and their number."""

    example: FaultRecord
    count: int = 0


@dataclass(slots=True)
class Stats:
    """Counts since the pump started. `fault_count` counts all faults, `faults` keeps the first MAX_FAULTS.

    groups: them by kind and origin, up to MAX_GROUPS of those.
    """

    hops: int = 0
    retries: int = 0
    late: int = 0
    dropped: int = 0
    unanswered: int = 0
    timeouts: int = 0
    workers_lost: int = 0
    fault_count: int = 0
    listeners: dict[str, ListenerStats] = field(default_factory=dict)
    faults: list[FaultRecord] = field(default_factory=list)
    groups: dict[tuple[str, str], FaultGroup] = field(default_factory=dict)

    def of(self, listener: str) -> ListenerStats:
        """The counts of `listener`."""
        found = self.listeners.get(listener)
        if found is None:
            found = self.listeners[listener] = ListenerStats()
        return found

    def note(self, fault: FaultRecord) -> None:
        """Count `fault`, and keep it while there is room."""
        self.fault_count += 1
        key = fault.kind, fault.origin
        group = self.groups.get(key)
        if group is None and len(self.groups) < MAX_GROUPS:
            group = self.groups[key] = FaultGroup(fault)
        if group is not None:
            group.count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
