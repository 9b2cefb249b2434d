"""The connection to a Redis server: time-outs, retries, and errors that say what to do."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from xpipe.backends.arguments import is_closed
from xpipe.backends.redis_scripts import script
from xpipe.backends.redis_wire import is_text, shown
from xpipe.core.errors import BackendError

if TYPE_CHECKING:
    from redis import Connection, ConnectionPool

_WORD = re.compile(r"\w+")
D = TypeVar("D")
T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
HANDSHAKE_TIMEOUT = 8.0
"""For each step of TLS and of the first exchange on a connection. A script may keep a sound server busy for 5 s."""
ANSWER_TIMEOUT = 60.0
"""A commit of a very wide fan-out takes seconds; a server that hangs is given up on after this."""
BLOCK = 10.0
"""How long one blocking read lasts; its answer is waited for longer by MARGIN."""
MARGIN = 10.0
PATIENCE = 15.0
"""Seconds for which a server that has answered before may be away: it restarts, or another one takes over."""

_HINTS = {
    "XPIPEGONE": "the organism's state is gone: the server was flushed, or restarted without persistence",
    "XPIPELOST": "the server was restarted, or another one took over, or this process slept too long for redis_ttl, "
    "so that it has lost the latest changes; "
    "`xpipe run --resume` goes on with what is left",
    "READONLY": "this server is a read-only replica; give the URL of the primary",
    "OOM": "the server is out of memory; raise its maxmemory, or collect with `xpipe gc`",
    "NOPERM": "the user of the URL may not do this; it needs all commands on the keys under the prefix",
    "Authentication required": "the server wants a password; put it into the URL",
    "BUSY": "a script has kept the server busy for too long; look at its SLOWLOG, then run again",
    "MISCONF": "the server cannot save to its disk; look into its log",
    "CROSSSLOT": "on a cluster all keys must live in one slot; take a prefix like `{name}:`",
    "MOVED": "on a cluster give the URL of the node that has the slot of the prefix",
}

_CODES = {"ReadOnlyError": "READONLY", "OutOfMemoryError": "OOM", "NoPermissionError": "NOPERM", "MovedError": "MOVED"}
"""The client takes the code from the text of these."""

_OF_THREADS = ("buffer:", "mailbox:", "open:", "results:")
"""Keys that `xpipe gc` sets aside when they are of the wrong type; it tells of records otherwise."""


def _is_busy(error: Exception) -> bool:
    """Whether a script that runs for long, such as the commit of a very wide fan-out, keeps a server from answering."""
    return str(error).startswith("BUSY ")


def place(url: str) -> str:
    """`url` without user, password and options."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or 'localhost'}{port}{parts.path}"
    except ValueError:
        return "the Redis URL"


def _named(text: str, code: str) -> str:
    """The key in `code <key>`, as our scripts write it; "" if there is none."""
    return text.partition(f"{code} <")[2].rpartition(">")[0]


def _name(key: bytes | str) -> str:
    return key if isinstance(key, str) else shown(key)


@dataclass(frozen=True, slots=True)
class Line:
    """Connections to a server; an answer is waited for up to `patience` seconds.

    Those that were made stay out of the `pool` of the client: what that does to hand out one and take it back takes
    as long as to send a command.
    """

    pool: ConnectionPool
    patience: float
    idle: deque[Connection] = field(default_factory=deque)


