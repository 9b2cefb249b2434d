"""A pump's lease on what it has claimed: renewed by a thread that no handler can hold up.

The same thread does the backend's upkeep: it buries pumps that died and forgets what has been over for long enough.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from xpipe.core.errors import BackendError
from xpipe.core.messages import PumpRecord
from xpipe.ports import SharedBackend

log = logging.getLogger("xpipe.lease")

SECONDS = 10.0
"""How long a lease lasts unless it is renewed."""
RENEWAL = 3.0
FORGET = 8
"""Conversations forgotten in one commit; each may have very many threads."""


class Lease:
    """Keeps the pump `id` known to others.

    retention: seconds after which what is over is forgotten; serves: the pump waits for more. on_news: others may have
    left work; on_renamed: others took it for dead, and it has another id now, given with the old one; on_lost: the
    backend is gone.
    """

    def __init__(
        self,
        backend: SharedBackend,
        id: str,
        retention: float,
        serves: bool,
        on_news: Callable[[], None],
        on_renamed: Callable[[str, str], None],
        on_lost: Callable[[BackendError], None],
    ) -> None:
        self._backend = backend
        self._on_renamed = on_renamed
        self._retention = retention
        self._record = pump_record(id, serves)
        self._on_news = on_news
        self._on_lost = on_lost
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew_for_ever, name="xpipe-lease", daemon=True)

    def take(self) -> None:
        """Enroll, bury those that died, and keep on doing so where there may be others."""
        self._record.expires = time.time() + SECONDS
        self._backend.enroll(self._record)
        log.debug("took the lease %s for %g s", self._record.id, SECONDS)
        bury_the_dead(self._backend, self._record.id)
        self._renewing.start()
        if self._backend.capabilities.cross_process:
            threading.Thread(target=self._listen, name="xpipe-listener", daemon=True).start()

    def give_back(self) -> None:
        """Hand back at once what is still claimed, and be forgotten."""
        self._over.set()
        if self._renewing.is_alive():
            self._renewing.join(2.0)  # It would enroll again; the one that listens ends with its last wait.
        self._backend.retire(self._record.id)
        log.debug("gave back the lease %s", self._record.id)

    def _renew_for_ever(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(RENEWAL):
            try:
                if not self._backend.renew(self._record.id, time.time() + SECONDS):
                    self._begin_anew()
                renewed = time.monotonic()
                log.debug("renewed the lease %s", self._record.id)
                bury_the_dead(self._backend, self._record.id)
                self._on_news()  # Also for what others have left to be done at a certain time.
                self._forget_what_is_old()
            except BackendError as error:
                log.debug("the lease %s is not renewed: %s", self._record.id, error)
                if time.monotonic() - renewed > SECONDS:
                    self._on_lost(error)
                    return

    def _begin_anew(self) -> None:
        """Under another id: what was told to the old one in between is lost, and found by looking."""
        log.warning("this pump was taken for dead; what it had claimed may run again elsewhere")
        old, anew = self._record.id, pump_record(secrets.token_hex(8), self._record.serves)
        self._backend.enroll(anew)  # If that fails, it is the old name that is still to be replaced.
        self._record = anew
        self._on_renamed(old, anew.id)

    def _forget_what_is_old(self) -> None:
        before = time.time() - self._retention
        end = time.monotonic() + RENEWAL / 2
        while self._backend.forget_ended(before, FORGET) == FORGET:
            if self._over.is_set() or time.monotonic() > end:
                return  # The lease is to be renewed in between.
        self._backend.drop_dead_letters(before)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                if self._backend.wait(self._record.id, 1.0):
                    self._on_news()
            except BackendError:
                self._over.wait(1.0)  # The renewal tells when it is time to give up.


@cache
def this_host() -> str:
    """Where process ids mean the same: the host's name, its boot and its pid namespace (pid_namespaces(7))."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{namespace}"


def pump_record(id: str, serves: bool = False) -> PumpRecord:
    """The record of a pump of this process, its lease fresh."""
    expires = time.time() + SECONDS
    return PumpRecord(id, this_host(), os.getpid(), started_at(os.getpid()), expires, serves)


def bury_the_dead(backend: SharedBackend, own: str) -> int:
    """Free what pumps that are gone had claimed; how many messages."""
    dead = [pump for pump in backend.pumps() if pump.id != own and not is_alive(pump)]
    freed = sum(backend.bury_pump(pump.id) for pump in dead)
    if dead:
        log.debug("buried pumps that are gone: %d, messages freed: %d", len(dead), freed)
    return freed


def living(pumps: Iterable[PumpRecord]) -> set[str]:
    """The ids of those of `pumps` that are alive."""
    return {pump.id for pump in pumps if is_alive(pump)}


def serving(pumps: Iterable[PumpRecord]) -> str:
    """The id of one of `pumps` that is alive and waits for more, "" for none: what nobody waits for is its to tell."""
    return next((pump.id for pump in pumps if pump.serves and is_alive(pump)), "")


def is_alive(pump: PumpRecord) -> bool:
    """Whether `pump` holds its lease; one of this host that is gone does not, however fresh its lease."""
    if pump.host == this_host() and not _runs(pump.pid, pump.started):
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
