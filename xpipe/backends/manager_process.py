"""The manager process: a server of multiprocessing.managers with one object, which lives as long as its owner."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import sys
import threading
from contextlib import suppress
from multiprocessing import managers
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import msgspec

from xpipe.backends.manager_address import Address
from xpipe.backends.manager_files import remove_runtime
from xpipe.backends.manager_link import Channel
from xpipe.backends.manager_service import Service
from xpipe.backends.memory import InMemoryBackend

_SERIALIZER = "xpipe-msgpack"


class Settings(msgspec.Struct):
    """What the owner tells its manager. `folder` is removed with it, and its runtime file `runtime`."""

    address: Address
    key: bytes
    max_threads: int
    slots_per_thread: int
    owner: int
    folder: str = ""
    runtime: str = ""


class Started(msgspec.Struct):
    """What the manager tells its owner: where it listens, or why it does not."""

    address: Address = ""
    error: str = ""


class ChannelListener:
    """A listener of channels."""

    def __init__(self, address: Any, backlog: int) -> None:
        os.umask(0o077)  # A socket is for its owner alone.
        self._listener = Listener(address, backlog=max(backlog, 128))
        self.address = self._listener.address

    def accept(self) -> Channel:
        connection = self._listener.accept()
        if not isinstance(self.address, str):
            plain = socket.socket(fileno=connection.fileno())
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.detach()
        return Channel(connection)


class Server(managers.Server):
    """Serves a Service and nothing else: clients can neither make objects nor shut it down."""

    def __init__(self, settings: Settings) -> None:
        managers.listener_client[_SERIALIZER] = (ChannelListener, None)  # type: ignore[attr-defined]  # not in its stub
        super().__init__({}, settings.address, settings.key, _SERIALIZER)
        self.public = ["accept_connection", "instance"]
        self._instance = secrets.token_hex(16)
        service = Service(InMemoryBackend(settings.max_threads, settings.slots_per_thread))
        self.id_to_obj = {self._instance: (service, {"call", "page", "drop"}, {})}

    def instance(self, connection: Any) -> str:
        """The id of this manager's object."""
        del connection
        return self._instance

    def start(self) -> None:
        """Accept connections in threads."""
        self.stop_event = threading.Event()
        threading.Thread(target=self.accepter, daemon=True).start()

    def accepter(self) -> None:
        """Serve each connection in a thread; close it if the system refuses one."""
        while True:
            with suppress(OSError):
                connection = self.listener.accept()  # type: ignore[attr-defined]  # not in its stub
                try:
                    threading.Thread(target=self.handle_request, args=(connection,), daemon=True).start()
                except (RuntimeError, MemoryError):
                    connection.close()


def main() -> None:
    """Serve until the owner, who writes its settings to our stdin, closes it, writes more, or is gone."""
    _leave_signals_to_the_owner()
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    try:
        server = Server(settings)
        server.start()
    except (OSError, ValueError, RuntimeError, MemoryError) as error:  # The last two: the system refuses a thread.
        _tell(Started(error=getattr(error, "strerror", None) or str(error) or "out of memory"))
        return
    _tell(Started(server.address))  # type: ignore[arg-type]  # an Address
    while os.getppid() == settings.owner and not select.select([0], [], [], 1.0)[0]:
        pass
    _remove(settings)
    os._exit(0)  # Threads that serve others are not waited for.


def _leave_signals_to_the_owner() -> None:
    ignored = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ignored)


def _tell(started: Started) -> None:
    with suppress(BrokenPipeError):
        os.write(1, msgspec.json.encode(started) + b"\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _remove(settings: Settings) -> None:
    if settings.runtime:
        remove_runtime(Path(settings.runtime), os.getpid())
    if settings.folder:
        shutil.rmtree(settings.folder, ignore_errors=True)
    elif isinstance(settings.address, str):
        with suppress(OSError):
            os.unlink(settings.address)