class Link:
    """Sends commands and scripts to one server; the scripts work on the keys under `prefix`, which live for `ttl` s."""

    def __init__(self, url: str, prefix: str, ttl: int, patience: float = PATIENCE) -> None:
        import redis

        self.place = f"{place(url)} (prefix {prefix!r})"
        self.root_id = ""
        self._errors = redis.exceptions
        self._prefix = prefix
        self._organism = f"{prefix}organism"
        self.ttl = ttl
        self._patience = patience
        self._met = False
        self._closed = False
        self._server = "Redis TLS server" if url.startswith("rediss:") else "Redis server"
        pool, patience = self._make_pool(url)
        self._process = os.getpid()
        self._commands = Line(pool, patience)
        self._waiting = Line(self._make_pool(url)[0], BLOCK + MARGIN)

    def _make_pool(self, url: str) -> tuple[ConnectionPool, float]:
        """Connections, and how long an answer is waited for: the `socket_timeout` of the URL, if it has one.

        The time-out of their sockets is for what comes before the first command.
        """
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        wanted: dict[str, Any] = {
            "socket_timeout": ANSWER_TIMEOUT,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "health_check_interval": 30,
        }
        if not url.startswith("unix:"):
            wanted["socket_keepalive"] = True
        try:
            pool = redis.ConnectionPool.from_url(url, **wanted)
            pool.connection_class(**pool.connection_kwargs)  # It checks the options of the URL.
            if not url.startswith("unix:"):
                int(urlsplit(url).path.strip("/") or 0)  # Else it would silently be database 0.
        except (ValueError, TypeError, AttributeError, self._errors.RedisError):  # Their texts may quote a password.
            hint = "redis://host:6379/0, rediss://host or unix:///path/to/socket; percent-encode the password"
            raise BackendError(f"the Redis URL cannot be read; write it like {hint}, and correct its options") from None
        # What is sent again, and when, is decided here: only the caller knows what may be done twice.
        pool.connection_kwargs |= {"retry": Retry(NoBackoff(), 0), "protocol": 2, "decode_responses": False}
        patience: float = pool.connection_kwargs["socket_timeout"]
        pool.connection_kwargs["socket_timeout"] = min(patience, HANDSHAKE_TIMEOUT)
        return pool, patience

    def run(self, name: str, *args: Any, again: bool = True) -> Any:
        """The answer of the script `name`. `again`: running it twice does what running it once does."""
        one = script(name)
        tail = (1, self._organism, self.root_id, self.ttl, *args)
        try:
            return self.send("EVALSHA", one.sha, *tail, again=again)
        except self._errors.NoScriptError:
            return self.send("EVAL", one.source, *tail, again=again)

    def send(self, *command: Any, again: bool = True) -> Any:
        """The answer to `command`. Raises BackendError."""
        return self._insist(self._commands, command, again)

    def read_elsewhere(self, *command: Any) -> Any:
        """The answer to a command on keys that are not under the prefix; None if the server refuses it."""
        try:
            return self.send(*command)
        except BackendError:
            return None

    def block(self, *command: Any) -> Any:
        """The answer to a command that blocks for up to BLOCK seconds, on a connection of its own."""
        return self._insist(self._waiting, command, True)

    def facts(self, section: str) -> dict[str, str]:
        """What the server tells of itself in a section of its INFO; nothing if this user may not ask."""
        try:
            lines = self.send("INFO", section).decode(errors="replace").splitlines()
        except BackendError:
            return {}
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    def _insist(self, line: Line, command: tuple[Any, ...], again: bool) -> Any:
        errors, pause, end = self._errors, 0.05, 0.0
        if self._closed:
            raise is_closed(self.place)
        while True:
            connection: Connection | None = None
            try:
                connection = self._take(line)
                answer = self._exchange(connection, command, line.patience)
                self._met = True
                return answer
            except errors.NoScriptError:
                raise
            except errors.RedisError as error:
                busy = _is_busy(error)
                lost = busy or isinstance(error, (errors.ConnectionError, errors.TimeoutError))
                unsure = lost and connection is not None and not busy
                if not lost or isinstance(error, errors.AuthenticationError) or (unsure and not again):
                    raise self._translated(error, command, unsure) from None
                end = end or time.monotonic() + (self._patience if self._met else 0.0)
                if self._closed or time.monotonic() + pause > end:
                    self._met = False  # The next call need not wait for it as long again.
                    raise self._translated(error, command) from None
            finally:
                if connection is not None:
                    line.idle.append(connection)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _take(self, line: Line) -> Connection:
        """A connection that is made, anew if the server has closed it."""
        if self._process != os.getpid():  # After a fork they are those of the other one.
            self._process = os.getpid()
            self._commands.idle.clear()
            self._waiting.idle.clear()
        try:
            connection = line.idle.pop()
        except IndexError:
            return line.pool.get_connection()
        try:
            connection.connect()  # type: ignore[no-untyped-call]  # If it is not.
            if not self._is_fresh(connection):
                connection.disconnect()  # type: ignore[no-untyped-call]
                connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            line.idle.append(connection)
            raise
        return connection

    def _is_fresh(self, connection: Connection) -> bool:
        """Whether there is nothing to read from it: neither its end nor an answer that nobody has waited for."""
        try:
            return not connection.can_read()
        except self._errors.RedisError:
            return False
        except Exception:
            if self._closed:  # Under its reader, who may stumble anywhere.
                raise self._errors.ConnectionError("closed") from None
            raise

    def _exchange(self, connection: Connection, command: tuple[Any, ...], patience: float) -> Any:
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]
            if not connection.can_read(patience):
                raise self._errors.TimeoutError(f"it has been silent for {patience:g} s")
            return connection.read_response()
        except self._errors.ResponseError:
            raise
        except BaseException as error:
            # Or its answer would be taken for that of the next command.
            connection.disconnect()  # type: ignore[no-untyped-call]
            if self._closed and isinstance(error, Exception):  # Closed under its reader, who may stumble anywhere.
                raise self._errors.ConnectionError("closed") from None
            raise

    def _translated(self, error: Exception, command: tuple[Any, ...], unsure: bool = False) -> BackendError:
        text = f"{_CODES.get(type(error).__name__, '')} {error}".strip()
        if key := _named(text, "XPIPEDAMAGED"):
            return self._damaged(key)
        words = f" {' '.join(_WORD.findall(text))} "
        if " WRONGTYPE " in words:
            return self._foreign(_named(text, "WRONGTYPE") or _name(command[1]))
        for code, hint in _HINTS.items():
            if f" {code} " in words:
                return BackendError(f"{self.place}: {hint}")
        if isinstance(error, self._errors.AuthenticationError):
            return BackendError(f"{self.place}: the server refuses the user or password of the URL; correct them")
        if unsure:
            return BackendError(f"{self.place}: the connection broke before the answer came; look whether it was done")
        if isinstance(error, self._errors.ResponseError):
            return BackendError(f"{self.place}: the server refused a command of xpipe: {text}")
        return BackendError(f"{self.place}: no {self._server} answers ({text}); start it, or correct backend.redis_url")

    def _foreign(self, key: str) -> BackendError:
        if key.removeprefix(self._prefix).startswith(_OF_THREADS):
            return self._damaged(key)
        hint = "delete or rename it, or give the organism a prefix of its own (backend.redis_prefix)"
        return BackendError(
            f"{self.place}: the key {key} is not ours: another program writes under this prefix; {hint}"
        )

    def _damaged(self, key: str) -> BackendError:
        hint = "`xpipe gc --verify` sets it aside"
        return BackendError(f"{self.place}: the key {key} is damaged, or another version of xpipe wrote it; {hint}")

    def decoded(self, decode: Callable[[D], T], data: D, key: str) -> T:
        """`data`, found in `key`, decoded. Raises BackendError."""
        try:
            return decode(data)
        except (msgspec.MsgspecError, ValueError):
            raise self._damaged(key) from None

    def read(self, make: Callable[..., T], row: Sequence[Any], *places: str) -> T:
        """What `make` makes of `row`, which begins with an id. Raises BackendError.

        places: where the first values of it were found, as keys without prefix and id; the last has all others too.
        """
        try:
            return make(*row)
        except ValueError:
            broken = (place for place, data in zip(places, row, strict=False) if not is_text(data))
            raise self._damaged(f"{self._prefix}{next(broken, places[-1])}{shown(row[0])}") from None

    def reopen(self) -> None:
        """Let it be used again after `close`."""
        self._closed = False

    def close(self) -> None:
        """Close all connections, also those that are being waited on."""
        self._closed = True
        for line in (self._commands, self._waiting):
            line.pool.disconnect(inuse_connections=True)
