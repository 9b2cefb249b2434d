"""A pump's lease on what it has claimed: renewed by a thread that no handler can hold up, and that buries the dead."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from xpipe.core.errors import BackendError
from xpipe.core.messages import PumpRecord
from xpipe.ports import SharedBackend

log = logging.getLogger("xpipe.lease")

SECONDS = 10.0
"""How long a lease lasts unless it is renewed."""
RENEWAL = 3.0


class Lease:
    """Keeps the pump `id` known to others. `on_news`: others may have left work; `on_lost`: the backend is gone."""

    def __init__(
        self, backend: SharedBackend, id: str, on_news: Callable[[], None], on_lost: Callable[[BackendError], None]
    ) -> None:
        self._backend = backend
        self._record = PumpRecord(id, socket.gethostname(), os.getpid(), started_at(os.getpid()), 0.0)
        self._on_news = on_news
        self._on_lost = on_lost
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def take(self) -> None:
        """Enroll, bury those that died, and keep on doing so where there may be others."""
        self._enroll()
        if not self._backend.capabilities.cross_process:
            return
        bury_the_dead(self._backend, self._record.id)
        for target in (self._renew_for_ever, self._listen):
            thread = threading.Thread(target=target, name="xpipe-lease", daemon=True)
            self._threads.append(thread)
            thread.start()

    def give_back(self) -> None:
        """Hand back at once what is still claimed, and be forgotten."""
        self._over.set()
        for thread in self._threads:
            thread.join(2.0)
        self._backend.retire(self._record.id)

    def _enroll(self) -> None:
        self._record.expires = time.time() + SECONDS
        self._backend.enroll(self._record)

    def _renew_for_ever(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(RENEWAL):
            try:
                if not self._backend.renew(self._record.id, time.time() + SECONDS):
                    log.warning("this pump was taken for dead; what it had claimed may run again elsewhere")
                    self._enroll()
                if bury_the_dead(self._backend, self._record.id):
                    self._on_news()
                renewed = time.monotonic()
            except BackendError as error:
                if time.monotonic() - renewed > SECONDS:
                    self._on_lost(error)
                    return

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                if self._backend.wait(self._record.id, 1.0):
                    self._on_news()
            except BackendError:
                self._over.wait(1.0)  # The renewal tells when it is time to give up.


def bury_the_dead(backend: SharedBackend, own: str) -> int:
    """Free what pumps that are gone had claimed; how many messages."""
    dead = [pump for pump in backend.pumps() if pump.id != own and not is_alive(pump)]
    return sum(backend.bury_pump(pump.id) for pump in dead)


def living(pumps: Iterable[PumpRecord]) -> set[str]:
    """The ids of those of `pumps` that are alive."""
    return {pump.id for pump in pumps if is_alive(pump)}


def is_alive(pump: PumpRecord) -> bool:
    """Whether `pump` holds its lease; one of this host that is gone does not, however fresh its lease."""
    if pump.host == socket.gethostname() and not _runs(pump.pid, pump.started):
        return False
    return pump.expires > time.time()


def _runs(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is there, and somebody else's.
    return started_at(pid) == started


def started_at(pid: int) -> int:
    """When the process `pid` started, in clock ticks since boot; 0 where the system does not tell (proc(5), stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    state, *fields = stat.rpartition(")")[2].split()
    return 0 if state == "Z" else int(fields[18])
