"""Collecting what is over, expired or belongs to nothing. It changes what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from xpipe.core.messages import ConversationRecord
from xpipe.inspection.dead_letters import LetterFilter, LetterView, drop, letters
from xpipe.ports import Damage, SharedBackend
from xpipe.runtime.lease import is_alive, living

_OVER = frozenset(("done", "failed", "cancelled"))


@runtime_checkable
class Verifiable(Protocol):
    """A backend that can tell whether its store is whole."""

    def verify(self) -> list[str]:
        """What is wrong with it, a sentence each."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be collected: what was over before `before`, in seconds since the epoch.

    states: of the conversations, and of those that dead letters are from; dry_run: only look.
    """

    before: float
    states: frozenset[str] = _OVER
    dry_run: bool = False


@dataclass(slots=True)
class Collected:
    """What was collected, or would be. unprinted: outputs that no run has printed; handed_back: messages of dead pumps.

    orphans: how many by kind and by what they lack. running, kept: conversations that stay, over or not.
    """

    conversations: Counter[str] = field(default_factory=Counter)
    threads: int = 0
    slots: int = 0
    bytes: int = 0
    unprinted: int = 0
    dead_pumps: int = 0
    handed_back: int = 0
    dead_letters: int = 0
    orphans: Counter[tuple[str, str]] = field(default_factory=Counter)
    running: int = 0
    kept: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to collect."""
        return not (self.conversations or self.dead_pumps or self.dead_letters or self.orphans)


def collect(backend: SharedBackend, terms: Terms) -> Collected:
    """Collect by `terms`; live conversations are never touched."""
    found = Collected()
    _bury_the_dead(backend, terms, found)
    _forget_conversations(backend, terms, found)
    found.dead_letters = _drop_dead_letters(backend, terms)
    found.orphans.update((one.kind, one.lacks) for one in backend.orphans(remove=not terms.dry_run))
    return found


def verify(backend: SharedBackend, set_aside: bool) -> Iterator[Damage]:
    """What is damaged; with `set_aside` slots that cannot be read are kept as dead letters."""
    yield from backend.damages(set_aside)
    if isinstance(backend, Verifiable):
        yield from (Damage("", problem, False) for problem in backend.verify())


def _bury_the_dead(backend: SharedBackend, terms: Terms, found: Collected) -> None:
    for pump in backend.pumps():
        if not is_alive(pump):
            found.dead_pumps += 1
            found.handed_back += 0 if terms.dry_run else backend.bury_pump(pump.id)


def _forget_conversations(backend: SharedBackend, terms: Terms, found: Collected) -> None:
    alive = living(backend.pumps())
    for one in backend.conversations():
        if not one.ended:
            found.running += 1
        elif not _is_due(one, terms, alive):
            found.kept += 1
        else:
            _forget(backend, terms, one, found)


def _is_due(one: ConversationRecord, terms: Terms, alive: set[str]) -> bool:
    if one.owner in alive and one.delivered < one.outputs:
        return False  # A run is about to print them.
    return one.ended < terms.before and one.state in terms.states


def _forget(backend: SharedBackend, terms: Terms, one: ConversationRecord, found: Collected) -> None:
    sizes = [(thread.slots, thread.bytes) for thread in backend.threads(one.id)]
    if not (terms.dry_run or backend.forget(one.id)):
        return  # Somebody else has collected it.
    found.conversations[one.state] += 1
    found.threads += len(sizes)
    found.slots += sum(slots for slots, _ in sizes)
    found.bytes += sum(size for _, size in sizes)
    found.unprinted += max(0, one.outputs - one.delivered)


def _drop_dead_letters(backend: SharedBackend, terms: Terms) -> int:
    if terms.states >= _OVER and not terms.dry_run:
        return backend.drop_dead_letters(terms.before)
    old = letters(backend, LetterFilter(before=terms.before))
    numbers = [view.number for view in old if _goes(backend, view, terms)]
    return len(numbers) if terms.dry_run else drop(backend, numbers)


def _goes(backend: SharedBackend, view: LetterView, terms: Terms) -> bool:
    """Whether an old dead letter is collected: not while its conversation is in a state that is not."""
    if terms.states >= _OVER:
        return True
    conversation = backend.conversation(view.conversation) if view.conversation else None
    return conversation is None or conversation.state in terms.states
