"""The fail points: where in its work a run is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from faults.hooks import Arm, after, after_statement, answered, before, before_statement, sent, unsent

BACKENDS = {"sqlite": "xpipe.backends.sqlite:SQLiteBackend", "redis": "xpipe.backends.redis:RedisBackend"}

KILLED, COMPLETE, LONG_AGO = "killed", "complete", "long ago"
"""What comes before: a run that was killed; one that ended; one that ended an hour ago."""


@dataclass(frozen=True)
class Point:
    """A place in the work of a run on a backend.

    passage: at which one a single kill is done; most: so many every run makes. earlier: the run that there has been
    before; fresh: the point is passed only while the backend is made; hurried: the pump's upkeep is done all the time.
    options: of the backend.
    """

    name: str
    backend: str
    arm: Arm
    passage: int = 1
    most: int = 1
    earlier: str = ""
    fresh: bool = False
    hurried: bool = False
    options: dict[str, Any] | None = None

    @property
    def forgets(self) -> bool:
        """Conversations are forgotten on the way."""
        return self.options is not None

    def __str__(self) -> str:
        return f"{self.backend}: {self.name}"


def _steps(*arguments: Any) -> object:
    """The steps that a call of `advance` or `exchange` commits."""
    return arguments[2]


def _outputs(*arguments: Any) -> object:
    return arguments[1]


def _claims(advanced: Any) -> object:
    return advanced.claims


def _is(statement: str) -> Callable[[Any, str], bool]:
    return lambda _, sql: sql == statement


def _writing(statement: str) -> Callable[[Any, str], bool]:
    return lambda connection, sql: sql == statement and connection.written > 0


def _forgetting(connection: Any, sql: str) -> bool:
    del connection
    return sql.startswith("DELETE FROM threads")


def _versioning(connection: Any, sql: str) -> bool:
    del connection
    return sql.startswith("PRAGMA user_version =")


def _between_writes(connection: Any, sql: str) -> bool:
    return sql.startswith(("INSERT", "UPDATE", "DELETE")) and connection.written > 0


PUMP, POOL, DISPATCHER = "xpipe.runtime.pump:Pump", "xpipe.runtime.pool:Pool", "xpipe.runtime.dispatch:Dispatcher"
EXCHANGE, WRITE = "xpipe.ledger.ledger:Ledger.exchange", "xpipe.cli.outlet:Descriptor.write"
OLD = {"retention": 1800}
"""With it a run forgets what ended an hour ago."""
FULL = {"max_threads": 100}
"""With it a run makes room before it takes anything in."""


def _common(backend: str) -> list[Point]:
    make, its = partial(Point, backend=backend), BACKENDS[backend]
    return [
        make("before the backend is opened", arm=before(f"{its}.open")),
        make("after the backend is opened", arm=after(f"{its}.open")),
        make("before the pump enrolls", arm=before(f"{its}.enroll")),
        make("after the pump enrolled", arm=after(f"{its}.enroll")),
        make("before a dead pump is buried", arm=before(f"{its}.bury_pump"), earlier=KILLED),
        make("after a dead pump is buried", arm=after(f"{its}.bury_pump"), earlier=KILLED),
        make("before a conversation is adopted", arm=before(f"{its}.adopt"), most=3, earlier=KILLED),
        make("after a conversation is adopted", arm=after(f"{its}.adopt"), most=3, earlier=KILLED),
        make("before messages are injected", arm=before(f"{its}.inject")),
        make("after messages are injected", arm=after(f"{its}.inject")),
        make("before steps are committed", arm=before(f"{its}.advance", _steps), passage=3, most=6),
        make("after steps are committed", arm=after(f"{its}.advance", _steps), passage=3, most=6),
        make("claims received, no handler begun", arm=after(f"{its}.advance", result=_claims), passage=2, most=6),
        make("before a handler", arm=before(f"{DISPATCHER}.begin"), passage=20, most=40),
        make("in a handler", arm=before("xpipe.runtime.coroutines:resume"), most=2),
        make("after a handler, in its thread", arm=after(f"{DISPATCHER}._call"), passage=4, most=8),
        make("after a handler, before its step", arm=before(f"{PUMP}._settle"), passage=20, most=40),
        make("after a step, before its commit", arm=before(f"{PUMP}._finish"), passage=20, most=40),
        make("a CPU-bound item is out", arm=after(f"{POOL}._give"), passage=8, most=16),
        make("a CPU-bound item is back", arm=before(f"{POOL}._finish"), passage=8, most=16),
        make("a Buffer is complete", arm=before(f"{its}.join_results")),
        make("before outputs are written", arm=before(WRITE, _outputs)),
        make("after outputs are written", arm=after(WRITE, _outputs)),
        make("before outputs are delivered", arm=before(f"{its}.delivered", _outputs), hurried=True),
        make("after outputs are delivered", arm=after(f"{its}.delivered", _outputs), hurried=True),
        make("before a lease is renewed", arm=before(f"{its}.renew"), passage=2, most=3, hurried=True),
        make("after a lease is renewed", arm=after(f"{its}.renew"), passage=2, most=3, hurried=True),
        make("before the old is forgotten", arm=before(f"{its}.forget_ended"), **_forgetful(OLD)),
        make("after the old is forgotten", arm=after(f"{its}.forget_ended"), **_forgetful(OLD)),
        make("before room is made", arm=before(f"{its}.make_room"), **_forgetful(FULL)),
        make("after room is made", arm=after(f"{its}.make_room"), **_forgetful(FULL)),
        make("before the pump retires", arm=before(f"{its}.retire")),
        make("after the pump retired", arm=after(f"{its}.retire")),
    ]


def _forgetful(options: dict[str, Any]) -> dict[str, Any]:
    if options is OLD:
        return {"earlier": LONG_AGO, "hurried": True, "options": options}
    return {"earlier": COMPLETE, "options": options}


def _sqlite() -> list[Point]:
    make = partial(Point, backend="sqlite")
    return [
        make("the file is empty", arm=before_statement(_is("PRAGMA journal_mode = WAL")), fresh=True),
        make("the file has no tables", arm=after_statement(_is("PRAGMA journal_mode = WAL")), fresh=True),
        make("the file has tables, not committed", arm=before_statement(_versioning), fresh=True),
        make("after the exchange, before the flush", arm=after(EXCHANGE, _steps), passage=3, most=6),
        make("in the middle of forgetting", arm=before_statement(_forgetting), **_forgetful(OLD)),
        make("in the middle of a flush", arm=before_statement(_between_writes), passage=10, most=20),
        make("after the flush, before COMMIT", arm=before_statement(_writing("COMMIT")), passage=4, most=8),
        make("right after COMMIT", arm=after_statement(_writing("COMMIT")), passage=4, most=8),
    ]


def _redis() -> list[Point]:
    make = partial(Point, backend="redis")
    return [
        make("organism not sent", arm=unsent("open"), fresh=True),
        make("organism sent, no answer read", arm=sent("open"), fresh=True),
        make("messages sent, no answer read", arm=sent("inject")),
        make("steps not sent", arm=unsent("advance"), passage=5, most=10),
        make("steps sent, no answer read", arm=sent("advance"), passage=5, most=10),
        make("part of the old is forgotten", arm=answered("forget_ended"), **_forgetful(OLD)),
        make("room asked for, no answer read", arm=sent("make_room"), **_forgetful(FULL)),
        make("steps answered", arm=answered("advance"), passage=5, most=10),
    ]


POINTS = [*_common("sqlite"), *_sqlite(), *_common("redis"), *_redis()]


def point_named(backend: str, name: str) -> Point:
    """The point called `name` on `backend`."""
    [found] = [point for point in POINTS if (point.backend, point.name) == (backend, name)]
    return found
