"""Counts what xpipe asks of its backends, from outside: by wrapping the libraries that it calls. It takes time."""

from __future__ import annotations

import sqlite3
from typing import Any

import redis.connection

from xpipe.backends.manager_link import Link


def count_calls() -> dict[str, int]:
    """From now on: `sends` on connections to Redis, SQLite `statements`, `proxy_calls` of a manager."""
    calls = {"sends": 0, "statements": 0, "proxy_calls": 0}
    _count_method(redis.connection.AbstractConnection, "send_packed_command", calls, "sends")
    _count_method(Link, "call", calls, "proxy_calls")
    _count_statements(calls)
    return calls


def _count_method(owner: Any, name: str, calls: dict[str, int], key: str) -> None:
    plain = getattr(owner, name)

    def counted(*args: Any, **options: Any) -> Any:
        calls[key] += 1
        return plain(*args, **options)

    setattr(owner, name, counted)


def _count_statements(calls: dict[str, int]) -> None:
    connect: Any = sqlite3.connect

    def note(_statement: str) -> None:
        calls["statements"] += 1

    def connect_and_count(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(note)
        return connection

    module: Any = sqlite3
    module.connect = connect_and_count
