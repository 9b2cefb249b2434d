"""The manager backend: the memory backend in a process of its own, for several processes of one machine."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from xpipe.backends import manager_address
from xpipe.backends.arguments import check_pair, check_slot
from xpipe.backends.manager_files import Runtime, read_runtime, remove_runtime, runtime_file, write_runtime
from xpipe.backends.manager_link import Link
from xpipe.backends.manager_service import LIMIT, OK, REFUSED
from xpipe.backends.manager_start import ManagerProcess
from xpipe.backends.manager_verbs import verb
from xpipe.core.errors import BackendError, LimitError, XpipeError
from xpipe.core.messages import ConversationRecord, Cursor, DeadLetter, Injection, PumpRecord, Step
from xpipe.core.organism import DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS
from xpipe.ports import (
    Advanced,
    BackendTotals,
    Capabilities,
    Collection,
    Damage,
    JoinRecord,
    Load,
    Orphan,
    RegistryRecord,
    SharedBackend,
    ThreadRecord,
)

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")

Port = SharedBackend
TIMEOUT = 30.0
GREETING = 2.0
"""Seconds within which the manager of another run has to answer to count as alive."""

log = logging.getLogger("xpipe.manager")


def _is_alive(path: Path) -> bool:
    """Whether the manager that the runtime file `path` leads to answers."""
    try:
        runtime = read_runtime(path)
        if runtime is None:
            return False
        place = manager_address.parse(runtime.address)
        Link(place, runtime.key, GREETING).close()
    except BackendError:
        return False
    return True


class ManagerBackend:
    """Without `address` it starts a manager, at `bind` or on a socket of this user's, which ends with this process.

    With `address` (a pair of host and port, host:port, or the path of a socket) it is a client of the manager there,
    whose key it must know.
    `organism_file` gets a runtime file, so that `ManagerBackend.attach(organism_file)` finds what was started.
    """

    def __init__(
        self,
        address: manager_address.Address = "",
        authkey: str | bytes | None = None,
        *,
        bind: manager_address.Address = "",
        organism_file: str | Path = "",
        max_threads: int = DEFAULT_MAX_THREADS,
        slots_per_thread: int = DEFAULT_MAX_SLOTS,
        timeout: float = TIMEOUT,
    ) -> None:
        self.authkey = manager_address.as_key(authkey)
        self._process: ManagerProcess | None = None
        self._runtime = runtime_file(organism_file) if organism_file else None
        self._secret = b""
        place = manager_address.parse(address or bind) if address or bind else None
        if not address:
            place = self._start(place, max_threads, slots_per_thread, timeout)
        assert place is not None
        if not self.authkey:
            raise BackendError(f"the manager at {manager_address.show(place)} asks for a key; set manager_authkey")
        self.address = manager_address.show(place)
        cross_host = not manager_address.is_local(place)
        self.capabilities = Capabilities(True, False, cross_host, expiry=False, blocking=True, remote=True)
        self._link = self._connect(place, timeout)
        if self._runtime is not None and self._process is not None:
            self._publish(self._runtime, self._process.pid)

    @classmethod
    def attach(cls, organism_file: str | Path, *, timeout: float = TIMEOUT) -> ManagerBackend:
        """A client of the manager that a run of `organism_file` has started. Raises BackendError if there is none."""
        runtime = read_runtime(runtime_file(organism_file))
        if runtime is None:
            raise BackendError(
                f"no run of {organism_file} has a manager now, and its state ends with it; "
                "look while it runs, or keep state in sqlite or redis"
            )
        return cls(runtime.address, runtime.key, timeout=timeout)

    def _start(
        self, bind: manager_address.Address | None, max_threads: int, slots_per_thread: int, timeout: float
    ) -> manager_address.Address:
        if bind:
            manager_address.check_bind(bind, self.authkey)
        self.authkey = self.authkey or secrets.token_bytes(32)
        runtime = str(self._runtime or "")
        self._process = ManagerProcess(bind, self.authkey, max_threads, slots_per_thread, timeout, runtime)
        return self._process.address

    def _connect(self, place: manager_address.Address, timeout: float) -> Link:
        try:
            return Link(place, self.authkey, timeout)
        except BaseException:
            if self._process is not None:
                self._process.close()
            raise

    def _publish(self, path: Path, pid: int) -> None:
        if _is_alive(path):
            log.warning("another run of this organism has a manager already, which `threads` and `send` go on to find")
            return
        try:
            write_runtime(path, Runtime(self.address, self.authkey, pid))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that was started here, 0 for a client."""
        return self._process.pid if self._process else 0

    def _call(self, method: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs
        found = verb(method.__name__)
        answer = self._link.call("call", found.name, found.encode_arguments(args))
        result: R = found.decode_result(self._checked(answer))
        return result

    def _pages(
        self, method: Callable[Concatenate[Any, P], Iterator[Item] | list[Item]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[Item]:
        assert not kwargs
        found = verb(method.__name__)
        answer = self._link.call("call", found.name, found.encode_arguments(args))
        cursor, page = found.decode_result(self._checked(answer))
        try:
            while cursor:
                yield from page
                asked, cursor = cursor, ""
                cursor, page = found.decode_result(self._checked(self._link.call("page", asked)))
            yield from page
        finally:
            if cursor:
                self._link.call("drop", cursor)

    def _checked(self, answer: tuple[str, bytes]) -> bytes:
        kind, data = answer
        if kind == OK:
            return data
        text = data.decode(errors="replace")
        if kind == LIMIT:
            raise LimitError(text)
        if kind == REFUSED:
            raise BackendError(text)
        raise XpipeError(f"the manager at {self.address} failed in {text}; report it with what led to it")

    def open(self, organism: str | None, slots_per_thread: int | None = None) -> None:
        self._call(Port.open, organism, slots_per_thread)

    def root(self) -> str:
        return self._call(Port.root)

    def secret(self) -> bytes:
        self._secret = self._secret or self._call(Port.secret)
        return self._secret

    def advance(self, pump: str, finished: Sequence[Step], room: Mapping[str, int], most: int, now: float) -> Advanced:
        return self._call(Port.advance, pump, finished, room, most, now)

    def inject(
        self,
        pump: str,
        messages: Sequence[Injection],
        now: float,
        cursor: Cursor | None = None,
        seen: Cursor | None = None,
    ) -> list[str]:
        return list(self._pages(Port.inject, pump, messages, now, cursor, seen))

    def cursor(self, name: str) -> Cursor | None:
        return self._call(Port.cursor, name)

    def load(self) -> Load:
        return self._call(Port.load)

    def make_room(self) -> bool:
        return self._call(Port.make_room)

    def ready_listeners(self) -> list[str]:
        return list(self._pages(Port.ready_listeners))

    def buffer_append(self, thread: str, slot: bytes) -> int:
        check_slot(thread, slot)
        return self._call(Port.buffer_append, thread, slot)

    def buffer_get_thread(self, thread: str, start: int = 0, stop: int | None = None) -> list[bytes]:
        return list(self._pages(Port.buffer_get_thread, thread, start, stop))

    def buffer_get_slot(self, thread: str, index: int) -> bytes | None:
        return self._call(Port.buffer_get_slot, thread, index)

    def buffer_thread_len(self, thread: str) -> int:
        return self._call(Port.buffer_thread_len, thread)

    def buffer_thread_exists(self, thread: str) -> bool:
        return self._call(Port.buffer_thread_exists, thread)

    def buffer_delete_thread(self, thread: str) -> bool:
        return self._call(Port.buffer_delete_thread, thread)

    def buffer_list_threads(self) -> list[str]:
        return list(self.buffer_iter_threads())

    def buffer_iter_threads(self) -> Iterator[str]:
        return self._pages(Port.buffer_iter_threads)

    def buffer_clear(self) -> None:
        self._call(Port.buffer_clear)

    def registry_set(self, chain: str, uuid: str) -> str:
        check_pair(chain, uuid)
        return self._call(Port.registry_set, chain, uuid)

    def registry_get_uuid(self, chain: str) -> str | None:
        return self._call(Port.registry_get_uuid, chain)

    def registry_get_chain(self, uuid: str) -> str | None:
        return self._call(Port.registry_get_chain, uuid)

    def registry_delete(self, uuid: str) -> bool:
        return self._call(Port.registry_delete, uuid)

    def registry_clear(self) -> None:
        self._call(Port.registry_clear)

    def join_results(self, thread: str) -> list[bytes | None]:
        return list(self._pages(Port.join_results, thread))

    def joins(self) -> Iterator[tuple[str, int, int]]:
        return self._pages(Port.joins)

    def join_get(self, id: str) -> JoinRecord | None:
        return self._call(Port.join_get, id)

    def collection_create(self, kind: str, id: str, head: bytes, size: int) -> bool:
        return self._call(Port.collection_create, kind, id, head, size)

    def collection_get(self, kind: str, id: str) -> Collection | None:
        return self._call(Port.collection_get, kind, id)

    def collection_add(self, kind: str, id: str, index: int, part: bytes) -> bool:
        return self._call(Port.collection_add, kind, id, index, part)

    def collection_remove(self, kind: str, id: str) -> bool:
        return self._call(Port.collection_remove, kind, id)

    def collection_ids(self, kind: str) -> Iterator[str]:
        return self._pages(Port.collection_ids, kind)

    def threads(self, conversation: str | None = None, newest: bool = False) -> Iterator[ThreadRecord]:
        return self._pages(Port.threads, conversation, newest)

    def hops(self, conversation: str, start: int = 0) -> Iterator[bytes]:
        return self._pages(Port.hops, conversation, start)

    def find_threads(self, prefix: str, most: int) -> list[ThreadRecord]:
        return list(self._pages(Port.find_threads, prefix, most))

    def registry_list_all(self) -> dict[str, str]:
        return {entry.uuid: entry.chain for entry in self.registry_entries()}

    def registry_entries(self) -> Iterator[RegistryRecord]:
        return self._pages(Port.registry_entries)

    def totals(self) -> BackendTotals:
        return self._call(Port.totals)

    def enroll(self, pump: PumpRecord) -> None:
        self._call(Port.enroll, pump)

    def retire(self, pump: str) -> None:
        self._call(Port.retire, pump)

    def renew(self, pump: str, expires: float) -> bool:
        return self._call(Port.renew, pump, expires)

    def pumps(self) -> list[PumpRecord]:
        return list(self._pages(Port.pumps))

    def bury_pump(self, pump: str) -> int:
        return self._call(Port.bury_pump, pump)

    def wait(self, pump: str, seconds: float) -> bool:
        most = self._link.timeout / 2  # Longer, and the call would look like one that is not answered.
        while seconds > most:
            if self._call(Port.wait, pump, most):
                return True
            seconds -= most
        return self._call(Port.wait, pump, seconds)

    def conversations(
        self, running: bool = False, owner: str | None = None, unsettled: bool = False
    ) -> Iterator[ConversationRecord]:
        return self._pages(Port.conversations, running, owner, unsettled)

    def conversation(self, id: str) -> ConversationRecord | None:
        return self._call(Port.conversation, id)

    def adopt(self, pump: str, conversation: str, owner: str) -> ConversationRecord | None:
        return self._call(Port.adopt, pump, conversation, owner)

    def delivered(self, outputs: Mapping[str, int]) -> None:
        self._call(Port.delivered, outputs)

    def cancel(self, conversation: str, fault: bytes, now: float) -> bool:
        return self._call(Port.cancel, conversation, fault, now)

    def forget(self, conversation: str) -> bool:
        return self._call(Port.forget, conversation)

    def dead_letters(self) -> Iterator[DeadLetter]:
        return self._pages(Port.dead_letters)

    def forget_ended(self, before: float, most: int) -> int:
        return self._call(Port.forget_ended, before, most)

    def drop_dead_letters(self, before: float) -> int:
        return self._call(Port.drop_dead_letters, before)

    def drop_dead(self, numbers: Sequence[int]) -> int:
        return self._call(Port.drop_dead, numbers)

    def retry_dead(self, number: int, pump: str, injection: Injection, now: float) -> str | None:
        return self._call(Port.retry_dead, number, pump, injection, now)

    def orphans(self, remove: bool = False) -> Iterator[Orphan]:
        return self._pages(Port.orphans, remove)

    def damages(self, set_aside: bool = False) -> Iterator[Damage]:
        return self._pages(Port.damages, set_aside)

    def info(self) -> dict[str, Any]:
        return self._call(Port.info) | {"type": "manager", "place": self.address}

    def ping(self) -> bool:
        try:
            return self._call(Port.ping)
        except BackendError:
            return False

    @property
    def closed(self) -> bool:
        return self._link.closed

    def close(self) -> None:
        self._link.close()
        if self._process is not None and os.getpid() == self._process.owner:
            if self._runtime is not None:
                remove_runtime(self._runtime, self._process.pid)
            self._process.close()
