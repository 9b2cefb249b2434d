"""The memory backend: the default and the reference. It stores bytes, like every other one."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence

from xpipe.backends.ledger import Ledger
from xpipe.backends.records import JoinState, Thread
from xpipe.core.errors import BackendError
from xpipe.core.messages import Injection, Join, Step, decode_message
from xpipe.ports import Advanced, BackendTotals, Capabilities, JoinRecord, ThreadRecord

CAPABILITIES = Capabilities(cross_process=False, persistent=False, cross_host=False, expiry=False, blocking=False)


class InMemoryBackend:
    capabilities = CAPABILITIES

    def __init__(self, max_threads: int = 100_000) -> None:
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._state: Ledger | None = None

    def open(self, organism: str, slots_per_thread: int) -> None:
        with self._lock:
            if self._state is None:
                self._state = Ledger(organism, secrets.token_bytes(32), slots_per_thread, self._max_threads)

    @property
    def _ledger(self) -> Ledger:
        if self._state is None:
            raise BackendError("the backend is not open; call open() with the organism's name first")
        return self._state

    def secret(self) -> bytes:
        return self._ledger.secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        with self._lock:
            ledger = self._ledger
            late, unanswered = ledger.late, ledger.unanswered
            refused = {}
            for position, step in enumerate(finished):
                reason = ledger.refusal(step)
                if reason:
                    refused[position] = reason
                else:
                    ledger.commit(step)
            ledger.expire(now)
            claims = ledger.claim(room, most)
            due = ledger.deadlines[0][0] if ledger.deadlines else 0.0
            events = ledger.inboxes.pop(pump, [])
            return Advanced(claims, events, refused, due, ledger.late - late, ledger.unanswered - unanswered)

    def inject(self, pump: str, messages: Sequence[Injection], now: float) -> list[str]:
        with self._lock:
            return [self._ledger.inject(pump, message, now) for message in messages]

    def in_flight(self) -> int:
        return self._ledger.in_flight

    def slots(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        with self._lock:
            found = self._ledger.threads.get(thread)
            return found.slots[start:stop] if found else []

    def join_results(self, thread: str) -> list[bytes | None]:
        with self._lock:
            found = self._ledger.threads.get(thread)
            return list(found.join.results) if found and found.join else []

    def joins(self) -> Iterator[tuple[str, int, int]]:
        with self._lock:
            open = [(id, join.terms.total - join.missing, join.terms.total) for id, join in self._ledger.joins.items()]
        yield from open

    def join_create(self, id: str, total: int) -> bool:
        with self._lock:
            joins = self._ledger.joins
            if id in joins:
                return False
            joins[id] = JoinState(Join(id, total, b""), None)
            return True

    def join_get(self, id: str) -> JoinRecord | None:
        with self._lock:
            join = self._ledger.joins.get(id)
            return JoinRecord(id, join.terms.total, list(join.results)) if join else None

    def join_record(self, id: str, index: int, result: bytes) -> bool:
        with self._lock:
            join = self._ledger.joins.get(id)
            return join is not None and join.thread is None and join.record(index, result)

    def join_remove(self, id: str) -> bool:
        with self._lock:
            join = self._ledger.joins.get(id)
            if join is None or join.thread is not None:
                return False
            del self._ledger.joins[id]
            return True

    def threads(self, conversation: str | None = None) -> Iterator[ThreadRecord]:
        with self._lock:
            found = self._find(conversation)
        for thread in found:
            yield _record(thread)

    def _find(self, conversation: str | None) -> list[Thread]:
        ledger = self._ledger
        if conversation is None:
            return list(ledger.threads.values())
        known = ledger.conversations.get(conversation)
        return [ledger.threads[id] for id in known.threads] if known else []

    def registry(self) -> Iterator[tuple[str, str]]:
        with self._lock:
            ledger = self._ledger
            pairs = [(ledger.root_id, ledger.root)]
            pairs += [(thread.id, thread.chain) for thread in ledger.threads.values()]
        yield from pairs

    def totals(self) -> BackendTotals:
        with self._lock:
            ledger = self._ledger
            return BackendTotals(
                threads=len(ledger.threads),
                conversations=len(ledger.conversations),
                conversations_active=sum(one.running for one in ledger.conversations.values()),
                in_flight=ledger.in_flight,
                slots=ledger.slot_count,
                joins=len(ledger.joins),
                dead_letters=len(ledger.dead),
            )

    def ping(self) -> bool:
        return True

    def close(self) -> None:
        pass


def _record(thread: Thread) -> ThreadRecord:
    last = decode_message(thread.slots[-1]) if thread.slots else None
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
    )
