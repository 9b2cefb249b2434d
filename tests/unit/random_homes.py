"""Several homes on one store, with everything that may go wrong between them."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

from random_trees import NAMES, RandomTree
from router_kit import Ping

from xpipe.backends.home import LENT, Home, _threads_of
from xpipe.backends.memory_store import MemoryStore
from xpipe.backends.store import Batch, Reply, Store
from xpipe.core.messages import FAULT, RESPONSE, Claim, Injection, PumpRecord, cancelled, decode_message


class LossyStore:
    """Loses replies, so that a batch is sent again, and keeps batches, so that copies can arrive late."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random
        self.sent: list[tuple[str, int, Batch]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def apply(self, node: str, number: int, batch: Batch) -> Reply:
        self.sent.append((node, number, batch))
        reply = self._store.apply(node, number, batch)
        return self._store.apply(node, number, batch) if self._random.random() < 0.05 else reply


class Node:
    """A process: its home, and the messages that its handlers work on."""

    def __init__(self, store: Any, name: str) -> None:
        self.name = name
        self.home = Home(store)
        self.home.open("org", 10_000)
        self.home.enroll(PumpRecord(name, "here", 1, 1, 0.0))
        self.held: list[Claim] = []


class RandomHomes:
    """Injects conversations, has nodes work on them in turn, and lets nodes come, pause, die and leave."""

    def __init__(self, random: Random, store: Store, budget: int = 20, nodes: int = 3) -> None:
        self.random = random
        self.kept = store
        self.store: Any = LossyStore(store, random)
        reader = Home(self.store)
        self.tree = RandomTree(random, budget, backend=reader)  # type: ignore[arg-type]  # It is used to read only.
        reader.retire("pump")
        self.reader = reader
        self.world = self.tree.world
        self.names = itertools.count(1)
        self.nodes: list[Node] = []
        self.zombies: list[Node] = []
        self.injected: list[str] = []
        self.happened: Counter[str] = Counter()
        for _ in range(nodes):
            self.arrive()

    def arrive(self) -> None:
        self.nodes.append(Node(self.store, f"node-{next(self.names)}"))

    def run(self, conversations: int = 4, trouble: float = 0.15) -> None:
        for _ in range(conversations):
            self.inject()
            self.turn()
        quiet = 0
        while quiet < 20 * len(self.nodes):
            if self.random.random() < trouble and self.happened.total() < 12:
                self.trouble()
            quiet = 0 if self.turn() else quiet + 1
            if quiet > len(self.nodes):
                self.world.now += 20.0
        self.check_the_end()

    def inject(self) -> None:
        random = self.random
        payload, to = random.choice([(Ping(), random.choice([*NAMES, "crowd"])), *self.tree.primitive_starts()])
        type, data = self.world.types.encode(payload)
        injection = Injection("cli", list(self.world.topology.members(to)), type, data)
        node = random.choice(self.nodes)
        owner = random.choice([node.name, ""])
        self.injected += node.home.inject(owner, [injection], self.world.now)

    def turn(self) -> bool:
        node = self.random.choice([*self.nodes, *self.zombies])
        finished = self.random.sample(node.held, self.random.randint(min(1, len(node.held)), len(node.held)))
        steps = [self.world.step(claim, lambda *_: self.tree.outcome()) for claim in finished]
        room = {one.name: self.random.choice([0, 1, 2, 5]) for one in self.world.topology}
        if node in self.zombies:
            self.zombies.remove(node)
        advanced = node.home.advance(node.name, steps, room, self.random.choice([1, 3, 1_000]), self.world.now)
        node.held = [claim for claim in node.held if claim not in finished]
        self.fail_refused(node, finished, advanced.refused)
        for claim in advanced.claims:
            assert claim.thread not in {one.thread for one in node.held}
            node.held.append(claim)
        self.happened["lent"] += sum(key[0] in {one.thread for one in node.held} for key in node.home._lent)
        self.check()
        return bool(finished or advanced.claims)

    def fail_refused(self, node: Node, finished: list[Claim], reasons: dict[int, str]) -> None:
        for at, reason in reasons.items():
            if reason == "slots":
                claim, message = finished[at], decode_message(finished[at].message)
                fault = self.world.router.fault(claim, message, "too_many_slots", "full")
                node.home.advance(node.name, [self.world.router.fail(claim, message, fault)], {}, 0, self.world.now)

    def trouble(self) -> None:
        what = self.random.choice(["die", "die", "pause", "leave", "arrive", "cancel", "copy", "outside"])
        if what in ("die", "pause", "leave") and len(self.nodes) == 1:
            self.arrive()
        self.happened[what] += 1
        node = self.random.choice(self.nodes)
        match what:
            case "die":
                self.nodes.remove(node)
                self.random.choice(self.nodes).home.bury_pump(node.name)
            case "pause":
                self.nodes.remove(node)
                self.random.choice(self.nodes).home.bury_pump(node.name)
                self.zombies.append(node)
            case "leave":
                self.nodes.remove(node)
                node.home.retire(node.name)
            case "arrive":
                self.arrive()
            case "cancel":
                id = self.random.choice(self.injected)
                here = next((one for one in self.nodes if id in one.home._records.conversations), None)
                if here is not None:
                    here.home.cancel(id, cancelled("for a test"), self.world.now)
            case "copy":
                sent = self.random.choice(self.store.sent)
                before = self.store.counts()
                assert self.kept.apply(*sent).status != "ok"
                assert self.store.counts() == before
            case "outside":
                self.reader.registry_set(f"system.org.by-hand-{self.happened['outside']}", f"id-{next(self.names)}")

    def check(self) -> None:
        """What must hold after every apply."""
        homes = [one for node in self.nodes for one in node.home._records.conversations]
        assert len(homes) == len(set(homes)), "a conversation has one home"
        kept = {one.id: one for one in self.reader._kept(slots=True)}
        boxed = 0
        offered = set()
        for one in kept.values():
            for thread in _threads_of(one):
                boxed += len(thread.mailbox or ())
                if thread.owner == LENT:
                    offered.add((thread.id, thread.fence))
        assert self.store.counts().in_flight == boxed
        if not isinstance(self.kept, MemoryStore):
            return
        answered = {
            (letter.answer.step.thread, letter.answer.step.fence)
            for one in self.kept._conversations.values()
            for letter in one.letters
            if letter.answer is not None
        }
        assert set(self.kept._offered) <= offered, "what is offered is in the records"
        assert offered <= set(self.kept._offered) | answered, "offered, or answered by a letter"

    def check_the_end(self) -> None:
        records = {one.id: one for one in self.reader.conversations()}
        assert records.keys() == set(self.injected)
        assert {one.state for one in records.values()} <= {"done", "failed", "cancelled"}, records
        totals = self.reader.totals()
        assert (totals.in_flight, totals.conversations_active, totals.joins) == (0, 0, 0)
        assert {one.state for one in self.reader.threads()} <= {"done", "failed"}
        if isinstance(self.kept, MemoryStore):
            assert not self.kept._offered
            assert not any(one.letters for one in self.kept._conversations.values())
        answers: Counter[str] = Counter()
        for thread in self.reader.threads():
            for message in map(decode_message, self.reader.buffer_get_thread(thread.thread)):
                if message.kind in (RESPONSE, FAULT):
                    answers[message.call] += 1
        assert all(count == 1 for count in answers.values())
