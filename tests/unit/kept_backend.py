"""A memory backend whose records are kept as a store would keep them, and compared with what is kept all along."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xpipe.backends.memory import InMemoryBackend
from xpipe.core.messages import Cursor, Injection, Step
from xpipe.ledger.kept import Changes, KeptRecords
from xpipe.ledger.ledger import release
from xpipe.ledger.records import Conversation, Thread
from xpipe.ports import Advanced


class Shelf:
    """What is kept: the fields of each conversation, the slots of each thread, the pairs, and how much of each."""

    def __init__(self) -> None:
        self.fields: dict[str, dict[bytes, bytes]] = {}
        self.slots: dict[str, list[bytes]] = {}
        self.ids: dict[str, list[str]] = {}
        self.pairs: dict[str, str] = {}
        self.delivered: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        self.counts = [0, 0, 0]

    def apply(self, changes: Changes) -> None:
        for id, one in changes.conversations.items():
            self.fields.setdefault(id, {}).update(one.fields)
            for chain, thread in one.pairs:
                assert thread not in self.slots, "a thread is made once"
                self.pairs[chain] = thread
                self.slots[thread] = []
                self.ids.setdefault(id, []).append(thread)
            for thread, slots in one.slots.items():
                self.slots[thread] += slots
        self.delivered |= changes.delivered
        for at, more in enumerate((changes.in_flight, changes.threads, changes.slot_count)):
            self.counts[at] += more

    def load(self, records: KeptRecords, id: str) -> Conversation:
        slots = [list(self.slots[thread]) for thread in self.ids[id]]
        return records.load(id, self.owners.get(id, ""), self.delivered.get(id, 0), self.fields[id], slots)


class KeptBackend(InMemoryBackend):
    """Each call is one apply."""

    def __init__(self) -> None:
        super().__init__()
        self._store: KeptRecords = KeptRecords()
        self.shelf = Shelf()

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        return self._applied(lambda: InMemoryBackend.advance(self, pump, finished, room, most, now))

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        def call() -> list[str]:
            ids = InMemoryBackend.inject(self, pump, messages, now, cursor, seen)
            self.shelf.owners |= dict.fromkeys(ids, pump)
            return ids

        made: list[str] = self._applied(call)
        return made

    def retire(self, pump: str) -> None:
        self._applied(lambda: InMemoryBackend.retire(self, pump))

    def bury_pump(self, pump: str) -> int:
        return self._applied(lambda: InMemoryBackend.bury_pump(self, pump))

    def delivered(self, outputs: Mapping[str, int]) -> None:
        self._applied(lambda: InMemoryBackend.delivered(self, outputs))

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        return self._applied(lambda: InMemoryBackend.cancel(self, conversation, fault, now))

    def _applied(self, call: Callable[[], Any]) -> Any:
        result = call()
        self.shelf.apply(self._store.take_changes())
        self.compare()
        return result

    def compare(self) -> None:
        """What is loaded of what is kept is what the ledger has in memory."""
        loaded, here = KeptRecords(), self._store
        for id in here.conversations:
            self.shelf.load(loaded, id)
        for id, conversation in here.conversations.items():
            assert _of_conversation(loaded.conversations[id]) == _of_conversation(conversation)
        assert loaded.threads.keys() == here.threads.keys()
        for id, thread in here.threads.items():
            assert _of_thread(loaded.threads[id]) == _of_thread(thread), thread.chain
        assert loaded.joins.keys() == here.joins.keys()
        assert _waiting(loaded) == _waiting(here)
        assert loaded.next_due() == here.next_due()
        assert loaded.in_flight == here.in_flight == self.shelf.counts[0]
        assert loaded.slot_count == here.slot_count == self.shelf.counts[2]
        assert len(here.threads) == self.shelf.counts[1]
        assert self.shelf.pairs == {thread.chain: id for id, thread in here.threads.items()}

    def remembered(self) -> tuple[Any, ...]:
        """What outlives this process now: what is kept, and what others have been told."""
        return copy.deepcopy((self.shelf, self._store._numbers, self._store._inboxes, self._store._pumps))

    def crash(self, remembered: tuple[Any, ...]) -> None:
        """The process ends; another one loads what is kept, and what was claimed is ready again."""
        assert self._state is not None
        self._store = KeptRecords()
        self.shelf, self._store._numbers, self._store._inboxes, self._store._pumps = remembered
        for id in self.shelf.fields:
            self.shelf.load(self._store, id)
        self._state.records = self._store
        for pump in self._store.pumps():
            self._applied(lambda pump=pump: release(self._store, pump.id, lost=False))


def _of_conversation(one: Conversation) -> tuple[Any, ...]:
    return (
        *(one.id, one.owner, one.started, one.ended, one.delivered, one.verdict, one.outputs, one.retried_from),
        list(one.threads),
        getattr(one, "hop_count", None),
    )


def _of_thread(one: Thread) -> tuple[Any, ...]:
    join = one.join
    return (
        *(one.id, one.chain, one.listener, one.caller, one.parent and one.parent.id, one.index, one.conversation.id),
        *(one.attempt, one.call, one.deliveries, one.due, one.failed, one.fence, one.mailbox, one.no_answer, one.open),
        *(one.owner, one.pending, list(one.slots), one.state, one.touched, one.status),
        join
        and (
            *(join.terms, join.results, join.missing, join.faults, join.feeding, join.more_at, join.open, join.since),
            join.thread is one,
        ),
    )


def _waiting(records: KeptRecords) -> tuple[dict[str, set[str]], set[str]]:
    ready = {name: {thread.id for thread in lane} for name, lane in records.lanes.items() if lane}
    delayed = {thread.id for thread in records.threads.values() if thread.due}
    return ready, delayed
