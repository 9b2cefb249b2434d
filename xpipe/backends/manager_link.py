"""Connections to a manager: the protocol of multiprocessing.managers in MessagePack, with an end to every wait."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import msgspec

from xpipe.backends.arguments import is_closed
from xpipe.backends.manager_address import Address, show
from xpipe.core.errors import BackendError

GREETING = 10.0
"""Seconds within which a manager, however busy, has greeted whoever connects."""

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


class Channel:
    """A connection whose objects are MessagePack instead of pickles, so that nothing that is received can execute."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.send_bytes = connection.send_bytes
        self.recv_bytes = connection.recv_bytes
        self.close = connection.close

    def send(self, content: Any) -> None:
        self.send_bytes(_encode(content))

    def recv(self) -> Any:
        return _decode(self.recv_bytes())


class Link:
    """Calls to the manager at `address`. Safe in threads and after a fork; each call has a connection to itself.

    Raises BackendError when there is no manager, it refuses the key, or does not answer within `timeout` seconds.
    """

    def __init__(self, address: Address, key: bytes, timeout: float) -> None:
        self.place = show(address)
        self.timeout = timeout
        self._address = address
        self._key = key
        self._idle: deque[Channel] = deque()
        self._process = os.getpid()
        self.closed = False
        self._instance = str(self._guarded(self._introduce))

    def call(self, method: str, *arguments: Any) -> Any:
        """What `method` of the manager's object returns."""
        return self._guarded(self._exchange, method, arguments)

    def close(self) -> None:
        """Let go of the connections."""
        self.closed = True
        while self._idle:
            self._idle.pop().close()

    def _exchange(self, method: str, arguments: tuple[Any, ...]) -> Any:
        channel = self._take()
        try:
            answer = _ask(channel, self._instance, method, arguments)
        except BaseException:
            channel.close()  # An answer that comes later must not be taken for that of another call.
            raise
        self._give_back(channel)
        return self._result(answer)

    def _take(self) -> Channel:
        if self._process != os.getpid():
            self._idle, self._process = deque(), os.getpid()  # The parent talks on the connections it has.
        try:
            return self._idle.pop()
        except IndexError:
            channel = self._dial()
            _ask(channel, None, "accept_connection", ("xpipe",))
            return channel

    def _give_back(self, channel: Channel) -> None:
        self._idle.append(channel)
        if self.closed:
            self.close()

    def _introduce(self) -> Any:
        channel = self._dial()
        try:
            return self._result(_ask(channel, None, "instance", ()))
        finally:
            channel.close()

    def _dial(self) -> Channel:
        unix = isinstance(self._address, str)
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as plain:
            plain.setblocking(True)
            _bound(plain, min(GREETING, self.timeout))
            if not unix:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.connect(self._address)
            with plain.dup() as kept:
                channel = Channel(Connection(plain.detach()))
                self._greet(channel)
                _bound(kept, self.timeout)
        return channel

    def _greet(self, channel: Channel) -> None:
        try:
            answer_challenge(channel, self._key)  # type: ignore[arg-type]  # it needs send_bytes and recv_bytes only
            deliver_challenge(channel, self._key)  # type: ignore[arg-type]
        except (BlockingIOError, TimeoutError):
            channel.close()
            hint = f"no manager greets at {self.place}, although something listens there"
            raise BackendError(f"{hint}; correct manager_address, or see what its process does") from None
        except BaseException:
            channel.close()
            raise

    def _result(self, answer: Any) -> Any:
        kind, content = answer
        if kind == "#RETURN":
            return content
        if f"KeyError: '{self._instance}'" in str(content):
            raise BackendError(
                f"the manager at {self.place} is not the one this run began with, whose state is lost; run it again"
            )
        reason = str(content).strip().rpartition("\n")[2]
        raise BackendError(f"the manager at {self.place} cannot answer ({reason}); do both run the same xpipe?")

    def _guarded(self, function: Any, *arguments: Any) -> Any:
        if self.closed:
            raise is_closed(f"the manager at {self.place}")
        try:
            return function(*arguments)
        except AuthenticationError:
            raise BackendError(
                f"the manager at {self.place} refuses the key; set manager_authkey to the one it was started with"
            ) from None
        except (BlockingIOError, TimeoutError):
            raise BackendError(
                f"the manager at {self.place} does not answer within {self.timeout:g} s; see what its process does"
            ) from None
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", "") or "connection closed"
            raise BackendError(
                f"there is no manager at {self.place} any more, or none yet ({reason}); start the run that owns it"
            ) from None
        except (AssertionError, msgspec.MsgspecError, TypeError, ValueError) as error:
            raise BackendError(f"what listens at {self.place} is no manager of xpipe ({error})") from None


def _bound(plain: socket.socket, seconds: float) -> None:
    """Let no wait for data on `plain` last longer."""
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)


def _ask(channel: Channel, instance: str | None, method: str, arguments: tuple[Any, ...]) -> Any:
    channel.send((instance, method, arguments, {}))
    return channel.recv()
