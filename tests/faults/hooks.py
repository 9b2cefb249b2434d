"""Wraps functions of the running process by name, so that production code needs no hooks for its tests.

A place is written `module:Class.method`. What wraps it calls `passing` at each passage.
"""

from __future__ import annotations

import functools
import importlib
import sqlite3
from collections.abc import Callable
from typing import Any

from xpipe.core.stages import Stages, in_stages

Passing = Callable[[], None]
Arm = Callable[[Passing], None]


def replace(place: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put what `make` makes of it in the place of the function at `place`."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    setattr(owner, name, functools.update_wrapper(make(original), original, updated=()))


def _between(
    first: Callable[..., object], last: Callable[..., object], original: Callable[..., Any]
) -> Callable[..., Any]:
    """As `original`, with `first` told of the arguments before it, and `last` of the result and them after it."""
    stages = getattr(original, "stages", None)

    def whole(*arguments: Any, **options: Any) -> Any:
        first(*arguments)
        returned = original(*arguments, **options)
        last(returned, *arguments)
        return returned

    def staged(*arguments: Any, **options: Any) -> Stages[Any]:
        first(*arguments)
        returned = yield from stages(*arguments, **options)
        last(returned, *arguments)
        return returned

    return whole if stages is None else in_stages(staged)


def before(place: str, when: Callable[..., object] = lambda *_: True) -> Arm:
    """Each call that `when` finds something in, which it is asked with the call's arguments."""

    def arm(passing: Passing) -> None:
        def first(*arguments: Any) -> None:
            if when(*arguments):
                passing()

        replace(place, functools.partial(_between, first, lambda *_: None))

    return arm


def after(
    place: str, when: Callable[..., object] = lambda *_: True, result: Callable[[Any], object] = lambda _: True
) -> Arm:
    """Each return from a call that `when` finds something in, if `result` finds something in what is returned."""

    def arm(passing: Passing) -> None:
        def last(returned: Any, *arguments: Any) -> None:
            if when(*arguments) and result(returned):
                passing()

        replace(place, functools.partial(_between, lambda *_: None, last))

    return arm


def sent(script: str) -> Arm:
    """Each time the script `script` has been sent to Redis and its answer has not been read."""

    def arm(passing: Passing) -> None:
        wanted = _is_of(script)

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(link: Any, connection: Any, command: tuple[Any, ...], patience: float) -> Any:
                if not wanted(link, connection, command, patience):
                    return original(link, connection, command, patience)
                connection.send_command(*command)
                passing()
                return connection.read_response()

            return wrapped

        replace(_EXCHANGE, make)

    return arm


def unsent(script: str) -> Arm:
    """Each time the script `script` is about to be sent to Redis."""
    return lambda passing: before(_EXCHANGE, _is_of(script))(passing)


def answered(script: str) -> Arm:
    """Each time the answer of the script `script` has been read."""
    return lambda passing: after(_EXCHANGE, _is_of(script))(passing)


_EXCHANGE = "xpipe.backends.redis_link:Link._exchange"


def _is_of(name: str) -> Callable[..., bool]:
    from xpipe.backends.redis_scripts import script

    wanted = script(name)

    def is_of(link: object, connection: object, command: tuple[object, ...], patience: float) -> bool:
        del link, connection, patience
        return command[1] in (wanted.sha, wanted.source)

    return is_of


class _Watched(sqlite3.Connection):
    """Tells of its statements. `written`: statements in the open transaction that wrote many rows at once."""

    before: Callable[[_Watched, str], None] = staticmethod(lambda *_: None)
    after: Callable[[_Watched, str], None] = staticmethod(lambda *_: None)
    written = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self.written = 0
        self.before(self, sql)
        self.written += sql.startswith("INSERT") and "), (" in sql
        cursor = super().execute(sql, *arguments)
        self.after(self, sql)
        return cursor

    def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        self.before(self, sql)
        self.written += 1
        return super().executemany(sql, *arguments)


def before_statement(when: Callable[[_Watched, str], object]) -> Arm:
    """Each statement of SQLite that `when` finds something in, about to be executed."""
    return functools.partial(_watch, "before", when)


def after_statement(when: Callable[[_Watched, str], object]) -> Arm:
    """Each statement of SQLite that `when` finds something in, executed."""
    return functools.partial(_watch, "after", when)


def _watch(moment: str, when: Callable[[_Watched, str], object], passing: Passing) -> None:
    def look(connection: _Watched, sql: str) -> None:
        if when(connection, sql):
            passing()

    setattr(_Watched, moment, staticmethod(look))
    replace("sqlite3:connect", lambda connect: functools.partial(connect, factory=_Watched))
