"""What pumps are told, in a state file. An event that its pump takes in the transaction it arose in is not written."""

from __future__ import annotations

import sqlite3

from xpipe.core.messages import Event


class Events:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._new: list[tuple[str, Event]] = []
        self._told: set[str] = set()
        """Pumps of which no event is in the file."""

    def add(self, pump: str, event: Event) -> None:
        self._new.append((pump, event))

    def take(self, pump: str) -> list[Event]:
        events = [] if pump in self._told else self._take_stored(pump)
        if self._new:
            events += [event for owner, event in self._new if owner == pump]
            self._new = [(owner, event) for owner, event in self._new if owner != pump]
        return events

    def _take_stored(self, pump: str) -> list[Event]:
        rows = self._database.execute(
            "SELECT n, conversation, kind, message, state, cause FROM events WHERE pump = ? ORDER BY n", (pump,)
        ).fetchall()
        if rows:
            self._database.executemany("DELETE FROM events WHERE n = ?", [row[:1] for row in rows])
        self._told.add(pump)
        return [Event(*row[1:]) for row in rows]

    def flush(self) -> None:
        if self._new:
            self._told.difference_update(pump for pump, _ in self._new)
            self._database.executemany(
                "INSERT INTO events (pump, conversation, kind, message, state, cause) VALUES (?, ?, ?, ?, ?, ?)",
                [(pump, one.conversation, one.kind, one.message, one.state, one.cause) for pump, one in self._new],
            )
            self._new = []

    def drop(self) -> None:
        self._new = []
        self._told.clear()
