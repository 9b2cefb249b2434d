"""The store in memory: the reference for all others, and what a manager process keeps for several processes."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice

from xpipe.backends.store import (
    DONE,
    DUE,
    GAP,
    HOME,
    LOST,
    OK,
    OUTSIDE,
    OVER,
    QUEUE,
    Answer,
    Batch,
    Counts,
    Inject,
    Kept,
    Letter,
    Offer,
    Reply,
    Save,
)
from xpipe.core.messages import Cursor, DeadLetter, PumpRecord
from xpipe.ledger.memory import MAX_DEAD_LETTERS
from xpipe.ports import Capabilities, Collection

CAPABILITIES = Capabilities(cross_process=False, persistent=False, cross_host=False, expiry=False, blocking=False)


class _Conversation:
    __slots__ = (
        "delivered",
        "due",
        "ended",
        "fields",
        "home",
        "id",
        "letters",
        "number",
        "outputs",
        "owner",
        "place",
        "read",
        "threads",
    )

    def __init__(self, id: str, number: int, owner: str) -> None:
        self.id = id
        self.number = number
        self.owner = owner
        self.home = ""
        self.place = QUEUE
        self.due = 0.0
        self.ended = 0.0
        self.outputs = self.delivered = self.read = 0
        self.fields: dict[bytes, bytes] = {}
        self.threads: list[str] = []
        self.letters: list[Letter] = []

    def is_in(self, index: str) -> bool:
        match index:
            case "running":
                return self.place != OVER
            case "unsettled":
                return self.place != OVER or self.delivered < self.outputs
        return True


class _Node:
    def __init__(self, record: PumpRecord) -> None:
        self.record = record
        self.number = 0
        self.refused = False
        self.held: dict[tuple[str, int], None] = {}
        self.bells: dict[str, None] = {}
        self.news: dict[str, None] = {}
        self.revoked: list[str] = []
        self.wanted: dict[str, int] = {}
        self.woken = False


class _Offered:
    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.deliveries = 0
        self.holder = ""


class MemoryStore:
    """Holds everything in dictionaries, behind one lock."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._root, self._secret = "", b""
        self._nodes: dict[str, _Node] = {}
        self._conversations: dict[str, _Conversation] = {}
        self._order: list[int] = []
        self._numbered: dict[int, _Conversation] = {}
        self._last = 0
        self._ends: list[tuple[float, int]] = []
        self._queue: deque[str] = deque()
        self._due: dict[str, float] = {}
        self._graves: dict[str, None] = {}
        self._offered: dict[tuple[str, int], _Offered] = {}
        self._free: dict[str, OrderedDict[tuple[str, int], None]] = {}
        self._slots: dict[str, list[bytes]] = {}
        self._owners: dict[str, str] = {}
        self._uuids: dict[str, str] = {}
        self._chains: dict[str, str] = {}
        self._by_hand: dict[str, str] = {}
        self._loose: dict[str, None] = {}
        self._numbers: dict[str, int] = {}
        self._cursors: dict[str, Cursor] = {}
        self._dead: OrderedDict[int, DeadLetter] = OrderedDict()
        self._dead_number = 0
        self.collections = MemoryCollections(self._lock)
        self._in_flight = self._slot_count = self._outside = 0

    def open(self, root: str | None, secret: bytes) -> tuple[str, bytes]:
        with self._lock:
            if root and not self._root:
                self._root, self._secret = root, secret
            return self._root, self._secret

    def register(self, node: PumpRecord) -> Counts:
        with self._lock:
            if node.id in self._nodes:
                self._nodes[node.id].record = node
            else:
                self._nodes[node.id] = _Node(node)
            return self._counts()

    def renew(self, node: str, expires: float) -> bool:
        with self._lock:
            found = self._nodes.get(node)
            if found is not None:
                found.record.expires = expires
            return found is not None

    def expire(self, node: str, lost: bool = True) -> int | None:
        with self._lock:
            gone = self._nodes.pop(node, None)
            if gone is None:
                return None
            for key in gone.held:
                offered = self._offered[key]
                offered.holder, offered.deliveries = "", offered.deliveries + lost
                self._put_up(key, offered.offer)
                self._free[offered.offer.claim.listener].move_to_end(key, last=False)
            homeless = [one.id for one in self._conversations.values() if one.home == node]
            self._graves.update(dict.fromkeys(homeless))
            self._ring()
            return len(gone.held)

    def _put_up(self, key: tuple[str, int], offer: Offer) -> None:
        self._free.setdefault(offer.claim.listener, OrderedDict())[key] = None

    def _withdraw(self, key: tuple[str, int], holder: str) -> _Offered | None:
        """Forget an offer, if `holder` has it."""
        offered = self._offered.get(key)
        if offered is None or offered.holder != holder:
            return None
        del self._offered[key]
        if holder:
            del self._nodes[holder].held[key]
        else:
            self._take_free(offered.offer.claim.listener, key)
        return offered

    def _take_free(self, listener: str, key: tuple[str, int]) -> None:
        free = self._free[listener]
        del free[key]
        if not free:
            del self._free[listener]

    def nodes(self) -> list[PumpRecord]:
        with self._lock:
            return [one.record for one in self._nodes.values()]

    def apply(self, node: str, number: int, batch: Batch) -> Reply:
        with self._lock:
            known = self._nodes.get(node)
            if known is None:
                return Reply(LOST, self._counts())
            if number <= known.number:
                return Reply(DONE, self._counts())
            if number > known.number + 1:
                return Reply(GAP, self._counts())
            if batch.outside != self._outside:
                return Reply(OUTSIDE, self._counts())
            known.number = number
            return self._apply(node, known, batch)

    def _apply(self, node: str, known: _Node, batch: Batch) -> Reply:
        reply = Reply(OK, Counts(), pulled=[], taken=[], letters={}, adopted=[])
        for id, owner in batch.adopt.items():
            one = self._conversations.get(id)
            if one is not None and one.owner == owner:
                one.owner = batch.owner
                reply.adopted.append(id)
        if batch.inject is not None:
            reply.refused = known.refused = not self._inject(node, batch.inject)
            reply.numbers = {source: self._numbers.get(source, 0) for source in batch.inject.numbers}
        for offer in batch.offers:
            key = offer.claim.thread, offer.claim.fence
            self._offered[key] = _Offered(offer)
            self._put_up(key, offer)
        for key in batch.withdrawn:
            offered = self._offered.get(key)
            if offered is not None and self._withdraw(key, offered.holder) and offered.holder:
                self._nodes[offered.holder].revoked.append(key[0])
                self._wake(self._nodes[offered.holder])
        for save in batch.saves:
            if save.id in self._conversations:  # Damage may be mended in what is forgotten meanwhile.
                self._save(self._conversations[save.id], save, node)
        for id, answer in batch.answers:
            offered = self._withdraw((answer.step.thread, answer.step.fence), node)
            if offered is not None:
                self._post(id, Letter(answer=Answer(answer.step, offered.deliveries)))
        for id, count in batch.delivered.items():
            one = self._conversations.get(id)
            if one is not None:
                one.delivered = max(one.delivered, min(count, one.outputs))
        for thread, at, slot in batch.mended:
            if thread in self._slots:
                self._slots[thread][at] = slot
        if not reply.refused:
            for letter in batch.dead:
                self._bury(letter)
            self._in_flight += batch.in_flight
            self._slot_count += batch.slots
        self._pull(node, batch, reply)
        self._take(node, known, batch, reply)
        for id in list(known.bells):
            one = self._conversations[id]
            reply.letters[id] = one.read, list(one.letters)
        reply.news, known.news = list(known.news), {}
        reply.revoked, known.revoked = known.revoked, []
        known.wanted = batch.take if not reply.taken else {}
        known.woken = False
        if batch.offers or batch.answers or batch.inject is not None or any(save.release for save in batch.saves):
            self._ring()
        reply.counts = self._counts(node)
        return reply

    def _inject(self, node: str, inject: Inject) -> bool:
        if any(self._numbers.get(source, 0) != number for source, number in inject.numbers.items()):
            return False
        if inject.cursor is not None and self._cursors.get(inject.cursor.name) != inject.seen:
            return False
        if inject.letter and self._dead.pop(inject.letter, None) is None:
            return False
        if inject.cursor is not None:
            self._cursors[inject.cursor.name] = inject.cursor
        for source, number in inject.numbers.items():
            self._numbers[source] = number + inject.sources[source]
        for save in inject.saves:
            self._last += 1
            one = self._conversations[save.id] = _Conversation(save.id, self._last, inject.owner)
            self._numbered[self._last] = one
            self._order.append(self._last)
            self._save(one, save, node)
            if one.place == OVER:
                continue
            if inject.here:
                one.place, one.home = HOME, node
            else:
                self._queue.append(save.id)
        return True

    def _save(self, one: _Conversation, save: Save, node: str) -> None:
        one.fields.update(save.fields)
        for chain, id in save.pairs:
            self._uuids[chain], self._chains[id] = id, chain
            self._by_hand.pop(chain, None)
            self._loose.pop(id, None)
            one.threads.append(id)
            self._owners[id] = one.id
        for id, slots in save.slots.items():
            self._slots.setdefault(id, []).extend(slots)
        if save.outputs > one.outputs or save.release == OVER:
            owner = self._nodes.get(one.owner)
            if owner is not None and one.owner != node:
                owner.news[one.id] = None
                self._wake(owner)
        one.outputs = max(one.outputs, save.outputs)
        if save.read > one.read:
            del one.letters[: save.read - one.read]
            one.read = save.read
        if not one.letters and one.home in self._nodes:
            self._nodes[one.home].bells.pop(one.id, None)
        if save.release:
            self._release(one, save)

    def _release(self, one: _Conversation, save: Save) -> None:
        if one.home in self._nodes:
            self._nodes[one.home].bells.pop(one.id, None)
        one.home = ""
        if save.release == OVER:
            one.place, one.ended = OVER, save.ended
            one.read += len(one.letters)
            one.letters = []
            insort(self._ends, (save.ended, one.number), key=lambda end: end[0])
        elif save.release == DUE and not one.letters:
            one.place, one.due = DUE, save.due
            self._due[one.id] = save.due
        else:
            one.place = QUEUE
            self._queue.appendleft(one.id)

    def _pull(self, node: str, batch: Batch, reply: Reply) -> None:
        most = batch.pull
        if batch.pulled:
            one = self._conversations.get(batch.pulled)
            if one is not None and one.place != OVER and (not one.home or one.home not in self._nodes):
                if one.place == QUEUE:
                    self._queue.remove(one.id)
                self._settle(one, node, reply)
        if most > 0 and self._due:
            self._queue_due(batch.now)
        while most > 0 and self._graves:
            id = next(iter(self._graves))
            self._settle(self._conversations[id], node, reply)
            most -= 1
        while most > 0 and self._queue:
            self._settle(self._conversations[self._queue.popleft()], node, reply)
            most -= 1

    def _queue_due(self, now: float) -> None:
        for id in [id for id, due in self._due.items() if 0.0 < due <= now]:
            del self._due[id]
            self._conversations[id].place = QUEUE
            self._queue.append(id)

    def _settle(self, one: _Conversation, node: str, reply: Reply) -> None:
        self._graves.pop(one.id, None)
        self._due.pop(one.id, None)
        one.place, one.home = HOME, node
        if one.letters:
            self._nodes[node].bells[one.id] = None
        reply.pulled.append(one.id)

    def _take(self, node: str, known: _Node, batch: Batch, reply: Reply) -> None:
        for listener, most in batch.take.items():
            for key in list(islice(self._free.get(listener, ()), most)):
                self._take_free(listener, key)
                offered = self._offered[key]
                offered.holder = node
                known.held[key] = None
                reply.taken.append((offered.offer, offered.deliveries))

    def post(self, conversation: str, letter: Letter) -> int:
        with self._lock:
            return self._post(conversation, letter)

    def _post(self, id: str, letter: Letter) -> int:
        one = self._conversations.get(id)
        if one is None or one.place == OVER:
            return -1
        one.letters.append(letter)
        if one.place == DUE:
            self._due.pop(id, None)
            one.place = QUEUE
            self._queue.append(id)
        elif one.home in self._nodes:
            self._nodes[one.home].bells[id] = None
        self._ring()
        return one.read + len(one.letters)

    def _bury(self, letter: DeadLetter) -> None:
        self._dead_number += 1
        letter.number = self._dead_number
        self._dead[letter.number] = letter
        if len(self._dead) > MAX_DEAD_LETTERS:
            self._dead.popitem(last=False)

    def _ring(self) -> None:
        for node in self._nodes.values():
            self._wake(node)

    def _wake(self, node: _Node) -> None:
        node.woken = True
        self._changed.notify_all()

    def counts(self) -> Counts:
        with self._lock:
            return self._counts()

    def _counts(self, asking: str = "") -> Counts:
        wanted: dict[str, int] = {}
        for name, node in self._nodes.items():
            for listener, count in node.wanted.items() if name != asking else ():
                wanted[listener] = wanted.get(listener, 0) + count
        return Counts(
            self._in_flight,
            len(self._owners),
            self._slot_count,
            self._outside,
            len(self._nodes),
            len(self._queue) + len(self._graves),
            min((due for due in self._due.values() if due), default=0.0),
            {listener: len(keys) for listener, keys in self._free.items()},
            wanted,
        )

    def load(self, ids: Sequence[str], slots: bool) -> list[Kept]:
        with self._lock:
            return [self._kept(self._conversations[id], slots) for id in ids if id in self._conversations]

    def _kept(self, one: _Conversation, slots: bool) -> Kept:
        own = [list(self._slots.get(id, ())) for id in one.threads] if slots else None
        place = one.place, one.home, one.owner, one.delivered, one.read
        return Kept(one.id, *place, list(one.threads), dict(one.fields), own)

    def mine(self, node: str) -> Reply:
        with self._lock:
            known = self._nodes.get(node)
            if known is None:
                return Reply(LOST, self._counts())
            every = self._conversations.values()
            reply = Reply(OK, self._counts(node), pulled=[one.id for one in every if one.home == node])
            reply.refused = known.refused
            held = [self._offered[key] for key in known.held]
            reply.taken = [(one.offer, one.deliveries) for one in held]
            belled = [self._conversations[id] for id in known.bells]
            reply.letters = {one.id: (one.read, list(one.letters)) for one in belled}
            reply.news = [one.id for one in every if one.owner == node and one.home != node and one.is_in("unsettled")]
            return reply

    def numbers(self, sources: Sequence[str]) -> dict[str, int]:
        with self._lock:
            return {source: self._numbers.get(source, 0) for source in sources}

    def page(self, index: str, after: int, most: int, newest: bool = False) -> list[tuple[int, str]]:
        with self._lock:
            found: list[tuple[int, str]] = []
            at = bisect_right(self._order, after) if not newest else len(self._order) - 1
            if newest and after >= 0:
                at = bisect_right(self._order, after - 1) - 1
            step = -1 if newest else 1
            while 0 <= at < len(self._order) and len(found) < most:
                one = self._numbered.get(self._order[at])
                if one is not None and one.is_in(index):
                    found.append((one.number, one.id))
                at += step
            return found

    def find(self, prefix: str, most: int) -> list[str]:
        with self._lock:
            return [id for id in self._owners if id.startswith(prefix)][:most]

    def conversation_of(self, thread: str) -> str:
        with self._lock:
            return self._owners.get(thread, "")

    def slots(self, thread: str, start: int, stop: int | None) -> list[bytes]:
        with self._lock:
            return self._slots.get(thread, [])[start:stop]

    def forget(self, ids: Sequence[str]) -> int:
        with self._lock:
            gone = [one for id in ids if (one := self._conversations.get(id)) is not None and one.place == OVER]
            for one in gone:
                del self._conversations[one.id], self._numbered[one.number]
                for id in one.threads:
                    self._slot_count -= len(self._slots.pop(id, ()))
                    del self._owners[id]
                    self._uuids.pop(self._chains.pop(id), None)
            if len(self._order) > 2 * len(self._numbered) + 100:
                self._order = sorted(self._numbered)
                self._ends = [one for one in self._ends if one[1] in self._numbered]
            return len(gone)

    def ended(self, before: float, most: int, settled: bool) -> list[str]:
        with self._lock:
            found: list[str] = []
            for ended, number in self._ends:
                if ended >= before or len(found) == most:
                    break
                one = self._numbered.get(number)
                if one is not None and not (settled and one.delivered < one.outputs):
                    found.append(one.id)
            return found

    def dead(self, after: int, most: int) -> list[DeadLetter]:
        with self._lock:
            return [letter for number, letter in self._dead.items() if number > after][:most]

    def drop_dead(self, numbers: Sequence[int]) -> int:
        with self._lock:
            return sum(self._dead.pop(number, None) is not None for number in numbers)

    def cursor(self, name: str) -> Cursor | None:
        with self._lock:
            return self._cursors.get(name)

    def wait(self, node: str, seconds: float) -> bool:
        with self._lock:
            known = self._nodes.get(node)
            if known is None:
                return False
            woken = self._changed.wait_for(lambda: known.woken, seconds)
            known.woken = False
            return woken

    def append(self, thread: str, slot: bytes, most: int) -> int:
        with self._lock:
            slots = self._slots.get(thread, [])
            if len(slots) >= most:
                return -1
            self._slots[thread] = slots
            slots.append(slot)
            self._slot_count += 1
            if thread not in self._owners:
                self._loose[thread] = None
            self._outside += 1
            return len(slots) - 1

    def delete_slots(self, thread: str) -> bool:
        with self._lock:
            one = self._conversations.get(self._owners.get(thread, ""))
            slots = self._slots.get(thread)
            if not slots or (one is not None and one.place != OVER):
                return False
            self._slot_count -= len(slots)
            slots.clear()
            if one is None:
                del self._slots[thread]
                self._loose.pop(thread, None)
                self._outside += 1
            elif one.id == thread:  # An initiator's slots are the outputs of its conversation.
                one.delivered = one.outputs
            return True

    def slot_threads(self, after: str, most: int) -> list[str]:
        with self._lock:
            found = sorted(id for id, slots in self._slots.items() if slots and id > after)
            return found[:most]

    def bind(self, chain: str, uuid: str) -> tuple[str, str]:
        with self._lock:
            if chain not in self._uuids and uuid not in self._chains:
                self._uuids[chain], self._chains[uuid] = uuid, chain
                self._by_hand[chain] = uuid
                self._outside += 1
            return self._uuids.get(chain, ""), self._chains.get(uuid, "")

    def unbind(self, uuid: str) -> bool:
        with self._lock:
            chain = self._chains.get(uuid, "")
            if self._by_hand.get(chain) != uuid:
                return False
            del self._by_hand[chain], self._uuids[chain], self._chains[uuid]
            self._outside += 1
            return True

    def bound(self) -> dict[str, str]:
        with self._lock:
            return dict(self._by_hand)

    def loose(self) -> list[str]:
        with self._lock:
            return list(self._loose)

    def uuid_of(self, chain: str) -> str | None:
        with self._lock:
            return self._uuids.get(chain)

    def chain_of(self, uuid: str) -> str | None:
        with self._lock:
            return self._chains.get(uuid)

    def close(self) -> None:
        pass


class MemoryCollections:
    """The collections of xpipe.state."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._kept: dict[tuple[str, str], tuple[int, Collection]] = {}

    def create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        with self._lock:
            if (kind, id) in self._kept:
                return False
            self._kept[kind, id] = (size, Collection(head, {}))
            return True

    def get(self, kind: str, id: str) -> Collection | None:
        with self._lock:
            _, found = self._kept.get((kind, id), (0, None))
            return Collection(found.head, dict(found.parts)) if found else None

    def add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        with self._lock:
            size, found = self._kept.get((kind, id), (0, None))
            if found is None or not 0 <= index < size or index in found.parts:
                return False
            found.parts[index] = part
            return True

    def remove(self, kind: str, id: str) -> bool:
        with self._lock:
            return self._kept.pop((kind, id), None) is not None

    def ids(self, kind: str) -> list[str]:
        with self._lock:
            return [id for one, id in self._kept if one == kind]
