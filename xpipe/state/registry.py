"""The thread registry: the two-way map of call chains and the ids that stand for them."""

from __future__ import annotations

from typing import Any

from xpipe.core import chains
from xpipe.core.errors import LimitError
from xpipe.ports import SharedBackend


class ThreadRegistry:
    """The call chains of one backend. All processes that share the backend get the same id for the same chain.

    Names are given raw; what is called *chain* is joined already (xpipe.core.chains).
    """

    def __init__(self, backend: SharedBackend, max_slots_per_thread: int = 10_000) -> None:
        self._backend = backend
        self._slots = max_slots_per_thread
        self._key = b""
        self._root = ""

    def initialize_root(self, organism: str) -> str:
        """Make the backend that of `organism`, unless it is; the id of its root. Raises BackendError for another's."""
        self._backend.open(organism, self._slots)
        self._root = chains.root(organism)
        return self.root_uuid

    @property
    def root_uuid(self) -> str:
        """The id of the chain above all conversations. Raises BackendError when the backend is not open."""
        return chains.thread_id(self._secret(), self.root_chain)

    @property
    def root_chain(self) -> str:
        """The chain above all conversations: `system.<organism>`. Raises BackendError when the backend is not open."""
        self._root = self._root or self._backend.root()
        return self._root

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see this registry."""
        return self._backend.capabilities.cross_process

    def get_or_create(self, chain: str) -> str:
        """The id of `chain`, bound to it by this call if none was."""
        return self._backend.registry_set(chain, chains.thread_id(self._secret(), chain))

    def _secret(self) -> bytes:
        self._key = self._key or self._backend.secret()
        return self._key

    def lookup(self, uuid: str) -> str | None:
        """The chain that `uuid` stands for."""
        return self._backend.registry_get_chain(uuid)

    def extend_chain(self, uuid: str, name: str) -> str:
        """The id of the chain of `uuid` with the listener `name` behind it. Raises LimitError for an unknown id."""
        chain = self.lookup(uuid)
        if chain is None:
            raise LimitError(f"the id {uuid} stands for no chain; register it, or start a chain")
        return self.get_or_create(chains.extend(chain, name))

    def prune_for_response(self, uuid: str) -> tuple[str, str] | tuple[None, None]:
        """Whom a response from the thread `uuid` goes to: the caller's name and thread; None twice for nobody."""
        chain = self.lookup(uuid)
        caller = chains.prune(chain)[0] if chain else ""
        if not chain or not caller or self.root_chain in (chain, caller):
            return None, None
        return chains.outer_caller(chain, ()), self.get_or_create(caller)

    def start_chain(self, initiator: str, target: str) -> str:
        """The id of the chain of a call from `initiator` outside to the listener `target`."""
        return self.get_or_create(self._outermost(initiator, target))

    def register_thread(self, uuid: str, initiator: str, target: str) -> str:
        """Let `uuid`, made elsewhere, stand for the chain of a call from `initiator` to `target`.

        The id to use, another one if the chain has one. Raises LimitError when `uuid` stands for another chain.
        """
        return self._backend.registry_set(self._outermost(initiator, target), uuid)

    def _outermost(self, initiator: str, target: str) -> str:
        return chains.extend(self.root_chain, initiator, target)

    def cleanup(self, uuid: str) -> bool:
        """Forget `uuid` and its chain; False if it was not bound here, or is a thread of a conversation."""
        return self._backend.registry_delete(uuid)

    def debug_dump(self) -> dict[str, Any]:
        """All of it, for people: root_uuid, root_chain, is_shared, count, threads (chain by uuid)."""
        threads = dict(self._backend.registry_list_all())
        return {
            "root_uuid": self.root_uuid,
            "root_chain": self.root_chain,
            "is_shared": self.is_shared,
            "count": len(threads),
            "threads": threads,
        }

    def clear(self) -> None:
        """Forget what was bound here; the root and the threads of conversations stay."""
        self._backend.registry_clear()
