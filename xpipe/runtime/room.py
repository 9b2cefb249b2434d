"""How many messages of each listener a pump may claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from xpipe.runtime.dispatch import Dispatcher
from xpipe.runtime.topology import Topology

BATCH = 256
"""Messages claimed at once, at most."""
CONCURRENCY = 1_000
"""Handlers of one listener at once, unless its `concurrency` says otherwise."""


class Room:
    """Counts what is under way. `primitives` names the listeners whose messages need neither thread nor worker."""

    def __init__(self, topology: Topology, dispatcher: Dispatcher, primitives: Collection[str]) -> None:
        self._topology = topology
        self._dispatcher = dispatcher
        self._primitives = primitives
        self.running: dict[str, int] = {}

    @property
    def under_way(self) -> int:
        """Messages that are claimed and not finished."""
        return sum(self.running.values())

    def take(self, listeners: Iterable[str]) -> None:
        """A message has been claimed for each of `listeners`."""
        running = self.running
        for listener in listeners:
            running[listener] = running.get(listener, 0) + 1

    def give_back(self, listeners: Iterable[str]) -> None:
        """A message of each of `listeners` is finished."""
        running = self.running
        for listener in listeners:
            if running[listener] > 1:
                running[listener] -= 1
            else:
                del running[listener]  # Listeners come and go, under ever new names.

    def free(self, waiting: Collection[str] = ()) -> dict[str, int]:
        """By listener: its concurrency less what is under way, and what threads and worker processes can take.

        waiting: the listeners of messages that have not begun. While one of them needs a thread or a worker, what room
        those have is not known, and who needs one has none.
        """
        room = dict.fromkeys((*self._primitives, *self._topology.gone), BATCH)
        running = self.running
        for listener in self._topology:
            room[listener.name] = (listener.concurrency or CONCURRENCY) - running.get(listener.name, 0)
        self._dispatcher.limit(room, self._topology)
        if not all(map(self._runs_here, waiting)):
            room |= {one.name: 0 for one in self._topology if not self._dispatcher.runs_on_loop(one)}
        return room

    def _runs_here(self, name: str) -> bool:
        return name in self._primitives or self._dispatcher.runs_on_loop(self._topology.get(name))
