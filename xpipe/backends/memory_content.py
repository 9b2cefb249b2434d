"""What lives in memory, read and changed from outside the commits: slots, registry, joins, threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, MutableSequence
from itertools import islice

from xpipe.backends.arguments import check_pair, check_slot, is_closed, thread_is_full, unclaimed
from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.core.messages import LOST_HOP, UNREADABLE, damaged_letter, readable, readable_hop, tombstone
from xpipe.ledger.ledger import Ledger
from xpipe.ledger.memory import MemoryRecords
from xpipe.ledger.records import Thread
from xpipe.ports import Collection, Damage, JoinRecord, RegistryRecord, ThreadRecord

PLACE = "memory"


class ClosedLock:
    """Replaces the lock of a closed backend: entering it raises."""

    def __enter__(self) -> None:
        raise is_closed(PLACE)

    def __exit__(self, *_: object) -> None:
        """Never reached."""


class MemoryContent:
    """The part of the port that no pump needs to make progress."""

    def __init__(self, slots_per_thread: int) -> None:
        self._lock: threading.Lock | ClosedLock = threading.Lock()
        self._store = MemoryRecords()
        self._slots_per_thread = slots_per_thread
        self._state: Ledger | None = None
        self._collections: dict[tuple[str, str], tuple[int, Collection]] = {}

    @property
    def _ledger(self) -> Ledger:
        if self._state is None:
            raise unclaimed(PLACE)
        return self._state

    def _slots(self, thread: str) -> MutableSequence[bytes]:
        found = self._store.threads.get(thread)
        return found.slots if found else self._store.loose.get(thread, [])

    def buffer_append(self, thread: str, slot: bytes) -> int:
        check_slot(thread, slot)
        with self._lock:
            slots = self._slots(thread)
            if len(slots) >= self._slots_per_thread:
                raise thread_is_full(thread, len(slots))
            if thread not in self._store.threads:
                slots = self._store.loose.setdefault(thread, slots)
            slots.append(slot)
            self._store.slot_count += 1
            return len(slots) - 1

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        with self._lock:
            return list(self._slots(thread)[start:stop])

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        with self._lock:
            slots = self._slots(thread)
            return slots[index] if 0 <= index < len(slots) else None

    def buffer_thread_len(self, thread: str) -> int:
        with self._lock:
            return len(self._slots(thread))

    def buffer_thread_exists(self, thread: str) -> bool:
        return self.buffer_thread_len(thread) > 0

    def buffer_delete_thread(self, thread: str) -> bool:
        with self._lock:
            return self._drop_slots(thread)

    def _drop_slots(self, thread: str) -> bool:
        found = self._store.threads.get(thread)
        slots = self._slots(thread)
        if not slots or (found is not None and not found.conversation.ended):
            return False
        self._store.slot_count -= len(slots)
        slots.clear()
        self._store.loose.pop(thread, None)
        if found is not None:  # An initiator's slots are the outputs of its conversation, which has its id.
            self._ledger.deliver(thread, found.conversation.outputs)
        return True

    def buffer_list_threads(self) -> list[str]:
        with self._lock:
            store = self._store
            return [*(id for id, thread in store.threads.items() if thread.slots), *store.loose]

    def buffer_iter_threads(self) -> Iterator[str]:
        yield from self.buffer_list_threads()

    def buffer_clear(self) -> None:
        with self._lock:
            for thread in [*self._store.threads, *self._store.loose]:
                self._drop_slots(thread)

    def join_results(self, thread: str) -> list[bytes | None]:
        with self._lock:
            found = self._store.threads.get(thread)
            return list(found.join.results) if found and found.join else []

    def joins(self) -> Iterator[tuple[str, int, int]]:
        with self._lock:
            open = [(id, join.terms.total - join.missing, join.terms.total) for id, join in self._store.joins.items()]
        yield from open

    def join_get(self, id: str) -> JoinRecord | None:
        with self._lock:
            join = self._store.joins.get(id)
            return JoinRecord(id, join.terms.total, list(join.results)) if join else None

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        with self._lock:
            if (kind, id) in self._collections:
                return False
            self._collections[kind, id] = (size, Collection(head, {}))
            return True

    def collection_get(self, kind: str, id: str) -> Collection | None:
        with self._lock:
            _, found = self._collections.get((kind, id), (0, None))
            return Collection(found.head, dict(found.parts)) if found else None

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        with self._lock:
            size, found = self._collections.get((kind, id), (0, None))
            if found is None or not 0 <= index < size or index in found.parts:
                return False
            found.parts[index] = part
            return True

    def collection_remove(self, kind: str, id: str) -> bool:
        with self._lock:
            return self._collections.pop((kind, id), None) is not None

    def collection_ids(self, kind: str) -> Iterator[str]:
        with self._lock:
            found = [id for one, id in self._collections if one == kind]
        yield from found

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        with self._lock:
            found = self._find(conversation)
        for thread in reversed(found) if newest else found:
            yield _record(thread)

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        with self._lock:
            known = self._store.conversations.get(conversation)
            found = list(known.hops[start:]) if known else []
        yield from found

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        with self._lock:
            found = (thread for id, thread in self._store.threads.items() if id.startswith(prefix))
            return [_record(thread) for thread in islice(found, most)]

    def _find(self, conversation: str | None) -> list[Thread]:
        store = self._store
        if conversation is None:
            return list(store.threads.values())
        known = store.conversations.get(conversation)
        return [store.threads[id] for id in known.threads] if known else []

    def registry_set(self, chain: str, uuid: str) -> str:
        check_pair(chain, uuid)
        with self._lock:
            bound = self._uuid_of(chain)
            if bound is not None:
                return bound
            other = self._chain_of(uuid)
            if other is not None:
                raise LimitError(f"the id {uuid} is bound to the chain {other} already; take another id")
            self._store.ids[chain], self._store.chains[uuid] = uuid, chain
            return uuid

    def _uuid_of(self, chain: str) -> str | None:
        ledger, bound = self._state, self._store.ids.get(chain)
        if ledger is None:
            return bound
        if chain == ledger.root:
            return ledger.root_id
        id = bound or chains.thread_id(ledger.secret, chain)
        return id if id in self._store.chains or id in self._store.threads else None

    def _chain_of(self, uuid: str) -> str | None:
        if self._state is not None and uuid == self._state.root_id:
            return self._state.root
        thread = self._store.threads.get(uuid)
        return thread.chain if thread else self._store.chains.get(uuid)

    def registry_get_uuid(self, chain: str) -> str | None:
        with self._lock:
            return self._uuid_of(chain)

    def registry_get_chain(self, uuid: str) -> str | None:
        with self._lock:
            return self._chain_of(uuid)

    def registry_delete(self, uuid: str) -> bool:
        with self._lock:
            return self._unbind(uuid)

    def _unbind(self, uuid: str) -> bool:
        """A thread of a conversation that is over goes with that; only a binding from outside can go alone."""
        chain = self._store.chains.get(uuid)
        thread = self._store.threads.get(uuid)
        return chain is not None and thread is None and self._store.unbind(chain)

    def registry_clear(self) -> None:
        with self._lock:
            for uuid in list(self._store.chains):
                self._unbind(uuid)

    def registry_list_all(self) -> dict[str, str]:
        with self._lock:
            ledger, store = self._state, self._store
            root = {ledger.root_id: ledger.root} if ledger else {}
            return root | store.chains | {thread.id: thread.chain for thread in store.threads.values()}

    def registry_entries(self) -> Iterator[RegistryRecord]:
        for uuid, chain in self.registry_list_all().items():
            yield RegistryRecord(uuid, chain, self._kind(uuid))

    def _kind(self, uuid: str) -> str:
        if self._state is not None and uuid == self._state.root_id:
            return "root"
        return "thread" if uuid in self._store.threads else "bound"

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        for id in list(self._store.threads):
            with self._lock:
                found = self._damages_of(id, set_aside)
            yield from found
        for id in list(self._store.conversations):
            with self._lock:
                found = self._damaged_hops(id, set_aside)
            yield from found

    def _damaged_hops(self, id: str, set_aside: bool) -> list[Damage]:
        conversation = self._store.conversations.get(id)
        hops = conversation.hops if conversation else []
        broken = [at for at, data in enumerate(hops) if readable_hop(data) is None]
        for at in broken if set_aside else ():
            self._store.bury(damaged_letter(hops[at], f"hop {at} of the conversation {id}", id, time.time()))
            hops[at] = LOST_HOP
        return [Damage(f"hop {at} of the conversation {id}", UNREADABLE, set_aside) for at in broken]

    def _damages_of(self, id: str, set_aside: bool) -> list[Damage]:
        thread = self._store.threads.get(id)
        if thread is None:
            return []
        waiting = thread.mailbox or ()
        broken = [at for at, data in enumerate(thread.slots) if at not in waiting and readable(data) is None]
        for at in broken if set_aside else ():
            self._store.bury(damaged_letter(thread.slots[at], f"slot {at} of the thread {id}", id, time.time()))
            thread.slots[at] = tombstone(id)
        return [Damage(f"slot {at} of the thread {id}", UNREADABLE, set_aside) for at in broken]


def _record(thread: Thread) -> ThreadRecord:
    last = readable(thread.slots[-1]) if thread.slots else None
    return ThreadRecord(
        thread=thread.id,
        conversation=thread.conversation.id,
        chain=thread.chain,
        listener=thread.listener,
        state=thread.status,
        slots=len(thread.slots),
        bytes=sum(map(len, thread.slots)),
        last_from=last.sender if last else "",
        last_to=last.to if last else "",
        touched=thread.touched,
    )
